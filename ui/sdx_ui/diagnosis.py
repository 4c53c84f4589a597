"""The doctor's checks: the machine (machine.py), then packages, model, engines, DDS. Start at all_checks()."""

import importlib.util
import os
from pathlib import Path

from sdx_ui import machine
from sdx_ui.machine import Check

PACKAGES = ("pydantic", "numpy", "pyais", "pynmea2", "llama_cpp", "langgraph", "cyclonedds", "rosbags", "gradio", "uvicorn")


def all_checks(port: int) -> list[Check]:
    """Every check, in the order in which a person would mend them."""
    return [
        machine.python(),
        machine.git(),
        machine.compiler(),
        machine.cores(),
        machine.disk(Path.cwd(), machine.RUN_GB),
        machine.port(port),
        packages(),
        domains(),
        model(),
        *engines(),
        dds(),
    ]


def packages() -> Check:
    """Are the packages there? Found, not imported: quick."""
    missing = [name for name in PACKAGES if importlib.util.find_spec(name) is None]
    found = f"missing: {', '.join(missing)}" if missing else f"{len(PACKAGES)} looked for, all there"
    return Check("packages", not missing, found, "run `make run`, it installs them")


def domains() -> Check:
    from sdx_domains.contract import domain_names

    names = domain_names()
    return Check("domains", "ship" in names, ", ".join(names) or "none", "run `make run`: the project itself is not installed")


def model() -> Check:
    """The embedded model: there, and a GGUF file."""
    from sdx_serving.connect import embedded_model_path

    try:
        path = embedded_model_path()
    except FileNotFoundError as error:
        return Check("model", False, str(error), "`git status` shows whether the checkout is whole; or give another with --model")
    with path.open("rb") as file:
        whole = file.read(4) == b"GGUF"
    return Check("model", whole, f"{path.name}, {path.stat().st_size / 1e6:.1f} MB", "not a GGUF file: check it out again with git")


def engines() -> list[Check]:
    """Installed, or what to type. Only the embedded model's own engine is needed."""
    from sdx_serving.engines.choose import ENGINES

    absent = {name: engine.missing() for name, engine in ENGINES.items()}
    needed = "the embedded model needs it"
    return [Check(f"engine {name}", not why or name != "llama.cpp", why or "installed", needed) for name, why in absent.items()]


def dds(timeout_s: float = 5.0) -> Check:
    """A message over the DDS transport to ourselves, on a ROS domain of its own."""
    os.environ["ROS_DOMAIN_ID"] = str(60 + os.getpid() % 40)
    try:
        took_s = _loopback(timeout_s)
    except Exception as error:  # noqa: BLE001  whatever the transport raises is the finding
        return Check("DDS", False, f"{type(error).__name__}: {error}", "is the loopback interface up, and CYCLONEDDS_URI unset or right?")
    if took_s is None:
        return Check(
            "DDS", False, f"no message came back in {timeout_s:g} s", "allow UDP on the loopback interface (firewall), unset CYCLONEDDS_URI"
        )
    return Check("DDS", True, f"loopback message in {took_s * 1000:.1f} ms")


def _loopback(timeout_s: float) -> float | None:
    """Seconds from publishing to arrival; None when it did not arrive."""
    from sdx_ros_nodes import topics
    from sdx_ros_nodes.messages import new
    from sdx_ros_nodes.ros_args import NodeArguments
    from sdx_ros_nodes.transports import open_transport

    arrived: list[float] = []
    wire = open_transport("dds", NodeArguments("sdx_doctor", "/doctor"))
    try:
        wire.subscribe(topics.MODE.name, topics.MODE.type_name, topics.MODE.qos, lambda message, meta: arrived.append(wire.steady_s()))
        writer = wire.publisher(topics.MODE.name, topics.MODE.type_name, topics.MODE.qos)
        ends_s = wire.steady_s() + timeout_s
        while not arrived and wire.steady_s() < ends_s:
            sent_s = wire.steady_s()
            writer.publish(new(topics.MODE.type_name, data="hello"))
            wire.spin(for_s=0.2)
            if arrived:
                return arrived[0] - sent_s
        return None
    finally:
        wire.shutdown()
