import json
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from sdx_finetune.adapt.recipe import AdaptRecipe
from sdx_finetune.datasets.store import Store
from sdx_finetune.measure.evaluate import Answerer
from sdx_finetune.measure.report import losses, write_report
from sdx_finetune.measure.side_by_side import Candidate, Measure, candidate, compare, evaluate_recipe, labels_of
from sdx_finetune.rows import Row, check_row

HOW = Measure("sdx_finetune.measure.text_metrics:score")
EVIL = '"><script>alert(1)</script><img src=x onerror=alert(2)>'


class Reader:
    """Answers by reading the facts, wrongly for Korean where told so."""

    concurrency = 2

    def __init__(self, name: str, wrong_korean: bool) -> None:
        self.name, self.wrong_korean, self.asked = name, wrong_korean, 0

    def answer(self, turns: list[dict[str, str]], schema: Mapping[str, Any] | None) -> str:
        self.asked += 1
        lines = [line.split() for line in turns[-1]["content"].splitlines() if line.startswith("T")]
        korean = "가까운가" in turns[-1]["content"]
        chosen = (max if korean and self.wrong_korean else min)(lines, key=lambda words: float(words[2]))[0]
        reason = f"{chosen}이 가장 가깝다." if korean else f"{chosen} passes nearest."
        return json.dumps({"nearest": chosen, "reason": reason}, ensure_ascii=False, separators=(",", ":"))


def reading(label: str, wrong_korean: bool = False) -> tuple[Candidate, Reader]:
    reader = Reader(f"reader of {label}", wrong_korean)

    @contextmanager
    def opened() -> Iterator[Answerer]:
        yield reader

    return Candidate(label, opened), reader


def test_better_worse_and_equal_are_told_per_metric_and_language(toy: list[Row], tmp_path: Path) -> None:
    (base, _), (previous, _), (new, _) = reading("base", True), reading("previous"), reading("new")
    result = compare(toy[:80], [base, previous, new], HOW, tmp_path)
    to_base, to_previous = result["differences"]["base"], result["differences"]["previous"]
    assert {to_base[name]["verdict"] for name in ("exact", "chrf", "json_fields", "field_nearest")} == {"better"}
    assert {one["verdict"] for one in to_previous.values()} == {"no difference seen"}
    by = result["differences_by"]["language"]
    assert by["ko"]["base"]["exact"] | {"low": 0, "high": 0} == {
        "mean": 1.0,
        "low": 0,
        "high": 0,
        "rows": by["ko"]["base"]["exact"]["rows"],
        "verdict": "better",
    }
    assert by["en"]["base"]["exact"]["mean"] == 0.0
    assert [model["label"] for model in result["models"]] == ["base", "previous", "new"]
    assert json.loads((tmp_path / "evaluation.json").read_text(encoding="utf-8")) == result
    assert result["worst"] == []


def test_rows_that_were_lost_are_shown(toy: list[Row], tmp_path: Path) -> None:
    (base, _), (new, _) = reading("base"), reading("new", True)
    result = compare(toy[:40], [base, new], HOW, tmp_path)
    assert result["differences"]["base"]["exact"]["verdict"] == "worse"
    korean = {row.key for row in toy[:40] if row.meta["language"] == "ko"}
    assert result["worst"] and {row["key"] for row in result["worst"]} <= korean
    first = result["worst"][0]
    assert first["answers"]["base"] == first["expected"] != first["answers"]["new"] and "exact" in first["lost"]


def test_a_second_call_asks_nothing_again_until_the_schema_changes(toy: list[Row], tmp_path: Path) -> None:
    compare(toy[:12], [reading("new")[0]], HOW, tmp_path)
    again, reader = reading("new")
    compare(toy[:12], [again], HOW, tmp_path)
    assert reader.asked == 0
    held, reader = reading("new")
    compare(toy[:12], [held], Measure(HOW.scorer, "toy_rows:schema_of"), tmp_path)
    assert reader.asked == 12


def test_a_scorer_for_other_rows_is_named(toy: list[Row], tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"grading:grade fails on row \w+ \(KeyError: 'task'\): is it made for rows like this"):
        compare(toy[:3], [reading("new")[0]], Measure("sdx_domains.ship.grading:grade"), tmp_path)


