"""The reading room as a process: its page, the vision model, and what comes in by DICOM drafted as it comes. Start at serve()."""

import logging
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import uvicorn

from sdx_agents.reading.case import Case
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
            stack.enter_context(_receive(folder, listening, drafting(folder, reader), drafting(folder, None)))
        print(f"reading room: http://127.0.0.1:{port}/medicine", flush=True)
        uvicorn.run(app, host="127.0.0.1", port=port, log_level="warning")


def _receive(folder: Path, at: Listening, draft: Drafting, alone: Drafting) -> ExitStack:
    """Listens; what is whole is drafted one after another. Closing the stack ends both."""
    from sdx_ros_nodes.dicom.inbox import Inbox
    from sdx_ros_nodes.dicom.receiver import Bounds, Receiver

    inbox = Inbox(folder / "inbox", Vault(folder / "vault").pseudonym)
    # Drafted before it counts as handed on: what a kill or a full disk cuts short is drafted at the next start.
    receiver = Receiver(inbox, lambda series: draft_series(draft, alone, series.folder), at.ae_title, Bounds(calling=at.calling))
    with ExitStack() as stack:
        port = receiver.start(at.host, at.port)
        stack.callback(receiver.close)
        print(f"DICOM is received as {at.ae_title} on {at.host}:{port}", flush=True)
        return stack.pop_all()


def draft_series(draft: Drafting, alone: Drafting, study: Path) -> None:
    """With the model, and without while it cannot be asked. Raises what may go well another time; the receiver tries again."""
    try:
        case, seconds = _with_or_without(draft, alone, study)
        print(f"case {case.id}: drafted in {sum(seconds.values()):.1f} s, {case.urgency}", flush=True)
    except Refused as error:
        print(f"not drafted: {error}", flush=True)
    except Exception:
        log.exception("a series could not be drafted")
        raise


def _with_or_without(draft: Drafting, alone: Drafting, study: Path) -> tuple[Case, Mapping[str, float]]:
    try:
        return draft(study)
    except ChatError as error:
        print(f"drafted without the model, from what is measured alone: {error}", flush=True)
        return alone(study)
