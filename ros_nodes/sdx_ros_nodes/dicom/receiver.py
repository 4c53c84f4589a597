"""C-STORE and C-ECHO receiver: CT series come in from a scanner or PACS and are handed on when they are whole. Start at Receiver.

An instance is answered with success only when it is on disk, whole. A sender that was cut off, or a receiver that was killed, loses
nothing: the sender sends again what was not confirmed, and what comes twice is kept once.
"""

import errno
import logging
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sdx_domains.medicine.privacy.quiet import unchecked
from sdx_ros_nodes.dicom.inbox import Inbox, Received, Uids
from sdx_ros_nodes.dicom.network import hang_up, pynetdicom, tune
from sdx_ros_nodes.dicom.series_watch import SeriesWatch

STORED, NO_ROOM, NOT_SUPPORTED, MISMATCH, NOT_UNDERSTOOD = 0x0000, 0xA700, 0x0122, 0xA900, 0xC000
"""C-STORE statuses, PS3.4 table B.2-1 and PS3.7 annex C."""
CT_CLASSES = ("1.2.840.10008.5.1.4.1.1.2", "1.2.840.10008.5.1.4.1.1.2.1")
"""CT Image Storage, Enhanced CT Image Storage."""
SYNTAXES = (
    *("1.2.840.10008.1.2.1", "1.2.840.10008.1.2"),  # explicit and implicit little endian
    *("1.2.840.10008.1.2.5", "1.2.840.10008.1.2.4.90", "1.2.840.10008.1.2.4.91"),  # RLE, JPEG 2000 lossless and lossy
)
"""What can be decoded here; a sender with others in store converts before it sends."""
LOOK_S = 0.2
ATTEMPTS = 3
"""To hand a series on, when whoever takes it fails; then it waits for more instances or the next start."""
_HEAD_ENDS = 0x0020000E
_LOGGER = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Bounds:
    """What is let in."""

    calling: tuple[str, ...] = ()
    """AE titles that may send; empty: any. A title is no proof of who sends: the network must keep others out."""
    largest_mb: float = 1024.0
    """Of one instance; an enhanced CT of 1,000 slices has 550."""
    free_mb: float = 2048.0
    """Of disk that must stay free."""
    associations: int = 8
    after_release_s: float = 3.0
    quiet_s: float = 30.0
    idle_s: float = 60.0
    """A connection on which nothing comes for so long is closed."""


