"""A reading room that runs in this process, with a case to read."""

import asyncio
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

BESIDE = Path(__file__).parents[2] / "agents/reading"
sys.path.append(str(BESIDE))  # tests import what stands there

import chest

from sdx_agents.reading.case import Case, Made
from sdx_domains.medicine.picture import Prior
from sdx_ui.reading_room.app import room_over
from sdx_ui.reading_room.room import Room, create_reading_room

MADE = Made(model="sdx-test", model_sha256="a" * 64)


@dataclass
class ServedRoom:
    url: str
    room: Room
    number: int = 0

    def add(self, hostile: bool = False) -> Case:
        """A new draft, unlike all before it."""
        self.number += 1
        prior = Prior(study_uid="2.25.9", days_before=120, findings=chest.findings()[:1])
        more = {"manufacturer": chest.HOSTILE, "corrections": (chest.HOSTILE,), "warnings": (chest.HOSTILE,)} if hostile else {}
        series, picture, statements = chest.study(self.number, prior=prior, **more)
        return self.room.store.add(series, picture, statements, MADE)


@pytest.fixture
def room(tmp_path: Path) -> Room:
    return room_over(tmp_path / "room")


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServedRoom]:
    import uvicorn

    from sdx_serving.ports import free_port

    port = free_port()
    there = room_over(tmp_path_factory.mktemp("room"))
    there = replace(there, answer=lambda case, question: f"{case.picture.findings[0].label}? {question}")
    server = uvicorn.Server(uvicorn.Config(create_reading_room(there), host="127.0.0.1", port=port, log_level="warning"))
    thread = threading.Thread(target=lambda: asyncio.run(server.serve()), daemon=True)
    thread.start()
    ends = time.monotonic() + 60.0
    while not server.started and time.monotonic() < ends:
        time.sleep(0.05)
    assert server.started
    yield ServedRoom(f"http://127.0.0.1:{port}", there)
    server.should_exit = True
    thread.join(10.0)
