"""Sends DICOM files to a PACS by C-STORE, and again what did not arrive. Start at send()."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sdx_domains.medicine.privacy.quiet import unchecked
from sdx_ros_nodes.dicom.network import Peer, held, meaning, pynetdicom, tune

TRIES = 6
WAIT_S = 1.0
"""Before the second attempt; twice as long before each further one."""
CONTEXTS = 128
"""Presentation contexts of one association, PS3.8 section 9.3.2.2."""


@dataclass(frozen=True, slots=True)
class Sent:
    """What became of each file."""

    stored: tuple[Path, ...]
    failed: tuple[tuple[Path, str], ...]
    """With the reason."""


@dataclass(frozen=True, slots=True)
class _Item:
    path: Path
    sop_class: str
    syntax: str


def send(
    paths: Sequence[Path],
    to: Peer,
    own_title: str = "SDX",
    *,
    tries: int = TRIES,
    wait_s: float = WAIT_S,
    timeout_s: float = 60.0,
    say: Callable[[str], None] = lambda line: None,
    sleep: Callable[[float], None] = time.sleep,
) -> Sent:
    """Each file until the peer has confirmed it; a broken connection or a full disk there is tried again, a refusal is final. Never raises
    for the network. An attempt that stored something does not count: only `tries` attempts without progress end it.
    """
    reasons: dict[Path, str] = {}
    left = [item for path in dict.fromkeys(paths) if (item := _item(path, reasons)) is not None]
    stored: list[Path] = []
    without, again = 0, ""
    while left and without < tries:
        if without:
            say(f"{again}; trying again in {wait_s * 2 ** (without - 1):g} s, {len(left)} left")
            sleep(wait_s * 2 ** (without - 1))
        before = len(stored)
        again = _associate(left, to, own_title, timeout_s, stored, reasons) or "some were not confirmed"
        left = [item for item in left if item.path not in set(stored) and item.path not in reasons]
        without = 0 if len(stored) > before else without + 1
        say(f"{len(stored)} of {len(stored) + len(left) + len(reasons)} stored at {to}")
    return Sent(tuple(stored), (*reasons.items(), *((item.path, again) for item in left)))


def echo(to: Peer, own_title: str = "SDX", timeout_s: float = 10.0) -> str:
    """C-ECHO: "" where the peer answers, else why not."""
    entity = _entity(own_title, timeout_s)
    entity.add_requested_context("1.2.840.10008.1.1")
    association = _open(entity, to, timeout_s)
    if not association.is_established:
        return _not_connected(association, to)
    try:
        with held(association):
            status = association.send_c_echo()
        return "" if status and status.Status == 0 else f"{to} did not answer the echo"
    finally:
        association.release()


def _item(path: Path, reasons: dict[Path, str]) -> _Item | None:
    from pydicom.filereader import read_file_meta_info

    try:
        with unchecked():
            meta = read_file_meta_info(path)
        return _Item(path, str(meta.MediaStorageSOPClassUID), str(meta.TransferSyntaxUID))
    except Exception as error:  # noqa: BLE001 - whatever a broken file raises
        reasons[path] = f"no DICOM file with its meta information ({type(error).__name__})"
        return None


def _entity(own_title: str, timeout_s: float) -> Any:
    entity = pynetdicom().AE(own_title)
    entity.connection_timeout = entity.acse_timeout = min(timeout_s, 30.0)
    entity.dimse_timeout = entity.network_timeout = timeout_s
    return entity


def _open(entity: Any, to: Peer, timeout_s: float) -> Any:
    from pynetdicom import evt

    return entity.associate(
        to.host, to.port, ae_title=to.ae_title, evt_handlers=[(evt.EVT_CONN_OPEN, lambda event: tune(event, timeout_s))]
    )


def _associate(left: Sequence[_Item], to: Peer, own: str, timeout_s: float, stored: list[Path], reasons: dict[Path, str]) -> str:
    """One association; adds to `stored` and `reasons`. Returns why it ended early, or ""."""
    entity = _entity(own, timeout_s)
    kinds = list(dict.fromkeys((item.sop_class, item.syntax) for item in left))[:CONTEXTS]
    for sop_class, syntax in kinds:
        entity.add_requested_context(sop_class, syntax)
    association = _open(entity, to, timeout_s)
    if not association.is_established:
        return _not_connected(association, to)
    ended = ""
    try:
        with held(association):
            for item in left:
                if (item.sop_class, item.syntax) in kinds and not ended:
                    ended = _one(association, item, to, stored, reasons)
    finally:
        if association.is_established:
            association.release()
    return ended


def _one(association: Any, item: _Item, to: Peer, stored: list[Path], reasons: dict[Path, str]) -> str:
    """Send one file. Returns why the association is of no more use, or ""."""
    try:
        with unchecked():
            answer = association.send_c_store(item.path)
    except ValueError:
        reasons[item.path] = f"{to} does not take class {item.sop_class} in transfer syntax {item.syntax}"
        return ""
    except (RuntimeError, OSError) as error:
        return f"the connection to {to} broke ({type(error).__name__})"
    status = answer.get("Status") if answer else None
    if status is None:
        return f"the connection to {to} broke before it confirmed"
    if status == 0 or status >> 12 == 0xB:
        stored.append(item.path)
    elif status >> 8 != 0xA7:  # out of resources passes
        reasons[item.path] = f"{to} answered 0x{status:04X}: {meaning(status)}"
    return ""


def _not_connected(association: Any, to: Peer) -> str:
    if association.is_rejected:
        return f"{to} rejects the association: are both AE titles known there?"
    return f"{to} does not answer"
