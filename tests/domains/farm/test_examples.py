"""Rows come from simulated seasons; each answer is read back, accepted, and true to its picture."""

import json
from itertools import islice
from types import SimpleNamespace

import pytest

from sdx_domains.farm import examples, grading
from sdx_domains.farm.cited import cited
from sdx_domains.farm.drills import derive
from sdx_domains.farm.examples import TRAINING_SEED, WEATHER_SEED, moments, rows, situation
from sdx_domains.farm.world.scenarios import book


@pytest.fixture(scope="module")
def first():
    """A moment of a training season."""
    return next(moments(TRAINING_SEED + 77))


@pytest.fixture(scope="module")
def made(first):
    return list(examples.rows_of(first))


def test_a_moment_gives_both_languages_and_questions(made) -> None:
    tasks = [(row["meta"]["task"], row["meta"]["language"]) for row in made]
    assert tasks[:2] == [("decide", "en"), ("decide", "ko")]
    assert sum(task == "question" for task, _ in tasks) >= examples.QUESTIONS


@pytest.mark.parametrize("language", ["en", "ko"])
def test_the_teacher_s_answer_is_accepted_and_another_is_not(first, language) -> None:
    picture, options, _, meta = first
    asked = situation(picture, options, language, meta)
    assert asked.verify(asked.answer) == ""
    answer = json.loads(asked.answer)
    assert "limited by" in asked.verify(json.dumps(answer | {"limit": "heat"}))
    assert "was not offered" in asked.verify(json.dumps(answer | {"option": "Z"}))
    assert "not a figure" in asked.verify(json.dumps(answer | {"reason": "Inside it is 55.5 °C."}))
    assert asked.verify("nonsense") != ""


def test_rows_are_graded_full_and_cut_into_drills(made) -> None:
    for row in made:
        seen = SimpleNamespace(messages=[SimpleNamespace(**message) for message in row["messages"]], meta=row["meta"])
        metrics = grading.grade(seen, row["messages"][-1]["content"])
        assert all(value is None or value == 1.0 for value in metrics.values()), (metrics, row)
        assert len(derive(row)) == 1


def test_seeds_of_the_scenarios_are_refused() -> None:
    for start in (lambda: next(rows(1, TRAINING_SEED - 1)), lambda: next(moments(0))):
        with pytest.raises(ValueError, match="belongs to the scenarios; take one from 1000000 on"):
            start()


def test_the_weather_of_training_seasons_is_no_scenario_s() -> None:
    most = max(book()["seed_base"].values()) + 99_999
    assert most < WEATHER_SEED + TRAINING_SEED
    names = set()
    for seed in range(TRAINING_SEED, TRAINING_SEED + 60):
        case = examples.case_of(seed)
        assert case.weather_seed == WEATHER_SEED + seed
        names.add(tuple(case.name.split("-")[1:3]))
    assert len(names) >= 12  # seasons and sites are mixed


@pytest.mark.slow
def test_what_texts_cite_is_in_the_picture() -> None:
    found = cited(6)
    for tally in found.values():
        assert tally["texts"] == 42 and tally["numbers"] > 200
        assert tally["cited_right"] >= 0.98 and tally["moved_noticed"] >= 0.98


@pytest.mark.slow
def test_the_same_seed_gives_the_same_rows() -> None:
    first, again = (list(islice(rows(20, TRAINING_SEED + 5), 20)) for _ in range(2))
    assert first == again and len({row["meta"]["index"] for row in first}) >= 3
