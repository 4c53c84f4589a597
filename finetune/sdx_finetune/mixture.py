"""Rows of several generators in one data set, e.g. of every domain that a model is to know."""

from collections.abc import Iterator
from importlib.util import find_spec
from itertools import chain, zip_longest
from typing import Any

from sdx_finetune.rows import load_function

MADE_BY = "made_by"
"""Name in a row's meta of its generator."""
DRILLS = "drills"
"""Module beside a generator's own that may hold `derive(row)`."""


def rows(count: int, seed: int, **shares: float) -> Iterator[dict[str, Any]]:
    """`count` rows, taken in turn from generators "package.module:rows", each with the same seed.

    Args:
        shares: generator to its share; they need not add up to 1.

    Raises:
        ValueError: no share is above 0, or one is below; names it.
    """
    if wrong := [f"{name}: {share}" for name, share in shares.items() if share < 0] or ([] if any(shares.values()) else ["none above 0"]):
        raise ValueError(f"shares of generators: {', '.join(wrong)}; give each 0 or more, and one at least above 0")
    whole = sum(shares.values())
    counts = {name: int(count * share / whole) for name, share in shares.items()}
    most = max(shares, key=lambda name: shares[name])
    counts[most] += count - sum(counts.values())
    made = [_named(name, number, seed) for name, number in counts.items() if number]
    yield from (row for row in chain.from_iterable(zip_longest(*made)) if row is not None)


def derive(row: dict[str, Any]) -> list[dict[str, Any]]:
    """What the module `drills` beside the row's generator makes of it; nothing where there is none."""
    name = str(row["meta"].get(MADE_BY, "")).partition(":")[0].rpartition(".")[0] + f".{DRILLS}"
    return load_function(f"{name}:derive")(row) if not name.startswith(".") and find_spec(name) else []


def _named(name: str, count: int, seed: int) -> Iterator[dict[str, Any]]:
    for row in load_function(name)(count, seed):
        yield {**row, "meta": {**row.get("meta", {}), MADE_BY: name}}
