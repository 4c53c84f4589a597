"""The reading room as a process: its page, the vision model, and what comes in by DICOM drafted as it comes. Start at serve()."""

import logging
import queue
import threading
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import uvicorn

from sdx_domains.medicine.ingest.rules import Refused
from sdx_domains.medicine.privacy.vault import Vault
from sdx_serving.client import ChatError
from sdx_ui.reading_room.app import room_over
from sdx_ui.reading_room.drafts import Drafting, drafting, reading
from sdx_ui.reading_room.room import create_reading_room

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Listening:
    """Where DICOM series are received."""

    host: str
    port: int
    ae_title: str
    calling: tuple[str, ...] = ()


def serve(folder: Path, port: int, model: str, listening: Listening | None = None) -> None:
    """Until Ctrl-C or SIGTERM. OSError: a port cannot be had."""
    with ExitStack() as stack:
        reader = stack.enter_context(reading(model))
        app = create_reading_room(room_over(folder, reader))
        if listening is not None:
            stack.enter_context(_receive(folder, listening, drafting(folder, reader)))
        print(f"reading room: http://127.0.0.1:{port}/medicine", flush=True)
        uvicorn.run(app, host="127.0.0.1", port=port, log_level="warning")


def _receive(folder: Path, at: Listening, draft: Drafting) -> ExitStack:
    """Listens; what is whole is drafted one after another. Closing the stack ends both."""
    from sdx_ros_nodes.dicom.inbox import Inbox
    from sdx_ros_nodes.dicom.receiver import Bounds, Receiver

    stop, waiting = threading.Event(), queue.Queue[Path]()

    def take() -> None:
        while not stop.is_set():
            try:
                _drafted(draft, waiting.get(timeout=0.5))
            except queue.Empty:
                continue

    inbox = Inbox(folder / "inbox", Vault(folder / "vault").pseudonym)
    receiver = Receiver(inbox, lambda series: waiting.put(series.folder), at.ae_title, Bounds(calling=at.calling))
    with ExitStack() as stack:
        stack.callback(stop.set)
        port = receiver.start(at.host, at.port)
        stack.callback(receiver.close)
        threading.Thread(target=take, name="reading-drafts", daemon=True).start()
        print(f"DICOM is received as {at.ae_title} on {at.host}:{port}", flush=True)
        return stack.pop_all()


def _drafted(draft: Drafting, study: Path) -> None:
    try:
        case, seconds = draft(study)
        print(f"case {case.id}: drafted in {sum(seconds.values()):.1f} s, {case.urgency}", flush=True)
    except (Refused, ChatError, OSError) as error:
        print(f"not drafted: {error}", flush=True)
    except Exception:  # the next series is read all the same
        log.exception("a series could not be drafted")
