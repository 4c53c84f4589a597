"""What became of each finding since the prior study: new, larger, smaller, unchanged or resolved. Start at changes()."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from itertools import product
from math import dist
from statistics import median
from typing import Any, Literal

import yaml

from sdx_domains.medicine.findings import Finding
from sdx_domains.medicine.picture import MedicinePicture, Statement

Kind = Literal["new", "larger", "smaller", "unchanged", "resolved"]
Shift = tuple[float, float, float]


@dataclass(frozen=True, slots=True)
class Change:
    """One finding over two studies; `now` is None for what has resolved, `before` for what is new."""

    kind: Kind
    now: Finding | None
    before: Finding | None
    measure: str = ""
    """By which measure it was judged: "mean_mm" or a key of Finding.measure; "" where there is none to judge by."""
    was: float | None = None
    """That measure in the prior study."""


@cache
def limits() -> dict[str, Any]:
    """compare.yaml."""
    return yaml.safe_load((files(__package__ or "") / "compare.yaml").read_text(encoding="utf-8"))


def changes(picture: MedicinePicture, statements: Sequence[Statement]) -> tuple[Change, ...]:
    """Of every stated finding, in their order, then what has resolved; () without a prior study.

    A prior finding that matches one which is now doubtful has not resolved; one that a reader denied has.
    """
    if picture.prior is None:
        return ()
    now = [each.finding for each in statements if each.present != "no"]
    pairs = _pairs(now, picture.prior.findings)
    told = [_judged(finding, pairs.get(finding.id)) for finding in now]
    met = {before.id for before in pairs.values()}
    gone = [Change("resolved", None, before) for before in picture.prior.findings if before.id not in met]
    return (*told, *gone)


def _pairs(now: Sequence[Finding], before: Sequence[Finding]) -> dict[str, Finding]:
    """Id of a finding of now -> its finding of before; the nearest pairs first, each finding once."""
    shift = _shift(now, before)
    found = [(a, b) for a, b in product(now, before) if _alike(a, b)]
    near = sorted((_apart_mm(a, b, shift), a.id, b.id, a, b) for a, b in found)
    pairs: dict[str, Finding] = {}
    used: set[str] = set()
    for apart, _, _, a, b in near:
        if a.id not in pairs and b.id not in used and apart <= limits()["match_mm"]:
            pairs[a.id] = b
            used.add(b.id)
    return pairs


def _alike(a: Finding, b: Finding) -> bool:
    """Of one kind (a nodule may have become a mass) and, where it has a side, on the same."""
    kinds = {a.label, b.label}
    side = a.laterality == b.laterality or "bilateral" in (a.laterality, b.laterality)
    return (len(kinds) == 1 or kinds == {"nodule", "mass"}) and side and (not _focal(a, b) or a.lobe == b.lobe or _touching(a, b))


def _touching(a: Finding, b: Finding) -> bool:
    """Different lobes on paper, the same place within a zone: lobes go by position, so a border may lie between two studies."""
    order = ("upper", "mid", "lower")
    return a.zone in order and b.zone in order and abs(order.index(a.zone) - order.index(b.zone)) <= 1


def _focal(a: Finding, b: Finding) -> bool:
    return a.size is not None and b.size is not None


def _shift(now: Sequence[Finding], before: Sequence[Finding]) -> Shift:
    """How far the patient lies from where he lay: median over the findings that have one candidate alone in both studies."""
    moves: list[Shift] = []
    for a in now:
        mine = [b for b in before if _alike(a, b)]
        if len(mine) == 1 and len([other for other in now if _alike(other, mine[0])]) == 1:
            x, y, z = (p - q for p, q in zip(a.centroid_lps_mm, mine[0].centroid_lps_mm, strict=True))
            moves.append((x, y, z))
    return (median(m[0] for m in moves), median(m[1] for m in moves), median(m[2] for m in moves)) if moves else (0.0, 0.0, 0.0)


def _apart_mm(a: Finding, b: Finding, shift: Shift) -> float:
    """0 for what is diffuse: it has no place to compare."""
    if not _focal(a, b):
        return 0.0
    there = tuple(q + move for q, move in zip(b.centroid_lps_mm, shift, strict=True))
    return dist(a.centroid_lps_mm, there)


def _judged(now: Finding, before: Finding | None) -> Change:
    if before is None:
        return Change("new", now, None)
    for name, value, was, least in _both(now, before):
        if abs(value - was) < least:
            return Change("unchanged", now, before, name, was)
        return Change("larger" if value > was else "smaller", now, before, name, was)
    return Change("unchanged", now, before)


def _both(now: Finding, before: Finding) -> Iterator[tuple[str, float, float, float]]:
    """(measure, now, before, least difference) for what both have: the mean diameter of what is round first, else what was measured."""
    share, least = limits()["other_share"], limits()["least"]
    if now.size and before.size and now.label in ("nodule", "mass"):
        yield "mean_mm", now.size.mean_mm, before.size.mean_mm, limits()["nodule_mm"]
    for name, value in now.measure.items():
        if name in least and name in before.measure:
            yield name, value, before.measure[name], max(least[name], share * before.measure[name])
    if now.size and before.size:
        yield "mean_mm", now.size.mean_mm, before.size.mean_mm, max(least["long_mm"], share * before.size.mean_mm)
