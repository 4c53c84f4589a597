"""A Ray cluster: joined at its address, or started on this machine and stopped again. Start at joined().

ray://HOST:10001   from any machine, through the cluster's client port
HOST:6379          from a machine that is a node of the cluster
local              a cluster of this machine alone, gone afterwards
"""

import os
import re
import socket
import sys
import time
import warnings
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.util import find_spec
from typing import Any

from sdx_finetune.progress import Say
from sdx_finetune.recipe import Dotted

LOCAL = "local"
OURS = ("sdx_domains", "sdx_finetune", "sdx_serving")
ANSWERS_S = 5.0
AGAIN_S = 3.0
OBJECT_STORE = 100 * 2**20
"""Bytes of shared memory of a cluster started here: requests and answers are small."""
ENVIRON = {
    "RAY_USAGE_STATS_ENABLED": "0",  # no figures are sent anywhere
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",  # no warning about a default that will change
    "RAY_DEDUP_LOGS_SKIP_REGEX": ".*",  # of its nodes' lines, none between ours: what was lost is told in our words
    "RAY_worker_niceness": "0",  # a cluster that is started here works at this process's own priority
}
_ADDRESS = re.compile(r"(ray://)?(?P<host>[\w.-]+|\[[0-9a-fA-F:]+\]):(?P<port>\d{1,5})")


