"""Near-duplicates and leaks: all that are planted are found, nothing else; splits keep groups whole."""

import random
from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sdx_finetune.datasets.check import check
from sdx_finetune.datasets.formats import parse
from sdx_finetune.datasets.gather import Gathered
from sdx_finetune.datasets.near import Neighbours, near_by_meaning, near_by_words
from sdx_finetune.datasets.splits import assign, group_of, joined, leaks

WORDS = [f"word{n}" for n in range(2000)]


def texts(count: int, seed: int = 0) -> list[str]:
    rng = random.Random(seed)
    return [" ".join(rng.choices(WORDS, k=rng.randint(12, 60))) for _ in range(count)]


def changed(text: str, rng: random.Random) -> str:
    """One word replaced near an end: Jaccard of the shingles stays over 0.8 for texts of 30 words and more."""
    words = text.split()
    words[rng.choice((0, len(words) - 1))] = "other"
    return " ".join(words)


def test_every_planted_near_duplicate_is_found_and_nothing_else() -> None:
    rng = random.Random(1)
    base = [text for text in texts(1500) if len(text.split()) >= 30]
    originals = rng.sample(range(len(base)), 60)
    planted = base + [changed(base[n], rng) for n in originals]
    found = list(near_by_words(planted, 0.8))
    assert {(first, second) for first, second, _ in found} == {(n, len(base) + i) for i, n in enumerate(originals)}


def test_short_and_korean_texts_are_compared_by_letters() -> None:
    found = list(
        near_by_words(["충돌 위험이 있는 선박은 어느 것인가", "지금 시정은 얼마인가", "충돌 위험이 있는 선박은 어느 것인가?"], 0.8)
    )
    assert [(first, second) for first, second, _ in found] == [(0, 2)]


def test_no_texts_no_pairs() -> None:
    assert list(near_by_words([], 0.8)) == [] and list(near_by_meaning([], lambda _: np.zeros((0, 2)), 0.9)) == []


def test_meaning_is_compared_by_cosine_across_blocks() -> None:
    def embed(part: Sequence[str]) -> np.ndarray:
        return np.array([np.random.default_rng(int(text) % 400).normal(size=32) for text in part])

    found = list(near_by_meaning([str(n) for n in range(600)], embed, 0.99))
    assert [(first, second) for first, second, _ in found] == [(n, 400 + n) for n in range(200)]


def rows_of(count: int, group: int) -> list[dict]:
    made = [
        parse({"prompt": text, "completion": f"answer {n}", "meta": {"scenario": n // group}}, f"x:{n}")[0]
        for n, text in enumerate(texts(count))
    ]
    return [row | {"key": str(n)} for n, row in enumerate(made) if row]


@given(st.integers(2, 40), st.integers(1, 9), st.floats(0.05, 0.45), st.integers(0, 99))
def test_groups_stay_whole_and_shares_are_met_within_a_group(groups: int, size: int, share: float, seed: int) -> None:
    names = [f"g{n}" for n in range(groups) for _ in range(size)]
    split_of = assign(names, {"eval": share}, seed)
    assert {"train", "eval"} == set(split_of)
    assert len(set(zip(names, split_of, strict=True))) == groups
    assert abs(split_of.count("eval") - share * len(names)) <= size
    assert split_of == assign(names, {"eval": share}, seed)


@pytest.mark.parametrize("shares", [{"eval": 0.0}, {"eval": 1.0}, {"eval": 0.6, "test": 0.4}])
def test_shares_that_leave_nothing_are_refused(shares: dict[str, float]) -> None:
    with pytest.raises(ValueError, match="leave nothing to train on or are no share"):
        assign(["a", "b", "c"], shares, 0)


def test_too_few_groups_say_what_to_do() -> None:
    with pytest.raises(ValueError, match="rows of one group, and near-duplicates, stay together"):
        assign(["a"] * 10, {"eval": 0.1}, 0)


def test_a_group_key_that_a_row_lacks_is_named() -> None:
    with pytest.raises(ValueError, match=r"has no meta.patient; its meta has scenario"):
        group_of(rows_of(1, 1)[0], "patient")


def test_near_duplicates_are_kept_on_one_side() -> None:
    rng = random.Random(3)
    base = [text for text in texts(300) if len(text.split()) >= 30]
    both = base + [changed(text, rng) for text in base]
    pairs = list(near_by_words(both, 0.8))
    groups = joined([str(n) for n in range(len(both))], pairs)
    split_of = assign(groups, {"eval": 0.3}, 0)
    assert not leaks(split_of, groups, pairs) and len(pairs) == len(base)


def test_planted_leaks_are_all_told_with_both_places() -> None:
    rng = random.Random(5)
    base = [text for text in texts(400) if len(text.split()) >= 30][:100]
    leaked = [changed(base[n], rng) for n in range(7)]
    made = [parse({"prompt": text, "completion": "yes"}, "")[0] for text in base + leaked]
    rows = [row | {"key": str(n)} for n, row in enumerate(made) if row]
    places = [f"{'train' if n < len(base) else 'eval'}.jsonl:{n}" for n in range(len(rows))]
    splits = ["train"] * len(base) + ["eval"] * len(leaked)
    report = check(Gathered(rows, places, [], len(rows)), None, 512, splits=splits)
    told = [fault for fault in report.faults if fault.field == "meta.split"]
    assert report.leaks == 7 and [fault.place for fault in told] == places[len(base) :]
    assert all(f"in 'train' at train.jsonl:{n}" in fault.problem for n, fault in enumerate(told)) and not report.sound


def test_a_scenario_on_both_sides_is_a_leak() -> None:
    rows = rows_of(6, 3)
    report = check(
        Gathered(rows, [str(n) for n in range(6)], [], 6), None, 512, splits=["train", "train", "eval", "train", "train", "train"]
    )
    assert report.leaks == 1 and "the same group scenario=0" in report.faults[0].problem


@pytest.mark.parametrize("seed", range(6))
def test_one_large_group_trains_and_every_split_gets_one(seed: int) -> None:
    split_of = assign(["a", "b", *["c"] * 98], {"eval": 0.5, "test": 0.3}, seed)
    assert split_of[2:] == ["train"] * 98 and {split_of[0], split_of[1]} == {"eval", "test"}


def test_what_is_near_to_two_joins_both() -> None:
    words = [f"w{n}" for n in range(60)]
    first, second, both = " ".join(words[:54]), " ".join(words[6:]), " ".join(words[2:58])
    pairs = list(near_by_words([first, second, both], 0.8))
    assert {(a, b) for a, b, _ in pairs} == {(0, 2), (1, 2)} and len(set(joined(["a", "b", "c"], pairs))) == 1


def test_an_exact_copy_is_known_among_many_that_are_alike() -> None:
    known = Neighbours(0.9)
    rng = random.Random(2)
    common = " ".join(rng.choices(WORDS, k=40))
    for number in range(300):
        known.add(f"{common} {number} {number + 1} {number + 2}", "an example")
    known.add("something else entirely, kept apart from all of the others here", "a row that is kept apart")
    assert known.near(f"{common} 250 251 252") == "100% like an example"
    assert known.near("something else entirely, kept apart from all of the others here") == "100% like a row that is kept apart"
