"""Real pictures and options of the ship domain, and a page to open in a browser."""

import asyncio
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from sdx_domains.contract import Proposal, Understanding
from sdx_domains.ship.domain import ShipDomain
from sdx_domains.ship.picture import ShipPicture
from sdx_ui.page.store import BridgeStore

sys.path.append(str(Path(__file__).parent))  # tests import what stands beside them


@pytest.fixture(scope="session")
def picture() -> ShipPicture:
    """Own ship in Imazu case 5, three minutes on."""
    domain = ShipDomain()
    plant, perceiver = domain.plant("imazu-05", 0), domain.perceiver()
    picture = perceiver.take(plant.readings(), plant.t_s)
    while plant.t_s < 180.0:
        plant.step(1.0)
        picture = perceiver.take(plant.readings(), plant.t_s)
    return picture


@pytest.fixture(scope="session")
def situation(picture: ShipPicture) -> dict[str, Any]:
    """Picture, options, proposal and verdict as they go over the wire."""
    domain = ShipDomain()
    options = domain.options(picture)
    chosen = domain.fallback(picture, options).order
    assert chosen is not None
    target = picture.targets[0]
    understanding = (Understanding(subject=target.label, kind=target.encounter, role=target.role, rules=target.rules[:2]),)
    proposal = Proposal(option_id=chosen.option_id, understanding=understanding, reason="", source="fallback")
    verdict = domain.assure(picture, options, proposal)
    return {
        "picture": picture.model_dump(mode="json"),
        "options": [option.model_dump(mode="json") for option in options],
        "proposal": proposal.model_dump(mode="json"),
        "verdict": verdict.model_dump(mode="json"),
    }


@dataclass
class ServedPage:
    """A page that runs in this process, with its store to put things in; `sent` is what the operator did."""

    url: str
    store: BridgeStore
    sent: list[Any] = field(default_factory=list)
    clock_s: float = 1000.0
    """The store's clock: stands unless a test moves it."""

    def show(self, situation: dict[str, Any]) -> None:
        """A whole situation, all parts alive, nothing stopped, nothing waiting."""
        self.sent.clear()
        self.clock_s = 1000.0
        self.store.put_estop(False)
        self.store.put_pending(None)
        self.store.put_picture(situation["picture"])
        self.store.put_decision(situation["proposal"], situation["options"], {"model": "scripted", "latency_s": 0.5})
        self.store.put_verdict(situation["verdict"])
        self.store.put_verdict(situation["verdict"], "order", "the agent's order was verified")
        self.store.put_mode("agent", "the agent's order was verified")
        for part in self.store.parts:
            self.store.heard(part)


@pytest.fixture(scope="session")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServedPage]:
    import uvicorn

    from sdx_serving.client import Scripted
    from sdx_serving.ports import free_port
    from sdx_ui.page.app import make_app

    port = free_port()
    page = ServedPage(f"http://127.0.0.1:{port}", BridgeStore(now=lambda: page.clock_s))
    server = uvicorn.Server(uvicorn.Config("", host="127.0.0.1", port=port, log_level="warning"))

    async def serve() -> None:
        # Made inside a running loop: outside of one, Gradio opens loops that it never closes.
        server.config.app = make_app(page.store, page.sent.append, client=Scripted("T1 is the most dangerous."))
        await server.serve()

    thread = threading.Thread(target=lambda: asyncio.run(serve()), daemon=True)
    thread.start()
    ends = time.monotonic() + 30.0
    while not server.started and time.monotonic() < ends:
        time.sleep(0.05)
    assert server.started
    yield page
    server.should_exit = True
    thread.join(10.0)