@dataclass(frozen=True, slots=True)
class Need:
    """What a piece of work takes: so many processes, each on one node with so many CPUs and GPUs."""

    processes: int = 1
    cpus: int = 1
    gpus: int = 0

    def fits(self, nodes: Iterable[dict[str, float]]) -> int:
        """How many of the processes these nodes hold."""
        held = (min(node.get("CPU", 0) // self.cpus, node.get("GPU", 0) // self.gpus if self.gpus else self.processes) for node in nodes)
        return int(min(self.processes, sum(held)))


def checked_address(address: str) -> str:
    """The address. ValueError says what one looks like."""
    found = _ADDRESS.fullmatch(address)
    if address != LOCAL and (found is None or not 0 < int(found["port"]) < 65_536):
        raise ValueError(f"--on {address!r} is no address: give ray://HOST:10001, HOST:6379 on a node of the cluster, or local")
    return address


@contextmanager
def joined(address: str, functions: Iterable[Dotted | None] = ()) -> Iterator[Any]:
    """The module `ray`, connected; what was started for it ends with the block. `functions`: the user's own, whose modules travel along.

    Raises:
        ValueError: no such address, nobody listens there, another version of Ray or Python, or the package is missing.
    """
    reachable(address)
    ray = _package()
    try:
        _connect(ray, _settings(address, functions))
    except (ConnectionError, RuntimeError, ValueError) as error:
        ray.shutdown()
        raise ValueError(_explained(address, error)) from error
    try:
        yield ray
    finally:
        ray.shutdown()


def _connect(ray: Any, settings: dict[str, Any]) -> None:
    # Ray keeps sockets open and asks for settings that it will drop; both are its own affair.
    with warnings.catch_warnings(), _inherited_path():
        warnings.simplefilter("ignore")
        try:
            ray.init(**settings)
        except ConnectionError as error:
            # Right after another client has gone, a client port now and then fails to start the next one's server.
            if "Initialization failure" not in str(error):
                raise
            ray.shutdown()
            time.sleep(AGAIN_S)
            ray.init(**settings)


def reachable(address: str) -> str:
    """The address. ValueError when it is none, nobody listens there, or a package for it is missing here."""
    checked_address(address)
    client = ["grpc"] if address.startswith("ray://") else []
    missing = [name for name in ("ray", "pyarrow", "pandas", "fsspec", *client) if not find_spec(name)]
    if missing:
        raise ValueError(f"--on {address} wants the package {missing[0]}: pip install 'sdx[ray]'")
    if address != LOCAL:
        _listens(address)
    return address


def _package() -> Any:
    # Ray reads these when it is imported.
    for name, value in ENVIRON.items():
        os.environ.setdefault(name, value)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import ray
    return ray


def _listens(address: str) -> None:
    found = _ADDRESS.fullmatch(address)
    assert found is not None, "checked before"
    try:
        socket.create_connection((found["host"].strip("[]"), int(found["port"])), ANSWERS_S).close()
    except OSError as error:
        start = "ray start --head --ray-client-server-port 10001" if address.startswith("ray://") else "ray start --head --port 6379"
        raise ValueError(
            f"--on {address}: nobody answers there ({error.strerror or error}); start a cluster with `{start}`, or take --on local"
        ) from error


@contextmanager
def _inherited_path() -> Iterator[None]:
    """Processes that are started meanwhile find the modules that this one finds."""
    before = os.environ.get("PYTHONPATH")
    os.environ["PYTHONPATH"] = path_of_modules()
    try:
        yield
    finally:
        if before is None:
            del os.environ["PYTHONPATH"]
        else:
            os.environ["PYTHONPATH"] = before


def path_of_modules() -> str:
    """For PYTHONPATH: where modules are found here beside the installed ones, which every machine has in its own place."""
    installed = (sys.prefix, sys.base_prefix)
    return os.pathsep.join(path for path in sys.path if path and not path.startswith(installed))


def _settings(address: str, functions: Iterable[Dotted | None]) -> dict[str, Any]:
    quiet: dict[str, Any] = {"log_to_driver": False, "logging_level": "ERROR"}
    if address == LOCAL:
        return {**quiet, "address": LOCAL, "include_dashboard": False, "object_store_memory": OBJECT_STORE}
    # Where the nodes see the same folders, what is installed beside the project is found too.
    environ = {"env_vars": {"PYTHONPATH": path_of_modules(), **_told()}}
    modules = [_place(name) for name in dict.fromkeys([*OURS, *(dotted.split(":")[0].split(".")[0] for dotted in functions if dotted)])]
    return {**quiet, "address": address, "runtime_env": {**environ, "py_modules": modules, "excludes": ["**/__pycache__"]}}


def _told() -> dict[str, str]:
    """Settings of this process that count on the nodes as well."""
    return {name: os.environ[name] for name in ("HF_HUB_OFFLINE", "HF_ENDPOINT", "OMP_NUM_THREADS") if name in os.environ}


def _place(module: str) -> str:
    """Folder of a package or file of a module, to be sent to the nodes. ValueError when there is none."""
    found = find_spec(module)
    if found is None or not (found.origin or found.submodule_search_locations):
        raise ValueError(f"module {module!r} cannot be found; is its folder on PYTHONPATH?")
    return next(iter(found.submodule_search_locations)) if found.submodule_search_locations else str(found.origin)


def _explained(address: str, error: Exception) -> str:
    text = " ".join(str(error).split())
    if "ersion" in text:
        mine = f"Python {sys.version.split()[0]}, Ray {_version()}"
        return (
            f"--on {address}: the cluster runs another version of Ray or Python than this machine ({mine}); install the same: {text[:300]}"
        )
    if "Can't find" in text or "cannot find" in text:
        return (
            f"--on {address}: this machine is no node of that cluster; take ray://HOST:10001, or `ray start --address {address}` here first"
        )
    return f"--on {address}: {text[-300:]}; does the machine there run `ray start --head`?"


def _version() -> str:
    from importlib.metadata import version

    return version("ray")


def nodes_of(ray: Any) -> list[dict[str, float]]:
    """Resources of each living node."""
    return [node["Resources"] for node in ray.nodes() if node["Alive"]]


def make_room(ray: Any, need: Need, say: Say, wait_s: float = 60.0) -> None:
    """Return when the cluster has room. ValueError at once when it is too small, and after `wait_s` when others keep it busy."""
    nodes = nodes_of(ray)
    held = need.fits(nodes)
    if held < need.processes:
        each = f"{need.cpus} CPU" + (f" and {need.gpus} GPU" if need.gpus else "")
        there = ", ".join(f"{node.get('CPU', 0):g} CPU" + (f" {node['GPU']:g} GPU" if "GPU" in node else "") for node in nodes)
        raise ValueError(
            f"the cluster is too small: {need.processes} processes of {each} each are wanted, {held} fit (its nodes: {there or 'none'}); "
            "lower train.threads or run.processes, or add nodes"
        )
    until, told = time.monotonic() + wait_s, False
    wanted = {"CPU": need.processes * need.cpus, "GPU": need.processes * need.gpus}
    while lacking := {name: count for name, count in wanted.items() if ray.available_resources().get(name, 0) < count}:
        name, count = next(iter(lacking.items()))
        words = f"{count} {name} are wanted, {ray.available_resources().get(name, 0):g} of {sum(n.get(name, 0) for n in nodes):g} are free"
        if time.monotonic() > until:
            raise ValueError(f"the cluster is busy: {words}, after {wait_s:.0f} s; try again when its other work is done")
        if not told:
            say(f"waiting up to {wait_s:.0f} s for the cluster: {words}")
        told = True
        time.sleep(0.5)
