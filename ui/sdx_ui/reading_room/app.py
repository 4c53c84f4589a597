"""The reading room put together: the cases of a folder with this project's renderer, checks, results and answers. Start at room_over()."""

from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sdx_agents.reading.case import Case
from sdx_domains.medicine.picture import MedicinePicture
from sdx_ui.reading_room.room import Answer, Room

if TYPE_CHECKING:
    from sdx_agents.reading.cases import CaseStore
    from sdx_serving.vision.client import SeeingChat


@dataclass(frozen=True)
class Study:
    """What a question is about."""

    picture: MedicinePicture
    domain: Any


def room_over(folder: Path, reader: "SeeingChat | None" = None) -> Room:
    """The room over a folder of cases. `reader`: the vision model that answers questions; None: code alone does."""
    from sdx_agents.reading.cases import CaseStore
    from sdx_domains.medicine.assure.checks import problems
    from sdx_domains.medicine.language.render import render
    from sdx_domains.medicine.privacy.text import scrub
    from sdx_ui.reading_room.export import EXPORTS
    from sdx_ui.reading_room.viewer_3d import bundle

    store = CaseStore(folder, render, scrub)
    return Room(store, render, problems, EXPORTS, answers(store, reader), bundle())


def answers(store: "CaseStore", reader: "SeeingChat | None") -> Answer:
    """Answers by code where it can, else by the model, which is shown the volume first; its figures are held to the picture."""

    def answer(case: Case, question: str) -> str:
        from sdx_domains.medicine.domain import medicine_domain  # much to load, for who asks
        from sdx_serving.client import ChatError
        from sdx_ui.page import chat

        picture = case.picture
        if reader is not None:
            with suppress(ChatError):  # the question fails for the same reason, and its answer says so
                picture = shown(case, store, reader)
        *_, said = chat.answer(Study(picture, medicine_domain()), reader, question)  # it grows: the last is whole
        return said

    return answer


def shown(case: Case, store: "CaseStore", reader: "SeeingChat") -> MedicinePicture:
    """The case's picture, with a handle that the model knows. ChatError."""
    from sdx_agents.reading.drafting import look

    saw = case.picture.saw
    if saw is None or reader.remembers(saw.handle):
        return case.picture
    handle = look(reader, store.series(case.id)).handle
    return case.picture.model_copy(update={"saw": saw.model_copy(update={"handle": handle})})
