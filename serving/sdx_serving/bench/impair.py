"""A network of its own whose packets are delayed, lost and held to a rate. Start at impaired_network().

The asking process runs in a network namespace that lives as long as the process which holds it, so nothing is left behind by
a kill. A pair of veth devices with tc's netem joins it to the server; on a kernel without netem, the link of link.py.
"""

import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from sdx_serving.bench.plan import Impairment
from sdx_serving.tether import tie_to_parent

_PATIENCE_S = 10.0


class NoNetwork(RuntimeError):
    """There can be no such network here; the message says why."""


@dataclass(frozen=True, slots=True)
class Network:
    """Where the server listens, and how a client comes to be on the other side."""

    host: str
    enter: tuple[str, ...]
    """What a client's command begins with."""
    by: Literal["netem", "user-space link"]


@contextmanager
def impaired_network(impairment: Impairment, seed: int = 0) -> Iterator[Network]:
    """A server that listens at `host` is reached from inside through the impaired link, and only so.

    Raises:
        NoNetwork: not Linux, no iproute2 or util-linux, or not permitted.
    """
    if absent := [tool for tool in ("ip", "unshare", "nsenter") if not shutil.which(tool)]:
        raise NoNetwork(f"{', '.join(absent)} not found: install iproute2 and util-linux (Linux only)")
    # 198.18.0.0/15 is set aside for measurements of networks (RFC 2544); each process takes four addresses of it.
    place = os.getpid() % 32_000 * 4
    here, there = (f"198.{18 + (place >> 16)}.{(place >> 8) & 255}.{(place & 255) + step}" for step in (1, 2))
    with ExitStack() as stack:
        holder = stack.enter_context(_held_namespace())
        enter = ("nsenter", f"--net=/proc/{holder}/ns/net")
        names = f"sdxb{os.getpid()}a", f"sdxb{os.getpid()}b"
        by = stack.enter_context(_link(names, holder, enter, impairment, seed))
        _run("ip", "address", "add", f"{here}/30", "dev", names[0])
        _run("ip", "link", "set", names[0], "up")
        _run(*enter, "ip", "address", "add", f"{there}/30", "dev", names[1])
        _run(*enter, "ip", "link", "set", names[1], "up")
        yield Network(here, enter, by)


@contextmanager
def _held_namespace() -> Iterator[int]:
    """Pid of a process that holds a new network namespace."""
    command = ["unshare", "--net", sys.executable, "-m", "sdx_serving.bench.impair", str(os.getpid())]
    with _child(command) as process:
        yield process.pid


@contextmanager
def _link(
    names: tuple[str, str], holder: int, enter: tuple[str, ...], impairment: Impairment, seed: int
) -> Iterator[Literal["netem", "user-space link"]]:
    """Devices of these names, the second inside the namespace."""
    if shutil.which("tc"):
        _run("ip", "link", "add", names[0], "type", "veth", "peer", "name", names[1], "netns", str(holder))
        try:
            with_netem = _try("tc", "qdisc", "add", "dev", names[0], "root", *netem(impairment)) is None
            if with_netem:
                _run(*enter, "tc", "qdisc", "add", "dev", names[1], "root", *netem(impairment))
                yield "netem"
                return
        finally:
            _try("ip", "link", "delete", names[0])
    with tempfile.TemporaryDirectory() as folder:
        asked = Path(folder) / "impairment.json"
        asked.write_text(impairment.model_dump_json(), encoding="utf-8")
        with _child([sys.executable, "-m", "sdx_serving.bench.link", *names, str(asked), str(os.getpid()), str(seed)]):
            _run("ip", "link", "set", names[1], "netns", str(holder))
            yield "user-space link"


def netem(impairment: Impairment) -> list[str]:
    """What tc is told for one direction, e.g. netem delay 20ms 5ms loss 1% rate 10mbit."""
    words = ["netem", "delay", f"{impairment.round_trip_ms / 2:g}ms"]
    words += [f"{impairment.jitter_ms:g}ms"] if impairment.jitter_ms else []
    words += ["loss", f"{impairment.loss_percent:g}%"] if impairment.loss_percent else []
    return words + (["rate", f"{impairment.rate_mbit:g}mbit"] if impairment.rate_mbit else [])


@contextmanager
def _child(command: list[str]) -> Iterator[subprocess.Popen[str]]:
    """A process that has printed its first line; ended with the block. NoNetwork with its last words when it ends before."""
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    with process:
        try:
            if process.stdout is None or not process.stdout.readline():
                _, said = process.communicate(timeout=_PATIENCE_S)
                raise NoNetwork(
                    f"not permitted here, it needs root (CAP_NET_ADMIN): {said.strip().splitlines()[-1] if said.strip() else command[0]}"
                )
            yield process
        finally:
            process.kill()


def _try(*command: str) -> str | None:
    """None if it went well, else its last words."""
    done = subprocess.run(command, capture_output=True, text=True, timeout=_PATIENCE_S, check=False)
    return None if done.returncode == 0 else (done.stderr.strip() or f"exit code {done.returncode}")


def _run(*command: str) -> None:
    if said := _try(*command):
        raise NoNetwork(f"`{' '.join(command)}` failed: {said}")


def hold(parent: int) -> int:
    """Keep this process's namespace until the parent ends."""
    tie_to_parent(parent)
    print("ready", flush=True)
    signal.pause()
    return 0


if __name__ == "__main__":
    raise SystemExit(hold(int(sys.argv[1])))