class Receiver:
    """Listens from start() to close().

    Args:
        done: takes each series when it is whole, one at a time, in a thread of its own; may take long. When it raises it is tried again.
    """

    def __init__(self, inbox: Inbox, done: Callable[[Received], object], ae_title: str = "SDX", bounds: Bounds | None = None) -> None:
        self._inbox, self._done, self._bounds = inbox, done, bounds or Bounds()
        self._watch = SeriesWatch(self._bounds.after_release_s, self._bounds.quiet_s)
        self._failed: dict[Path, int] = {}
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._hand_on, name="dicom-series", daemon=True)
        self._entity = pynetdicom().AE(ae_title)
        for sop_class in CT_CLASSES:
            self._entity.add_supported_context(sop_class, list(SYNTAXES))
        self._entity.add_supported_context("1.2.840.10008.1.1")  # verification: C-ECHO
        self._entity.require_called_aet = True
        self._entity.require_calling_aet = list(self._bounds.calling)
        self._entity.maximum_associations = self._bounds.associations
        self._entity.network_timeout = self._bounds.idle_s
        self._entity.maximum_pdu_size = 1 << 17

    def start(self, host: str = "127.0.0.1", port: int = 11112) -> int:
        """Returns the port, which `port` 0 leaves to the system. OSError: it cannot be listened on."""
        from pynetdicom import evt

        handlers = [
            (evt.EVT_CONN_OPEN, lambda event: tune(event, self._bounds.idle_s)),
            (evt.EVT_C_STORE, self._take),
            (evt.EVT_PDU_RECV, self._bound),
            (evt.EVT_RELEASED, lambda event: self._left(event, released=True)),
            (evt.EVT_CONN_CLOSE, lambda event: self._left(event, released=False)),
        ]
        self._server = self._entity.start_server((host, port), block=False, evt_handlers=handlers)
        for folder in self._inbox.pending():  # of an earlier run that was killed
            self._watch.arrived(folder, time.monotonic())
        self._thread.start()
        return int(self._server.socket.getsockname()[1])

    def close(self) -> None:
        """Cut off who is sending, and wait for a hand-over that is under way."""
        self._closing.set()
        for association in self._entity.active_associations:
            hang_up(association)
        self._entity.shutdown()
        self._thread.join()

    def _take(self, event: Any) -> int:
        """One C-STORE request -> its status. Never raises: what goes wrong is a status to the sender and a line without identity here."""
        try:
            uids = _uids(event)
        except _Refused as refused:
            _LOGGER.warning("an instance was refused: %s", refused)
            return refused.status
        except Exception as error:  # noqa: BLE001 - hostile bytes may raise anything
            _LOGGER.warning("an instance was refused: its data set cannot be read (%s)", type(error).__name__)
            return NOT_UNDERSTOOD
        raw = event.request.DataSet.getbuffer()
        if len(raw) > self._bounds.largest_mb * 1e6 or self._inbox.free_mb() < self._bounds.free_mb + len(raw) / 1e6:
            _LOGGER.error("an instance of %.0f MB was refused: over %s", len(raw) / 1e6, self._limits())
            return NO_ROOM
        try:
            folder, arrival = self._inbox.put(uids, (_file_head(event), raw))
        except OSError as error:
            _LOGGER.error("an instance could not be kept: %s", errno.errorcode.get(error.errno or 0, type(error).__name__))
            return NO_ROOM
        if arrival != "same" or not self._inbox.handed(folder):
            self._watch.arrived(folder, time.monotonic(), id(event.assoc))
        if arrival == "replaced":
            _LOGGER.warning("an instance of series %s came again with other content and was replaced", folder.name)
        return STORED

    def _bound(self, event: Any) -> None:
        """Cut a sender off while its message grows beyond what is taken, before it fills the memory."""
        message = event.assoc.dimse.message
        if message is not None and message.data_set.tell() > self._bounds.largest_mb * 1e6 + 1e6:
            _LOGGER.error("a sender was cut off: its instance is larger than %.0f MB", self._bounds.largest_mb)
            event.assoc.abort()

    def _left(self, event: Any, released: bool) -> None:
        self._watch.left(id(event.assoc), time.monotonic(), released)

    def _limits(self) -> str:
        return f"{self._bounds.largest_mb:g} MB, or fewer than {self._bounds.free_mb:g} MB would stay free on the disk of the inbox"

    def _hand_on(self) -> None:
        while not self._closing.wait(LOOK_S):
            for folder in self._watch.whole(time.monotonic()):
                if not self._closing.is_set():
                    self._hand(folder)

    def _hand(self, folder: Path) -> None:
        state, series = self._inbox.state(folder), self._inbox.received(folder)
        try:
            self._done(series)
        except Exception as error:  # noqa: BLE001 - receiving goes on whatever becomes of one series
            failed = self._failed[folder] = self._failed.get(folder, 0) + 1
            _LOGGER.error("series %s could not be handed on (%s), attempt %d of %d", folder.name, type(error).__name__, failed, ATTEMPTS)
            if failed < ATTEMPTS:
                self._watch.arrived(folder, time.monotonic())
            return
        self._failed.pop(folder, None)
        self._inbox.mark(folder, state)
        if self._inbox.state(folder) != state:  # more came meanwhile
            self._watch.arrived(folder, time.monotonic())


class _Refused(ValueError):
    def __init__(self, status: int, reason: str) -> None:
        super().__init__(reason)
        self.status = status


def _uids(event: Any) -> Uids:
    """Whose instance it is, read from the data set itself, which must be what the request says. Raises _Refused."""
    from pydicom.filereader import read_dataset
    from pydicom.uid import UID as SyntaxUID

    request, syntax = event.request, SyntaxUID(event.context.transfer_syntax)
    if str(request.AffectedSOPClassUID) not in CT_CLASSES:
        raise _Refused(NOT_SUPPORTED, "it is no CT image")
    request.DataSet.seek(0)
    with unchecked():
        head = read_dataset(
            request.DataSet, syntax.is_implicit_VR, syntax.is_little_endian, stop_when=lambda tag, vr, length: int(tag) > _HEAD_ENDS
        )
        named = [str(head.get(keyword, "")) for keyword in ("StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID", "SOPClassUID")]
    if named[2:] != [str(request.AffectedSOPInstanceUID), str(request.AffectedSOPClassUID)]:
        raise _Refused(MISMATCH, "its data set is another instance than the request says")
    try:
        return Uids(*named[:3])
    except ValueError as error:
        raise _Refused(NOT_UNDERSTOOD, str(error)) from None


def _file_head(event: Any) -> bytes:
    """Preamble and file meta information: with the data set as it came, a DICOM file."""
    from pynetdicom.dsutils import encode_file_meta

    return b"\0" * 128 + b"DICM" + encode_file_meta(event.file_meta)
