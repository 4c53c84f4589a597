"""pynetdicom, told to keep data sets and identifiers out of its logs; the peers one talks to; what a C-STORE status means."""

import logging
import re
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Any

_ADDRESS = re.compile(r"(?P<ae_title>[^@\s]{1,16})@(?P<host>[\w.\-]+|\[[0-9a-fA-F:]+\]):(?P<port>\d{1,5})")


@dataclass(frozen=True, slots=True)
class Peer:
    """A DICOM node."""

    ae_title: str
    host: str
    port: int

    def __str__(self) -> str:
        return f"{self.ae_title}@{self.host}:{self.port}"


def peer(address: str) -> Peer:
    """ "PACS@10.0.0.7:104" as a Peer. ValueError for anything else."""
    found = _ADDRESS.fullmatch(address)
    if found is None or not 0 < int(found["port"]) < 65_536:
        raise ValueError(f"{address!r} is no DICOM node: AETITLE@HOST:PORT, e.g. PACS@10.0.0.7:104, the title of at most 16 characters")
    return Peer(found["ae_title"], found["host"].strip("[]"), int(found["port"]))


def pynetdicom() -> Any:
    """The library; it says nothing: what it logs are tracebacks of broken connections, which are told here in a line, and identifiers."""
    import pynetdicom as library
    from pynetdicom import _config, transport

    _config.LOG_HANDLER_LEVEL = "none"
    _config.LOG_REQUEST_IDENTIFIERS = _config.LOG_RESPONSE_IDENTIFIERS = False
    logging.getLogger("pynetdicom").setLevel(logging.CRITICAL)
    _config.STORE_SEND_CHUNKED_DATASET = True  # files go out as they are: no re-encoding, little memory
    transport.AssociationSocket._shutdown_socket = _shut  # type: ignore[method-assign]
    return library


def _shut(association_socket: Any) -> None:
    """In place of pynetdicom's (3.0.4), which leaves a socket open for ever when the peer was the first to close it."""
    if association_socket.socket is not None:
        with suppress(OSError):
            association_socket.socket.shutdown(socket.SHUT_RDWR)
        association_socket.socket.close()


def tune(event: Any, idle_s: float) -> None:
    """EVT_CONN_OPEN: no waiting for full packets (40 ms an instance else), and an end to a peer that stops in the middle of a message.

    pynetdicom reads a message that has begun without a timeout: a pulled cable would hold its thread for good.
    """
    opened: socket.socket = event.assoc.dul.socket.socket
    opened.settimeout(idle_s)
    opened.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    opened.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)


class _Held(threading.Event):
    """Stands where pynetdicom's reactor pauses, and lets it go on only when told by let_go()."""

    def __init__(self) -> None:
        super().__init__()
        self.reached = threading.Event()

    def wait(self, timeout: float | None = None) -> bool:
        self.reached.set()
        return super().wait(timeout)

    def set(self) -> None: ...

    def clear(self) -> None: ...

    def let_go(self) -> None:
        super().set()


@contextmanager
def held(association: Any) -> Iterator[None]:
    """While requests are sent, answers are read by the sender alone.

    pynetdicom (3.0.4) pauses its reactor for each request by a flag that may be a moment old: on a busy machine the reactor then
    takes the answer away, and the sender waits for it until its timeout. Here the reactor is seen to stand still, once for all requests.
    """
    usual, hold = association._reactor_checkpoint, _Held()
    association._reactor_checkpoint = hold
    try:
        while association.is_alive() and not hold.reached.wait(0.01):
            pass
        yield
    finally:
        association._reactor_checkpoint = usual
        usual.set()
        hold.let_go()


def hang_up(association: Any) -> None:
    """Close its connection at once, even while a message is being read."""
    with suppress(OSError, AttributeError):
        association.dul.socket.socket.shutdown(socket.SHUT_RDWR)


def meaning(status: int) -> str:
    """Of a C-STORE response (PS3.4 table B.2-1, PS3.7 annex C)."""
    if status == 0x0000 or status >> 12 == 0xB:
        return "stored"
    if status >> 8 == 0xA7:
        return "the receiver is out of room"
    if status >> 8 == 0xA9:
        return "the data set is not of the class it was announced as"
    if status >> 12 == 0xC:
        return "the receiver cannot understand it"
    return {0x0122: "the receiver does not take this kind of instance", 0x0124: "the receiver does not allow it"}.get(status, "refused")
