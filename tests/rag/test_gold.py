"""Questions are checked when they are read, and every known answer of the shipped sets stands in a passage of its address."""

import json
from collections import Counter
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import yaml
from shipped_library import passage_files

from sdx_rag.evaluate import holds
from sdx_rag.gold import HERE, Question, read, shipped

GOOD = {"id": "a", "domain": "ship", "language": "en", "question": "Who keeps clear?", "answers": ["the other"], "addresses": ["R15"]}


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"answers": []}, "names answers"),
        ({"addresses": []}, "names answers"),
        ({"kind": "near"}, "near"),
        ({"language": "ko"}, "not in the language"),
        ({"wrong": 1}, "wrong"),
        ({"answerable": False}, "names answers"),
    ],
)
def test_a_wrong_question_is_named_with_its_line(tmp_path: Path, change: dict[str, object], told: str) -> None:
    path = tmp_path / "q.jsonl"
    path.write_text(json.dumps(GOOD) + "\n\n" + json.dumps({**GOOD, "id": "b", **change}) + "\n", encoding="utf-8")
    with pytest.raises(ValueError, match=told) as error:
        read([path])
    assert "q.jsonl:3" in str(error.value)


def test_an_id_is_there_once(tmp_path: Path) -> None:
    path = tmp_path / "q.jsonl"
    path.write_text(json.dumps(GOOD) + "\n" + json.dumps(GOOD), encoding="utf-8")
    with pytest.raises(ValueError, match="q.jsonl:2.*there already"):
        read([path])


def test_the_shipped_sets_are_large_enough_in_both_languages() -> None:
    questions = read(shipped())
    count = Counter((question.language, question.answerable) for question in questions)
    assert {path.stem for path in shipped()} == {"ship", "farm", "medicine"}
    assert min(count["en", True], count["ko", True]) >= 105 and min(count["en", False], count["ko", False]) >= 30


def test_questions_for_fitting_are_not_in_the_gold_set() -> None:
    gold = {question.question for question in read(shipped())}
    dev = {question.question for question in read([HERE / "dev.jsonl"])}
    assert not gold & dev and len(dev) >= 100


@pytest.mark.parametrize("path", [*shipped(), HERE / "dev.jsonl"], ids=lambda path: path.stem)
def test_every_answer_stands_in_its_passage(path: Path) -> None:
    wrong = [question.id for question in read([path]) if question.answerable and not _stands(question)]
    assert not wrong


@cache
def _book(domain: str) -> dict[str, Any]:
    texts = [path.read_text(encoding="utf-8") for path in passage_files(domain)]
    return {address: entry for text in texts for address, entry in yaml.safe_load(text)["rules"].items()}


def _stands(question: Question) -> bool:
    texts = [_book(question.domain)[address][question.language]["text"] for address in question.addresses]
    return all(any(holds(text, answer) for answer in question.answers) for text in texts)
