"""Watches for template collapse: a model that writes the same fluent report for everybody. Start at collapse()."""

from collections import Counter
from collections.abc import Sequence
from functools import cache
from importlib.resources import files
from math import log2

import yaml

from sdx_domains.contract import Closed, digest
from sdx_domains.medicine.assure.reading import words_only
from sdx_domains.medicine.labels import labels


class Told(Closed):
    """One report of the store, oldest first."""

    text: str
    """Findings of one language."""
    labels: frozenset[str]
    """Stated as there in the draft."""
    truth: frozenset[str] | None = None
    """What the radiologist signed, or a phantom's truth; None while nobody knows."""


class Limits(Closed):
    """collapse.yaml."""

    least_reports: int
    distinct_ratio: float
    normal_rate: float
    normal_excess: float
    rare_share: float
    rare_recall: float
    rare_cases: int
    drift_bits: float


class Collapse(Closed):
    """What the store looks like, and what is alarming about it."""

    reports: int
    distinct_ratio: float
    """Different reports (figures and slices left out) by all reports that state something; 1 for fewer than two."""
    normal_rate: float
    """Reports that state nothing."""
    true_normal_rate: float | None
    """... by the truth, where it is known."""
    rare_recall: float | None
    """Of labels that are true in few cases: the share that was stated; None without such cases."""
    drift_bits: float
    """Jensen-Shannon divergence of the labels' shares, first half of the store against the second, 0..1."""
    alarms: tuple[str, ...]


@cache
def limits() -> Limits:
    return Limits.model_validate(yaml.safe_load((files(__package__ or "") / "collapse.yaml").read_text(encoding="utf-8")))


def collapse(store: Sequence[Told]) -> Collapse:
    """Every rate over the whole store; no alarm below `least_reports`."""
    known = [each for each in store if each.truth is not None]
    stating = [each for each in store if each.labels]
    distinct = len({digest(words_only(each.text)) for each in stating}) / len(stating) if len(stating) > 1 else 1.0
    normal = _share([not each.labels for each in store])
    true_normal = _share([not each.truth for each in known]) if known else None
    recall = _rare_recall(known)
    drift = _drift(store[: len(store) // 2], store[len(store) // 2 :])
    found = Collapse(
        reports=len(store), distinct_ratio=distinct, normal_rate=normal, true_normal_rate=true_normal, rare_recall=recall, drift_bits=drift, alarms=()
    )  # fmt: skip
    return found.model_copy(update={"alarms": _alarms(found)})


def _share(of: Sequence[bool]) -> float:
    return sum(of) / len(of) if of else 0.0


def _rare_recall(known: Sequence[Told]) -> float | None:
    """Mean recall over labels that are true in at most `rare_share` of the cases and in `rare_cases` at least."""
    bounds, true = limits(), Counter(key for each in known for key in each.truth or ())
    hit = Counter(key for each in known for key in (each.truth or frozenset()) & each.labels)
    rare = [key for key, cases in true.items() if bounds.rare_cases <= cases <= bounds.rare_share * len(known)]
    return sum(hit[key] / true[key] for key in rare) / len(rare) if rare else None


def _drift(first: Sequence[Told], second: Sequence[Told]) -> float:
    """0 where both halves state the same labels equally often."""
    one, two = _shares(first), _shares(second)
    middle = {key: (one[key] + two[key]) / 2 for key in one}
    return sum(_part(half[key], middle[key]) for half in (one, two) for key in half) / 2


def _part(share: float, middle: float) -> float:
    return share * log2(share / middle) if share > 0.0 else 0.0


def _shares(of: Sequence[Told]) -> dict[str, float]:
    """Share of each label, and of nothing stated, among all that is stated."""
    said = Counter(key for each in of for key in (each.labels or {"nothing"}))
    total = sum(said.values()) or 1
    return {key: said[key] / total for key in (*(kind.key for kind in labels()), "nothing")}


def _alarms(found: Collapse) -> tuple[str, ...]:
    bounds = limits()
    if found.reports < bounds.least_reports:
        return ()
    alarms: list[str] = []
    if found.distinct_ratio < bounds.distinct_ratio:
        alarms.append(f"only {found.distinct_ratio:.0%} of the reports differ in words; {bounds.distinct_ratio:.0%} at least are wanted")
    if found.true_normal_rate is not None and found.normal_rate > found.true_normal_rate + bounds.normal_excess:
        alarms.append(f"{found.normal_rate:.0%} of the drafts state nothing, {found.true_normal_rate:.0%} of the studies have nothing")
    elif found.true_normal_rate is None and found.normal_rate > bounds.normal_rate:
        alarms.append(f"{found.normal_rate:.0%} of the drafts state nothing; above {bounds.normal_rate:.0%} look into it")
    if found.rare_recall is not None and found.rare_recall < bounds.rare_recall:
        alarms.append(f"rare findings are stated in {found.rare_recall:.0%} of their cases; {bounds.rare_recall:.0%} at least are wanted")
    if found.drift_bits > bounds.drift_bits:
        alarms.append(f"what is stated has drifted by {found.drift_bits:.2f} bits; above {bounds.drift_bits:.2f} look into it")
    return tuple(alarms)
