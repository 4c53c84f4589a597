"""Each kind of error that a report may have is named; good reports and honest edits pass."""

import numpy as np
import pytest

from sdx_domains.medicine.assure.checks import problems, text_problems, twins
from sdx_domains.medicine.assure.claimed import described
from sdx_domains.medicine.assure.errors import KINDS, spoil
from sdx_domains.medicine.assure.random_studies import Study, study
from sdx_domains.medicine.findings import Size
from sdx_domains.medicine.language.render import render
from sdx_domains.medicine.picture import Statement
from sdx_domains.medicine.report import ImpressionLine, Sentence

SEED = 500_000_100
RICH = next(
    each
    for each in (study(SEED + n) for n in range(200))
    if len({s.finding.label for s in each.statements}) >= 6 and each.picture.prior is None
)


def report(of: Study, language="en"):
    return render(of.picture, of.statements, language, "draft")


def named(of: Study, changed) -> set[str]:
    return {problem.check for problem in problems(of.picture, of.statements, changed)}


@pytest.mark.parametrize("language", ["en", "ko"])
@pytest.mark.parametrize("number", range(4))
def test_a_good_report_has_no_problem(number, language):
    of = study(SEED + number)
    made = report(of, language)
    assert problems(of.picture, of.statements, made) == ()
    assert text_problems(of.picture, of.statements, made.findings_text(), made.impression_text(), language) == ()


@pytest.mark.parametrize("language", ["en", "ko"])
@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_of_error_is_caught_and_named(kind, language):
    spoilt = spoil(RICH, report(RICH, language), kind, np.random.default_rng(3))
    assert spoilt is not None
    rightly = {"omission": {"omission", "impression"}, "side": {"side", "zone"}, "unit": {"unit", "size"}}.get(kind, {kind})
    assert named(RICH, spoilt) & rightly


@pytest.mark.parametrize("kind", KINDS)
def test_in_free_text_every_problem_is_a_warning(kind):
    spoilt = spoil(RICH, report(RICH), kind, np.random.default_rng(5))
    assert spoilt is not None
    found = text_problems(RICH.picture, RICH.statements, spoilt.findings_text(), spoilt.impression_text(), "en")
    assert found and {problem.severity for problem in found} == {"warning"}


def test_a_finding_without_slice_or_measure_is_not_grounded():
    first = next(each for each in RICH.statements if each.present != "no")
    finding = first.finding
    for changed, says in (
        (finding.model_copy(update={"slices": finding.slices.model_copy(update={"key_uid": "2.25.9"})}), "key slice"),
        (finding.model_copy(update={"size": None, "measure": {}, "zone": "upper"}), "neither a measurement"),
        (finding.model_copy(update={"id": "F88"}), "no finding of this picture"),
    ):
        said = [Statement(finding=changed, present="yes")]
        picture = RICH.picture if changed.id == "F88" else RICH.picture.model_copy(update={"findings": (changed,)})
        found = problems(picture, said, render(picture, said, "en", "draft"))
        assert any(problem.check == "grounding" and says in problem.what for problem in found), says


def test_a_critical_finding_must_be_flagged_first_and_advised():
    of = next(
        each
        for each in (study(SEED + n) for n in range(300))
        if any(s.finding.label == "mass" and s.present == "yes" for s in each.statements)
    )
    made = report(of)
    assert named(of, made) == set()
    quiet = made.model_copy(update={"impression": tuple(line.model_copy(update={"urgency": "routine"}) for line in made.impression)})
    assert "critical" in named(of, quiet)
    silent = made.model_copy(update={"recommendations": ()})
    assert {"critical", "recommendation"} <= named(of, silent)


def test_advice_that_no_rule_gives_is_named():
    made = report(RICH)
    of = next(iter(made.recommendations), None) or next(iter(report(study(SEED + 5)).recommendations))
    invented = of.model_copy(update={"text": "CT in two weeks.", "finding_id": "F1"})
    found = [
        p for p in problems(RICH.picture, RICH.statements, made.model_copy(update={"recommendations": (*made.recommendations, invented)}))
    ]
    assert any(p.check == "recommendation" and p.sentence == "CT in two weeks." for p in found)


def test_an_impression_line_without_its_finding_is_an_insertion():
    made = report(RICH)
    line = ImpressionLine(text="Pneumothorax on the left.", finding_ids=("F99",), urgency="critical")
    assert "insertion" in named(RICH, made.model_copy(update={"impression": (line, *made.impression)}))


def test_languages_that_differ_are_named():
    english, korean = report(RICH), report(RICH, "ko")
    assert twins(english, korean) == ()
    fewer = korean.model_copy(update={"impression": korean.impression[1:]})
    assert "languages" in {problem.check for problem in twins(english, fewer)}
    section = next(each for each in korean.sections if any(s.finding_ids for s in each.sentences))
    other = section.model_copy(update={"sentences": tuple(s for s in section.sentences if not s.finding_ids)})
    assert twins(english, korean.model_copy(update={"sections": tuple(other if s is section else s for s in korean.sections)}))


def test_a_radiologists_own_words_are_shown_never_an_error():
    first = RICH.statements[0].model_copy(update={"note": "Unchanged since the last CT, I think.", "present": "yes"})
    of = Study(RICH.picture, (first, *RICH.statements[1:]))
    found = problems(of.picture, of.statements, report(of))
    assert {problem.severity for problem in found} == {"warning"} and {problem.check for problem in found} == {"prior"}


@pytest.mark.parametrize(
    ("text", "check"),
    [
        ("There is a large pneumothorax on the left.", "insertion"),
        ("A 3 cm mass has grown since the previous CT.", "prior"),
        ("Emphysma is seen.", "typo"),
    ],
)
def test_edited_text_is_read(text, check):
    nothing = Study(RICH.picture, tuple(each.model_copy(update={"present": "no"}) for each in RICH.statements))
    found = text_problems(nothing.picture, nothing.statements, text, "", "en")
    assert check in {problem.check for problem in found}


def test_a_sentence_with_nothing_behind_it_is_an_insertion():
    made = report(RICH)
    added = Sentence(text="There is pneumothorax on the right (slice 3/90).")
    free = next(s for s in made.sections if s.region == "pleura")
    section = free.model_copy(update={"sentences": (*free.sentences, added)})
    changed = made.model_copy(update={"sections": tuple(section if s is free else s for s in made.sections)})
    if all(s.finding.label != "pneumothorax" or s.present == "no" for s in RICH.statements):
        assert "insertion" in named(RICH, changed)
    else:
        assert "side" in named(RICH, changed) or "insertion" in named(RICH, changed)


def test_the_solid_part_of_a_part_solid_nodule_is_no_other_descriptor() -> None:
    nodule = RICH.picture.findings[0].model_copy(
        update={"label": "nodule", "descriptors": ("part-solid",), "measure": {"solid_mm": 7.0}, "size": Size(long_mm=14.6, short_mm=13.4, volume_ml=1.2)}
    )  # fmt: skip
    assert described("A part-solid lung nodule, 14.6 x 13.4 mm (solid part 7.0 mm).", nodule, "en") == []
    assert described("14.6 x 13.4 mm 크기의 부분고형 폐결절이 있음 (고형 부분 7.0 mm).", nodule, "ko") == []
    assert described("A solid lung nodule.", nodule, "en") and described("고형 폐결절이 있음.", nodule, "ko")