def test_pictures_and_missing_files_are_refused(toy: list[Row], tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="has images"):
        compare([toy[0].model_copy(update={"images": ("a.png",)})], [reading("new")[0]], HOW, tmp_path)
    with pytest.raises(FileNotFoundError, match="old.gguf: no such file; give `embedded`"):
        candidate("old", str(tmp_path / "old.gguf"), HOW)
    assert labels_of(["a/x.gguf", "b/x.gguf", "http://h:1/v1#big", "embedded"]) == ["x", "x-2", "big", "embedded"]


class Page(HTMLParser):
    """Tags, and addresses that a browser would fetch."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.fetched: list[str] = []
        self.ids: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.fetched += [value for name, value in attrs if name in ("src", "href", "xlink:href") and value and not value.startswith("#")]
        self.ids += [value for name, value in attrs if name == "id" and value]


def test_the_page_stands_alone_and_shows_text_as_text(toy: list[Row], tmp_path: Path) -> None:
    hostile = [check_row({"messages": [*row.turns()[:-2], {"role": "user", "content": f"{EVIL}\n{row.messages[-2].content}"}, row.turns()[-1]], "meta": {"language": EVIL if i % 2 else "$x_1$ 한국어"}}, "t") for i, row in enumerate(toy[:40])]  # fmt: skip
    (base, _), (new, _) = reading(EVIL), reading("new", True)
    result = compare(hostile, [base, new], HOW, tmp_path)
    lines = [
        {"step": 1, "loss": 2.0, "held_out_loss": None},
        {"step": 2, "loss": 1.5, "held_out_loss": 1.9},
        {"step": 3, "loss": 1.4, "held_out_loss": 1.9},
    ]
    (tmp_path / "train.jsonl").write_text("\n".join(map(json.dumps, lines)) + '\n{"step": 4, "lo', encoding="utf-8")
    assert losses(tmp_path / "train.jsonl") == ([(1, 2.0), (2, 1.5), (3, 1.4)], [(2, 1.9)])
    text = write_report(result, tmp_path / "report.html", title=EVIL, work=tmp_path, recipe={"name": EVIL}).read_text(encoding="utf-8")
    page = Page()
    page.feed(text)
    assert "script" not in page.tags and "img" not in page.tags and page.fetched == []
    assert not re.search(r"url\(\s*['\"]?https?:", text) and "@import" not in text
    assert page.tags >= {"svg", "table", "details"} and text.count("<svg") == 3
    assert {page.ids.count(name) for name in re.findall(r'(?:url\(#|href="#)(\w+)', text)} == {1}  # no plot draws with another's marks
    assert "prefers-color-scheme: dark" in text and "#0101" not in text and "worse" in text


@pytest.mark.slow
def test_a_recipe_is_measured_beside_its_base(toy: list[Row], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from sdx_serving.connect import embedded_model_path

    monkeypatch.setenv("SDX_DATASETS", str(tmp_path / "sets"))
    held = [{"key": row.key, "messages": row.turns(), "images": [], "meta": row.meta} for row in toy[:2]]
    facts = {
        "name": "toy",
        "sources": [],
        "licence": "",
        "dropped": 0,
        "description": "",
        "tokens": 0,
        "tokenizer": "",
        "languages": {},
        "groups": 2,
    }
    card = Store().add({"train": held, "eval": held}, facts)
    recipe = AdaptRecipe.model_validate({
        "name": "toy", "description": "-", "method": "sft", "data": {"dataset": f"toy@{card.version}"}, "train": {"max_steps": 1},
        "evaluate": {"max_tokens": 4},
    })  # fmt: skip
    result = evaluate_recipe(recipe, tmp_path, embedded_model_path(), toy[:2], tmp_path, lambda line: None)
    assert [model["label"] for model in result["models"]] == ["base", "new"]
    assert result["differences"]["base"]["chrf"]["mean"] == 0.0
    assert (tmp_path / "report.html").read_text(encoding="utf-8").count("toy@") >= 1
