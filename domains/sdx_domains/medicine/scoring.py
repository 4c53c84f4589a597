"""How well drafts say what is there: scored on the report's text as a labeller reads it, against a phantom's truth. Start at summarise()."""

from collections.abc import Mapping, Sequence
from statistics import median
from typing import Any

from pydantic import Field

from sdx_domains.contract import Closed
from sdx_domains.medicine.findings import Finding, Presence, Zone
from sdx_domains.medicine.labels import ct_rate

CRG_FLOOR = 1 / 3
"""What an all-normal report scores, whatever the share of positives."""


class Placed(Closed):
    """A finding that is there and is stated: how well it is placed."""

    label: str
    side_right: bool | None
    """None: the label has no side."""
    zone_right: bool | None
    key_slice_inside: bool
    size_error_mm: float | None = Field(default=None, ge=0.0)
    """Of the long axis; None where the label has no size."""


class CaseScore(Closed):
    """One study."""

    case: str
    truth: tuple[str, ...]
    """Label keys that are there."""
    spared: tuple[str, ...] = ()
    """Labels that are there below the size that is scored (a nodule of 3 mm): stated or not, they count for nothing."""
    stated: Mapping[str, Presence]
    """Labels as read back from the English report."""
    stated_ko: Mapping[str, Presence]
    placed: tuple[Placed, ...] = ()
    ungrounded: int = 0
    """Positive sentences without finding, slice, region or measure."""
    contradictions: int = 0
    seconds: float = Field(ge=0.0)
    kind: str = "phantom"

    @property
    def said(self) -> frozenset[str]:
        """Labels that the report states without doubt."""
        return frozenset(key for key, present in self.stated.items() if present == "yes")


def f1(tp: int, fp: int, fn: int) -> float:
    """1 where there was nothing to find and nothing was found."""
    return 2 * tp / (2 * tp + fp + fn) if tp + fp + fn else 1.0


def counts(scores: Sequence[CaseScore], key: str) -> tuple[int, int, int, int]:
    """(true positives, false positives, false negatives, true negatives) of one label."""
    tally = {(True, True): 0, (False, True): 0, (True, False): 0, (False, False): 0}
    for score in scores:
        if key not in score.spared:
            tally[key in score.truth, key in score.said] += 1
    return tally[True, True], tally[False, True], tally[True, False], tally[False, False]


def crg(scores: Sequence[CaseScore], keys: Sequence[str]) -> float:
    """Clinical relevance score of the VLM3D challenge (Hamamci et al. 2025, arXiv 2505.17167): U / (2U - s), all-normal = 1/3."""
    every = [counts(scores, key) for key in keys]
    tp, fp, fn = (sum(each[place] for each in every) for place in range(3))
    total, positives = sum(sum(each) for each in every), tp + fn
    if not positives or positives == total:
        return 1.0 if not fp and not fn else 0.0
    u, weight = (total - positives) / 2, (total - positives) / (2 * positives)
    s = weight * tp - weight * fn - fp
    return min(max(u / (2 * u - s), 0.0), 1.0)


def same_place(truth: Sequence[Finding], stated: Finding) -> Finding | None:
    """The finding of the truth that is nearest to a stated one of the same label."""
    alike = [each for each in truth if each.label == stated.label]
    return min(alike, key=lambda each: _distance_mm(each, stated), default=None)


def zone_agrees(stated: Zone, truth: Zone) -> bool:
    """Equal, or one of them says that it is everywhere."""
    return stated == truth or "diffuse" in (stated, truth)


def summarise(scores: Sequence[CaseScore]) -> dict[str, Any]:
    """Figures of a suite, as issue and literature name them; shares of 0 cases are None."""
    keys = [label.key for label in ct_rate()]
    by_label = {key: _of_label(scores, key) for key in keys if any(key in score.truth for score in scores)}
    placed = [each for score in scores for each in score.placed]
    normal = [score for score in scores if not score.truth and not score.spared]
    errors = [each.size_error_mm for each in placed if each.size_error_mm is not None]
    every = [counts(scores, key) for key in keys]
    return {
        "cases": len(scores),
        "macro_f1": _mean([row["f1"] for row in by_label.values()]),
        "worst_label": min(by_label, key=lambda key: by_label[key]["f1"], default=None),
        "worst_f1": min((row["f1"] for row in by_label.values()), default=None),
        "micro_f1": f1(*(sum(each[place] for each in every) for place in range(3))),
        "crg": crg(scores, keys),
        "crg_floor": CRG_FLOOR,
        "normal_cases": len(normal),
        "normal_specificity": _share([not score.said for score in normal]),
        "false_findings_per_normal": _mean([len(score.said) for score in normal]),
        "laterality": _share([each.side_right for each in placed if each.side_right is not None]),
        "zone": _share([each.zone_right for each in placed if each.zone_right is not None]),
        "key_slice_inside": _share([each.key_slice_inside for each in placed]),
        "size_error_mm_median": round(median(errors), 2) if errors else None,
        "sizes_within_2mm": _share([error <= 2.0 for error in errors]),
        "en_equals_ko": _share([dict(score.stated) == dict(score.stated_ko) for score in scores]),
        "ungrounded": sum(score.ungrounded for score in scores),
        "contradictions": sum(score.contradictions for score in scores),
        "abstained_per_case": _mean([sum(present == "uncertain" for present in score.stated.values()) for score in scores]),
        "seconds_per_case_median": round(median(score.seconds for score in scores), 2) if scores else None,
        "labels": by_label,
    }


def _of_label(scores: Sequence[CaseScore], key: str) -> dict[str, Any]:
    tp, fp, fn, _ = counts(scores, key)
    return {"f1": round(f1(tp, fp, fn), 4), "there": tp + fn, "found": tp, "false": fp}


def _share(held: Sequence[bool | None]) -> float | None:
    return round(sum(bool(each) for each in held) / len(held), 4) if held else None


def _mean(values: Sequence[float]) -> float | None:
    return round(sum(values) / len(values), 4) if values else None


def _distance_mm(one: Finding, other: Finding) -> float:
    return sum((a - b) ** 2 for a, b in zip(one.centroid_lps_mm, other.centroid_lps_mm, strict=True)) ** 0.5
