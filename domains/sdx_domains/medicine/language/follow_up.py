"""What published rules advise for what is stated: Fleischner 2017, Lung-RADS v2022, critical findings. Start at recommend().

Tables: follow_up.yaml. A rule speaks only where its facts are known; else it says which is missing and gives no interval.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any, Literal

import yaml

from sdx_domains.contract import Language
from sdx_domains.medicine.assure.critical import critical
from sdx_domains.medicine.findings import Finding
from sdx_domains.medicine.language.compare import Change
from sdx_domains.medicine.picture import Statement
from sdx_domains.medicine.report import Recommendation
from sdx_domains.medicine.volume import StudyFacts

Setting = Literal["incidental", "screening"]
KINDS = ("part-solid", "ground-glass", "calcified", "solid")
"""Descriptors that a nodule's rule goes by, the one that wins first."""
SUBSOLID = ("part-solid", "ground-glass")


@dataclass(frozen=True, slots=True)
class Before:
    """What is known of the prior study."""

    days: int
    changes: tuple[Change, ...]


@cache
def tables() -> dict[str, Any]:
    """follow_up.yaml."""
    return yaml.safe_load((files(__package__ or "") / "follow_up.yaml").read_text(encoding="utf-8"))


def recommend(
    statements: Sequence[Statement],
    facts: StudyFacts,
    language: Language = "en",
    setting: Setting = "incidental",
    before: Before | None = None,
) -> tuple[Recommendation, ...]:
    """Critical findings first, then the rule of the setting for the nodules that are surely there."""
    nodules = [each.finding for each in statements if each.finding.label == "nodule" and each.present == "yes"]
    found = list(_critical(statements, language))
    if setting == "screening":
        found += _screening(nodules, facts, language, before)
    else:
        found += _incidental(nodules, facts, language)
    return tuple(found)


def kind_of(nodule: Finding) -> str | None:
    """solid, calcified, part-solid or ground-glass; None where nobody says."""
    return next((kind for kind in KINDS if kind in nodule.descriptors), None)


def whole_mm(nodule: Finding) -> int | None:
    """Mean of both axes to the nearest millimetre, halves up (Fleischner 2017)."""
    return None if nodule.size is None else int(nodule.size.mean_mm + 0.5)


def _critical(statements: Sequence[Statement], language: Language) -> Iterator[Recommendation]:
    texts = tables()["critical"][language]
    for each in statements:
        if each.present != "no" and critical(each.finding):
            text = texts[each.finding.label].format(id=each.finding.id)
            yield Recommendation(rule="critical", category=each.finding.label, text=text, finding_id=each.finding.id)


def _incidental(nodules: Sequence[Finding], facts: StudyFacts, language: Language) -> Iterator[Recommendation]:
    """One for the solid nodules, one for the subsolid ones, by the largest of each; one for each that no cell fits, saying why."""
    table, able = tables()["fleischner"], list[Finding]()
    words = table["texts"][language]
    for nodule in nodules:
        reason = _unfit(nodule, facts, table)
        if not reason:
            able.append(nodule)
            continue
        text = words[reason].format(id=nodule.id, age=facts.age_years, least=table["least_age"], most=table["most_mm"])
        yield Recommendation(rule="Fleischner 2017", category=reason, text=text, finding_id=nodule.id)
    for group in ([each for each in able if kind_of(each) == "solid"], [each for each in able if kind_of(each) in SUBSOLID]):
        if group:
            yield _cell(group, table, language)


def _unfit(nodule: Finding, facts: StudyFacts, table: dict[str, Any]) -> str:
    """Why no cell may be used; "" where one may."""
    kind, mm = kind_of(nodule), whole_mm(nodule)
    if facts.age_years is None:
        return "age"
    if facts.age_years < table["least_age"]:
        return "young"
    if kind == "calcified":
        return "benign"
    if mm is None:
        return "size"
    if kind is None:
        return "kind"
    return "mass" if mm > table["most_mm"] else ""


