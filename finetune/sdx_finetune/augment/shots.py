"""Which examples a prompt shows: diverse, similar to one, or one of each class. Deterministic for a given generator."""

from collections.abc import Sequence
from random import Random

from sdx_finetune.augment.spec import ShotSpec
from sdx_finetune.datasets.check import text_of
from sdx_finetune.datasets.formats import Row
from sdx_finetune.datasets.near import jaccard, shingles

CONSIDERED = 200
"""Of many examples so many are drawn first: comparing all with all would cost more than it gives."""


def choose_shots(examples: Sequence[Row], spec: ShotSpec, rng: Random) -> list[Row]:
    """At most spec.count examples. ValueError when an example lacks the key of classes."""
    pool = list(examples) if len(examples) <= CONSIDERED else rng.sample(list(examples), CONSIDERED)
    rng.shuffle(pool)
    if spec.choose == "class":
        return _by_class(pool, spec)
    sets = [set(shingles(text_of(row))) for row in pool]
    order = _far_apart(sets, spec.count) if spec.choose == "diverse" else _nearest(sets, spec.count)
    return [pool[number] for number in order]


def _far_apart(sets: Sequence[set[str]], count: int) -> list[int]:
    """Greedy: the first, then always the one whose nearest chosen is farthest."""
    chosen = [0] if sets else []
    likeness = [jaccard(sets[0], one) for one in sets] if sets else []
    while len(chosen) < min(count, len(sets)):
        left = [number for number in range(len(sets)) if number not in chosen]
        best = min(left, key=lambda number: likeness[number])
        chosen.append(best)
        likeness = [max(known, jaccard(sets[best], one)) for known, one in zip(likeness, sets, strict=True)]
    return chosen


def _nearest(sets: Sequence[set[str]], count: int) -> list[int]:
    return sorted(range(len(sets)), key=lambda number: -jaccard(sets[0], sets[number]))[:count]


def _by_class(pool: Sequence[Row], spec: ShotSpec) -> list[Row]:
    """The first of each class, then the second of each, and so on."""
    key = spec.key or ""
    if missing := next((row for row in pool if key not in row["meta"]), None):
        raise ValueError(f"example {missing['key']} has no meta.{key}; give every example its class, or choose shots another way")
    seen: dict[str, int] = {}
    ranked: list[tuple[int, int]] = []
    for number, row in enumerate(pool):
        value = str(row["meta"][key])
        ranked.append((seen.get(value, 0), number))
        seen[value] = seen.get(value, 0) + 1
    return [pool[number] for _, number in sorted(ranked)[: spec.count]]
