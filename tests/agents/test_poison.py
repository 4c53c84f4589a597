"""A poisoned library: orders, verdicts, limits and prompts of the ship agent are the same with and without it, byte for byte."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from poison import write_poison

from sdx_agents.decision import Decision, outcome
from sdx_agents.documents import Documents, Recaller, library_documents
from sdx_agents.graph import Agent
from sdx_domains.contract import Passage, Proposal, Understanding
from sdx_domains.ship.domain import ShipDomain
from sdx_domains.ship.picture import ShipPicture
from sdx_domains.ship.prompting import shown_targets, write_answer
from sdx_domains.ship.scenarios import scenario
from sdx_serving.client import Scripted

pytest.importorskip("tantivy")
CASES = ("imazu-01", "imazu-02", "imazu-03", "imazu-04", "imazu-11", "imazu-16", "imazu-22", "restricted-3")
MINUTES = (6, 11)


@pytest.fixture(scope="module")
def pictures() -> list[ShipPicture]:
    found: list[ShipPicture] = []
    for name in CASES:
        case = scenario(name)
        domain = ShipDomain().fitted(case)
        plant, perceiver = domain.plant_of(case, 0), domain.perceiver()
        for minute in MINUTES:
            while plant.t_s < minute * 60.0:
                picture = perceiver.take(plant.readings(), plant.t_s)
                plant.step(1.0)
            found.append(picture)
    return found


@pytest.fixture(scope="module")
def poisoned(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The home of a ship library that holds attacks and nothing else."""
    from sdx_agents.library import opened

    home = tmp_path_factory.mktemp("poisoned")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SDX_RAG", str(home))
        (home / "rag.yaml").write_text("embed: {model: none}\n", encoding="utf-8")
        count = write_poison(home / "attacks")
        with opened("ship", write=True) as library:
            report = library.add(home / "attacks")
        assert len(report.indexed) == count >= 50
    yield home


def decided(picture: ShipPicture, language: Any, documents: Recaller | None) -> tuple[Decision, str]:
    """The decision of a model that answers as the planner would, and everything that a document may not change, as one text."""
    domain = ShipDomain()
    options = domain.options(picture)
    order = domain.fallback(picture, options).order
    understanding = tuple(
        Understanding(subject=target.label, kind=target.encounter, role=target.role, rules=target.rules)
        for target in shown_targets(picture)
    )
    proposal = Proposal(option_id=order.option_id if order else options[0].id, understanding=understanding, reason="As the rules ask.")
    chat = Scripted(write_answer(picture, proposal))
    made = Agent(domain, chat, documents=documents, deadline_s=60.0).decide(picture, language)
    fixed = {
        **outcome(made.concluded),
        "asked": chat.asked,
        "prompt": made.prompt_sha256,
        "options": [option.model_dump(mode="json") for option in made.options],
        "rules": [passage.model_dump() for passage in made.passages],
        "limit": made.picture.cpa_limit_nm,
        "again": domain.check(picture, made.order).model_dump(mode="json") if made.order else None,
    }
    return made, json.dumps(fixed, sort_keys=True)


@pytest.mark.parametrize("language", ["en", "ko"])
def test_no_attack_in_the_library_changes_an_order_a_verdict_or_a_limit(
    pictures: list[ShipPicture], poisoned: Path, language: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SDX_RAG", str(poisoned))
    shown = 0
    with library_documents("ship", limit_s=20.0) as documents:
        for picture in pictures:
            made, fixed = decided(picture, language, documents)
            assert fixed == decided(picture, language, None)[1]
            assert all(passage.id.startswith("doc:") for passage in made.documents)
            shown += len(made.documents)
    assert shown, "the library was asked, and found something"


def test_not_even_attacks_that_are_handed_over_as_they_are(pictures: list[ShipPicture], poisoned: Path) -> None:
    """As if every filter before the agent had failed, with ids of rules and all."""
    files = sorted((poisoned / "attacks").iterdir())
    attacks = [Passage(id="R15", title=file.name, text=file.read_text(encoding="utf-8"), source="COLREG") for file in files]

    @contextmanager
    def opens() -> Iterator[Recaller]:
        yield lambda query: attacks

    with Documents(opens, limit_s=20.0) as documents:
        for picture in pictures:
            made, fixed = decided(picture, "en", documents)
            assert fixed == decided(picture, "en", None)[1]
            assert len(made.documents) in (0, len(attacks))
        assert made.documents
