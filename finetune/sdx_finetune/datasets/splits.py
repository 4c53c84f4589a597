"""Which rows are for training and which are kept apart: whole scenarios or patients, never single rows."""

import hashlib
from collections.abc import Mapping, Sequence

from sdx_finetune.datasets.formats import Row
from sdx_finetune.datasets.near import Pair

GROUP_KEYS = ("group", "scenario", "patient", "case", "seed")
TRAIN = "train"


def group_of(row: Row, by: str | None = None) -> str:
    """What the row must stay together with: meta[by], else the first of GROUP_KEYS that it has, else the row alone."""
    meta = row["meta"]
    if by is not None:
        if by not in meta:
            raise ValueError(f"row {row['key']} has no meta.{by}; its meta has {', '.join(meta) or 'nothing'}: choose another --by")
        return f"{by}={meta[by]}"
    return next((f"{key}={meta[key]}" for key in GROUP_KEYS if key in meta), f"row={row['key']}")


def joined(groups: Sequence[str], pairs: Sequence[Pair]) -> list[str]:
    """The groups, those of near-duplicates made one: what is nearly the same must not stand on both sides."""
    root: dict[str, str] = {}

    def find(name: str) -> str:
        while root.get(name, name) != name:
            name = root[name]
        return name

    for first, second, _ in pairs:
        a, b = sorted((find(groups[first]), find(groups[second])))
        root[b] = a
    return [find(name) for name in groups]


def assign(groups: Sequence[str], shares: Mapping[str, float], seed: int) -> list[str]:
    """A split for every row. `shares`: split -> share of the rows, the rest is "train"; each split gets at least one group.

    Groups go in an order that only their names and the seed decide, so that added rows move few others.
    Raises ValueError when there are fewer groups than splits.
    """
    wrong = [f"{name}={share}" for name, share in shares.items() if not 0.0 < share < 1.0]
    if wrong or sum(shares.values()) >= 1.0:
        raise ValueError(f"shares {wrong or dict(shares)} leave nothing to train on or are no share: give numbers between 0 and 1")
    sizes: dict[str, int] = {}
    for group in groups:
        sizes[group] = sizes.get(group, 0) + 1
    if len(sizes) <= len(shares):
        raise ValueError(
            f"{len(sizes)} groups cannot make {len(shares) + 1} splits: rows of one group, and near-duplicates, stay together; "
            "name what tells scenarios or patients apart in meta.group, choose another key by --by, or bring more different rows"
        )
    ordered = sorted(sizes, key=lambda group: hashlib.sha256(f"{seed}:{group}".encode()).digest())
    split_of: dict[str, str] = {}
    # The largest group trains: as an evaluation it would leave too little.
    largest = max(ordered, key=lambda group: sizes[group])
    waiting = [group for group in ordered if group != largest]
    got = dict.fromkeys(shares, 0)
    for name in shares:
        split_of[waiting[0]] = name
        got[name] += sizes[waiting.pop(0)]
    for group in waiting:
        name = next((name for name, share in shares.items() if got[name] + sizes[group] / 2 <= share * len(groups)), None)
        if name is not None:
            split_of[group] = name
            got[name] += sizes[group]
    return [split_of.get(group, TRAIN) for group in groups]


def leaks(splits: Sequence[str], groups: Sequence[str], pairs: Sequence[Pair]) -> list[tuple[int, int, str]]:
    """(row, row, why) of every pair that stands in two splits and must not: one group, or nearly the same text."""
    found = [(first, second, f"{alike:.0%} the same text") for first, second, alike in pairs if splits[first] != splits[second]]
    seen: dict[str, int] = {}
    for number, group in enumerate(groups):
        first = seen.setdefault(group, number)
        if splits[first] != splits[number]:
            found.append((first, number, f"the same group {group}"))
    return found
