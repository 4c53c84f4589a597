"""Drafts of phantoms that nobody trained on, judged by what a reader would read: the report's text. Start at phantoms()."""

import time
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

import numpy as np

from sdx_agents.kept import Kept
from sdx_agents.reading.drafting import Draft, Drafter
from sdx_domains.contract import Closed
from sdx_domains.medicine.assure.calibration import as_rows, calibrate, risk_at
from sdx_domains.medicine.assure.checks import problems
from sdx_domains.medicine.findings import Presence
from sdx_domains.medicine.labels import ct_rate, labels
from sdx_domains.medicine.language.labeller import label
from sdx_domains.medicine.language.render import render
from sdx_domains.medicine.phantom.render import Phantom
from sdx_domains.medicine.phantom.render import render as drawn
from sdx_domains.medicine.phantom.scene import SEEDS, scene
from sdx_domains.medicine.placing import score
from sdx_domains.medicine.report import Report
from sdx_domains.medicine.scoring import CaseScore, summarise
from sdx_domains.medicine.volume import Series

COUNT = 300
SPACING_MM = (2.5, 0.9, 0.9)
"""A usual reconstruction for reading."""
LEAST_NODULE_MM = 6.0
"""A smaller one is not scored: Fleischner 2017 follows none below 6 mm in patients of low risk."""
DECIDED = 0.97
"""Least share of cases of a label that its abstention band leaves decided: with twenty labels a tenth each would put two doubts into every report."""
RIGHT = 0.7
"""Least share of a label's statements that are there, where any operating point reaches it: who is often told wrongly stops reading."""
GROUNDING = "grounding"
"""Name of the check that finds a sentence without finding, slice, region or measure behind it."""


def phantoms(drafter: Drafter, count: int, seed: int, say: Callable[[str], None], kept: Kept | None = None) -> dict[str, Any]:
    """Scores of `count` held-out phantoms from `seed` on, and their sum; a case that stands in `kept` is not read again."""
    first = SEEDS["held-out"].start + seed
    done = _done(kept, CaseScore)
    scores: list[CaseScore] = []
    for number, place in enumerate(range(first, first + count), 1):
        name = f"phantom-{place}"
        found = done.get(name) or _scored(drafter, drawn(scene(place), SPACING_MM))
        scores.append(found)
        if name not in done:
            _keep(kept, found)
        say(f"{number}/{count} {name}: {', '.join(found.truth) or 'normal'} | said {', '.join(sorted(found.said)) or 'normal'}")
    return {"first_seed": first, "summary": summarise(scores), "cases": [each.model_dump(mode="json") for each in scores]}


class Weighed(Closed):
    """One tuning phantom: what was thought of each label, and what is there."""

    case: str
    probability: Mapping[str, float]
    """Of each label that was looked at: of the candidate finding, else the encoder's, also where it is not heard."""
    there: tuple[str, ...]


def calibration(drafter: Drafter, count: int, seed: int, say: Callable[[str], None], kept: Kept | None = None) -> dict[str, Any]:
    """Operating points and bands for assure/thresholds.yaml from `count` tuning phantoms, and what they would have cost there.

    A label without cases, or with nothing but cases, among these phantoms has no row. A case that stands in `kept` is not read again.
    """
    first = SEEDS["tuning"].start + seed
    done = _done(kept, Weighed)
    cases: list[Weighed] = []
    for number, place in enumerate(range(first, first + count), 1):
        name = f"phantom-{place}"
        cases.append(done.get(name) or _weighed(drafter, drawn(scene(place), SPACING_MM, keep_masks=False)))
        if name not in done:
            _keep(kept, cases[-1])
        say(f"{number}/{count} {name}")
    scores = {kind.key: np.array([case.probability.get(kind.key, 0.0) for case in cases]) for kind in labels()}
    truths = {kind.key: np.array([kind.key in case.there for case in cases]) for kind in labels()}
    fit = {key: calibrate(scores[key], true, DECIDED, RIGHT) for key, true in truths.items() if 0 < true.sum() < count}
    return {
        "first_seed": first,
        "rows": as_rows(fit),
        "risk_at_90_pct": {key: risk_at(scores[key], truths[key], each.point, 0.9) for key, each in fit.items()},
        "labels": {key: each.model_dump() for key, each in fit.items()},
    }


def _weighed(drafter: Drafter, phantom: Phantom) -> Weighed:
    picture = drafter.draft_of(Series(phantom.volume, phantom.facts)).picture
    said = dict(picture.saw.probability) if picture.saw else {}  # also of labels that the encoder is not heard on
    found = {each.label: each.probability for each in picture.findings}
    return Weighed(case=f"phantom-{phantom.scene.seed}", probability=said | found, there=tuple(each.label for each in phantom.truth))


C = TypeVar("C", CaseScore, Weighed)


def _keep(kept: Kept | None, case: CaseScore | Weighed) -> None:
    if kept is not None:
        kept.add(case.model_dump_json())


def _done(kept: Kept | None, kind: type[C]) -> dict[str, C]:
    return {each.case: each for each in (kind.model_validate_json(line) for line in (kept.lines if kept else ()))}


def _scored(drafter: Drafter, phantom: Phantom) -> CaseScore:
    began = time.perf_counter()
    draft = drafter.draft_of(Series(phantom.volume, phantom.facts))
    english, korean = (render(draft.picture, draft.statements, language, "draft") for language in ("en", "ko"))
    seconds = time.perf_counter() - began
    wrong = [problem for report in (english, korean) for problem in problems(draft.picture, draft.statements, report)]
    return CaseScore(
        case=f"phantom-{phantom.scene.seed}",
        truth=tuple(each.label for each in phantom.truth if not _small(each.label, phantom)),
        spared=tuple(each.label for each in phantom.truth if _small(each.label, phantom)),
        stated=_read(english),
        stated_ko=_read(korean),
        placed=score(phantom.truth, _stated(draft), phantom.masks),
        ungrounded=sum(problem.check == GROUNDING for problem in wrong),
        contradictions=sum(problem.check != GROUNDING for problem in wrong),
        seconds=seconds,
    )


def _stated(draft: Draft) -> list[Any]:
    return [each.finding for each in draft.statements if each.present == "yes"]


def _small(key: str, phantom: Phantom) -> bool:
    sizes = [each.size.long_mm for each in phantom.truth if each.label == key and each.size is not None]
    return key == "nodule" and bool(sizes) and max(sizes) < LEAST_NODULE_MM


def _read(report: Report) -> dict[str, Presence]:
    """Labels of the 18 as the labeller reads them in the text; what it does not find is "no"."""
    read = label(f"{report.findings_text()}\n{report.impression_text()}", report.language)
    return {each.key: read.get(each.key, "no") for each in ct_rate()}