def _cell(group: Sequence[Finding], table: dict[str, Any], language: Language) -> Recommendation:
    """The advice for the largest of a group; part-solid before ground-glass among subsolid ones of one size."""
    many = len(group) > 1 or group[0].count > 1
    guide = max(group, key=lambda each: (whole_mm(each) or 0, kind_of(each) == "part-solid"))
    mm, kind = whole_mm(guide) or 0, kind_of(guide) or ""
    wanted = "subsolid" if many and kind in SUBSOLID else kind
    sizes = table["sizes"]
    cell = next(
        row
        for row in table["cells"]
        if row["kind"] == wanted and row["many"] == many and sizes[row["size"]][0] <= mm <= sizes[row["size"]][1]
    )
    told = table["kinds_told"][language][kind] + (table["many_told"][language] if many else "")
    text = table["texts"][language]["text"].format(id=guide.id, kind=told, mm=mm, advice=cell[language])
    category = f"{'multiple' if many else 'single'} {wanted} {cell['size']} mm"
    return Recommendation(rule="Fleischner 2017", category=category, text=text, finding_id=guide.id)


def _screening(nodules: Sequence[Finding], facts: StudyFacts, language: Language, before: Before | None) -> Iterator[Recommendation]:
    """The category of the study is that of its worst nodule; those without one say why."""
    table = tables()["lung_rads"]
    words, advice = table["texts"][language], table["advice"][language]
    if facts.coverage != "complete":
        yield Recommendation(rule="Lung-RADS 2022", category="0", text=words["cut"].format(advice=advice["0"]), finding_id="")
        return
    if not nodules:
        yield Recommendation(rule="Lung-RADS 2022", category="1", text=words["none"].format(advice=advice["1"]), finding_id="")
    graded: list[tuple[int, float, Recommendation]] = []
    for nodule in nodules:
        category, why = lung_rads(nodule, before)
        mm = nodule.size.mean_mm if nodule.size else 0.0
        if why:
            text = words["unknown"].format(id=nodule.id, why=table["why"][language][why])
            yield Recommendation(rule="Lung-RADS 2022", category="unknown", text=text, finding_id=nodule.id)
            continue
        kind = _told(kind_of(nodule) or "", language)
        text = words["text"].format(id=nodule.id, kind=kind, mm=f"{mm:.1f}", category=category, advice=advice[category])
        told = Recommendation(rule="Lung-RADS 2022", category=category, text=text, finding_id=nodule.id)
        graded.append((table["order"].index(category), mm, told))
    if graded:
        yield max(graded, key=lambda row: row[:2])[2]


def lung_rads(nodule: Finding, before: Before | None) -> tuple[str, str]:
    """(category, "") or ("", what is missing: "size", "kind" or "part"). With a prior study its change counts."""
    table = tables()["lung_rads"]
    kind = kind_of(nodule)
    if nodule.size is None or kind is None:
        return "", "size" if nodule.size is None else "kind"
    when, unchanged = _when(nodule, before, table)
    measured = {"total": round(nodule.size.mean_mm, 1), "part": nodule.measure.get("solid_mm")}
    for row in table["rows"]:
        if row["kind"] != kind or row["when"] not in (when, "any"):
            continue
        value = measured[row["measure"]]
        if value is None:
            return "", "part"
        if row["from"] <= round(value, 1) < row["below"]:
            category: str = row["category"]
            category = table["stepped"].get(category, category) if unchanged else category
            suspicious = category[0] in "34" and bool(set(nodule.descriptors) & set(table["suspicious"]))
            return ("4X" if suspicious else category), ""
    raise LookupError(f"follow_up.yaml has no Lung-RADS row for {kind}, {when}, {measured}")


def _when(nodule: Finding, before: Before | None, table: dict[str, Any]) -> tuple[str, bool]:
    """(baseline, new or growing; whether a prior study shows it unchanged)."""
    change = next((each for each in before.changes if each.now is not None and each.now.id == nodule.id), None) if before else None
    if before is None or change is None:
        return "baseline", False
    if change.kind == "new":
        return "new", False
    old = change.before.size if change.before else None
    if old is None or nodule.size is None:
        return "baseline", False
    grown = nodule.size.mean_mm - old.mean_mm > table["growth_mm"]
    return ("growing", False) if grown and before.days <= table["growth_days"] else ("baseline", not grown)


def _told(kind: str, language: Language) -> str:
    known = tables()["fleischner"]["kinds_told"][language]
    return known.get(kind, "calcified" if language == "en" else "석회화")
