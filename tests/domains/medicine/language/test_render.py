"""A report says what is stated and nothing else, in both languages, in words that vary, and the labeller reads it back."""

import itertools
import json

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sdx_domains.medicine.labels import labels
from sdx_domains.medicine.language.labeller import label
from sdx_domains.medicine.language.render import advise, describe, render, sentence_of
from sdx_domains.medicine.language.words import with_particle, wording
from sdx_domains.medicine.options import options
from sdx_domains.medicine.picture import Measurements, Prior, Statement

STRENGTH = {"no": 0, "uncertain": 1, "yes": 2}
LOBES = {"right": ["RUL", "RML", "RLL"], "left": ["LUL", "LLL"], "bilateral": ["several"]}
relaxed = settings(
    max_examples=40, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture]
)


@st.composite
def any_finding(draw):
    """Arguments of `found` but for the id: every label, place, size, word and measure that the tables know."""
    key = draw(st.sampled_from([kind.key for kind in labels()]))
    side = draw(st.sampled_from(list(LOBES)))
    return {
        "key": key,
        "side": side,
        "zone": draw(st.sampled_from(["upper", "mid", "lower", "diffuse"])),
        "lobe": draw(st.sampled_from(LOBES[side])),
        "mm": draw(st.none() | st.tuples(st.floats(20, 60), st.floats(3, 20))),
        "count": draw(st.sampled_from([1, 1, 2, 7])),
        "descriptors": tuple(draw(st.lists(st.sampled_from(list(wording()["descriptors"]["en"])), max_size=3, unique=True))),
        "measure": draw(st.dictionaries(st.sampled_from(list(wording()["measures"])), st.floats(0.1, 900), max_size=2)),
    }


presences = st.sampled_from(["yes", "uncertain", "no"])
stated = st.lists(st.tuples(any_finding(), presences), max_size=8)
earlier = st.none() | st.lists(any_finding(), max_size=4)


@given(said=stated, before=earlier, seen=st.booleans(), uid=st.integers(1, 10**9))
@relaxed
def test_both_languages_are_read_back_as_what_was_stated(found, study, said, before, seen, uid) -> None:
    findings = [found(f"F{n}", **row) for n, (row, _) in enumerate(said, 1)]
    prior = (
        None
        if before is None
        else Prior(study_uid="p", days_before=90, findings=tuple(found(f"P{n}", **row) for n, row in enumerate(before)))
    )
    statements = [Statement(finding=finding, present=present) for finding, (_, present) in zip(findings, said, strict=True)]
    wanted = {kind.key: "no" for kind in labels()}
    for each in statements:
        wanted[each.finding.label] = max(wanted[each.finding.label], each.present, key=STRENGTH.__getitem__)
    picture = study(findings, prior=prior, seen=seen, study_uid=f"2.25.{uid}")
    for language in ("en", "ko"):
        report = render(picture, statements, language, "draft")
        assert label(report.findings_text()) == wanted
        assert label(report.impression_text()) == wanted
        backed = {name for sentence in report.sentences() for name in sentence.finding_ids}
        assert backed == {each.finding.id for each in statements if each.present != "no"}
        assert backed == {name for line in report.impression for name in line.finding_ids}


@pytest.mark.parametrize("language", ["en", "ko"])
def test_every_label_form_and_certainty_is_read_back(found, study, language) -> None:
    """All wordings of every label, each by itself."""
    met = set()
    for kind, present, uid in itertools.product(labels(), ("yes", "uncertain"), range(40)):
        statement = Statement(finding=found(key=kind.key, mm=(9.0, 7.0)), present=present)
        sentence = sentence_of(study(study_uid=f"2.25.{uid}"), statement, language)
        assert label(sentence.text) == {each.key: present if each.key == kind.key else "no" for each in labels()}, sentence.text
        met.add((kind.key, present, sentence.text))
    forms = wording()[language]
    assert len(met) == len(labels()) * (len(forms["yes"]) + len(forms["uncertain"]))


def test_reports_do_not_collapse_into_one_template(found, study) -> None:
    texts = {
        render(study([found()], study_uid=f"2.25.{uid}"), [Statement(finding=found(), present="yes")], "en", "draft").findings_text()
        for uid in range(100)
    }
    assert len(texts) >= 80


def test_a_sentence_tells_place_size_measure_and_slice(found, study) -> None:
    nodule = found(mm=(8.24, 6.06), descriptors=("solid",))
    for language, words in (
        ("en", ("solid lung nodule", "right upper lobe", "8.2 x 6.1 mm", "slice 41/128")),
        ("ko", ("고형 폐결절", "우상엽", "8.2 x 6.1 mm", "영상 41/128")),
    ):
        text = sentence_of(study(), Statement(finding=nodule, present="yes"), language).text
        assert all(word in text for word in words), text
    heart = found(key="cardiomegaly", measure={"cardiothoracic_ratio": 0.583})
    assert "심흉비 0.58" in sentence_of(study(), Statement(finding=heart, present="yes"), "ko").text


@pytest.mark.parametrize("language", ["en", "ko"])
def test_a_measure_of_nothing_is_not_told(found, study, language) -> None:
    for fluid_mm, told in ((0.0, False), (0.04, False), (6.2, True)):
        fluid = found(key="pericardial_effusion", measure={"pericardial_fluid_mm": fluid_mm})
        text = sentence_of(study([fluid]), Statement(finding=fluid, present="yes"), language).text
        assert ("6.2 mm" in text) == told and "0.0" not in text


def test_sides_are_the_finding_s(found, study) -> None:
    for side, lobe, english, korean in (("left", "LLL", "left lower lobe", "좌하엽"), ("right", "RML", "right middle lobe", "우중엽")):
        statement = Statement(finding=found(key="opacity", side=side, lobe=lobe, zone="mid"), present="yes")
        assert english in sentence_of(study(), statement, "en").text and korean in sentence_of(study(), statement, "ko").text
    fluid = Statement(finding=found(key="pleural_effusion", side="bilateral"), present="yes")
    assert "on both sides" in sentence_of(study(), fluid, "en").text and "양측" in sentence_of(study(), fluid, "ko").text


def test_the_impression_goes_by_urgency(found, study) -> None:
    findings = [
        found("F1", "emphysema"),
        found("F2", mm=(7.0, 6.0)),
        found("F3", "mass", mm=(44.0, 40.0)),
        found("F4", "pleural_effusion", measure={"fluid_ml": 1500.0}),
    ]
    report = render(study(findings), [Statement(finding=each, present="yes") for each in findings], "en", "draft")
    assert [(line.finding_ids, line.urgency) for line in report.impression] == [
        (("F4",), "critical"),
        (("F3",), "critical"),
        (("F2",), "urgent"),
        (("F1",), "routine"),
    ]
    assert "44.0 x 40.0 mm" in report.impression[1].text


def test_several_of_a_kind_share_a_line(found, study) -> None:
    findings = [found(f"F{n}", mm=(9.0 - n, 5.0 - n)) for n in range(1, 5)]
    line = render(study(findings), [Statement(finding=each, present="yes") for each in findings], "en", "draft").impression[0]
    assert line.finding_ids == ("F1", "F2", "F3", "F4")
    assert line.text.startswith("Lung nodules: right upper lobe, 8.0 x 4.0 mm; ") and line.text.endswith("; 1 more.")


def test_an_empty_report_says_so_and_denies_what_was_looked_for(study) -> None:
    report = render(study(), [], "en", "draft")
    assert report.impression[0].finding_ids == () and label(report.impression_text()) == {kind.key: "no" for kind in labels()}
    denied = {key for sentence in report.sentences() for key in sentence.labels}
    assert denied == {kind.key for kind in labels()}
    assert report.comparison == "None available."


def test_what_nobody_looked_for_is_not_denied(study) -> None:
    """Without a model only what code measured may be denied."""
    report = render(study(measured=Measurements(cardiothoracic_ratio=0.44), seen=False), [], "en", "draft")
    text = report.findings_text()
    assert any("ardiomegaly" in sentence.text and "Not assessed" not in sentence.text for sentence in report.sentences())
    assert "Not assessed in this draft: " in text and "lung nodule" in text.partition("Not assessed in this draft: ")[2]
    assert any("No model read this study" in warning for warning in report.warnings)
    assert "without a model" in report.statement


def test_what_the_model_cannot_tell_is_not_denied(study) -> None:
    """It gave a probability, and is not heard on it."""
    report = render(study(), [], "en", "draft")
    denied, _, unassessed = report.findings_text().partition("Not assessed in this draft: ")
    assert "ymphadenopathy" not in denied and "lymphadenopathy" in report.findings_text() and unassessed


def test_no_prior_is_invented(found, study) -> None:
    text = render(study([found()]), [Statement(finding=found(), present="yes")], "en", "draft").model_dump_json()
    assert "prior" not in text and "new since" not in text and "unchanged" not in text


def test_a_prior_is_told_in_both_languages(found, study) -> None:
    now = [found("F1", mm=(12.0, 10.0)), found("F2", "consolidation", side="left", lobe="LLL")]
    prior = Prior(
        study_uid="p", days_before=92, findings=(found("P1", mm=(8.0, 6.0)), found("P2", "mass", side="left", lobe="LUL", mm=(33.0, 31.0)))
    )
    english, korean = (
        render(study(now, prior=prior), [Statement(finding=each, present="yes") for each in now], language, "draft")
        for language in ("en", "ko")
    )
    assert english.comparison == "Study of 92 days before." and korean.comparison == "92일 전 검사."
    assert (
        "larger than in the prior study, mean 7.0 mm then" in english.findings_text()
        and "이전 검사보다 커짐, 당시 평균 7.0 mm" in korean.findings_text()
    )
    assert (
        "new since the prior study" in english.findings_text()
        and "mass of the prior study in the left upper lobe" in english.findings_text()
    )


def test_notes_are_kept_as_written(found, study) -> None:
    report = render(study([found()]), [Statement(finding=found(), present="yes", note="seen by\nme <b>")], "ko", "in_review")
    assert [sentence.text for sentence in report.sentences() if sentence.finding_ids == ("F1",)][1] == "seen by me <b>"


def test_status_and_signer(study) -> None:
    assert "Research use, not a medical device" in render(study(), [], "en", "draft").statement
    assert "의료기기가 아님" in render(study(), [], "ko", "in_review").statement
    assert "Not verified by a radiologist" in render(study(), [], "en", "draft").statement
    assert "Verified and signed by Dr. Kim." in render(study(), [], "en", "signed", "Dr. Kim").statement
    with pytest.raises(ValueError, match="'signed' needs its signer"):
        render(study(), [], "en", "signed")


def test_a_finding_is_stated_once(found, study) -> None:
    twice = [Statement(finding=found(), present="yes")] * 2
    with pytest.raises(ValueError, match="stated twice: F1"):
        render(study([found()]), twice, "en", "draft")
    with pytest.raises(ValueError, match="F1 is denied"):
        sentence_of(study(), Statement(finding=found(), present="no"), "en")


def test_warnings_of_study_and_model(study) -> None:
    picture = study(coverage="lungs cut at top", warnings=("slice at z = 12.0 mm is missing",))
    assert picture.saw is not None
    far = picture.model_copy(update={"saw": picture.saw.model_copy(update={"unlike_training": 2.4})})
    told = " ".join(render(far, [], "en", "draft").warnings)
    assert all(words in told for words in ("cut at the top", "z = 12.0", "unlike those that the model was trained on (2.4", "synthetic CT"))


@pytest.mark.parametrize(
    ("word", "kind", "told"),
    [
        ("폐결절", "i", "폐결절이"),
        ("흉수", "i", "흉수가"),
        ("흉수", "eun", "흉수는"),
        ("기흉", "eul", "기흉을"),
        ("결절 3개", "i", "결절 3개가"),
        ("ICD", "eun", "ICD는"),
    ],
)
def test_particles(word, kind, told) -> None:
    assert with_particle(word, kind) == told


def test_the_study_and_the_choices_in_words(found, study) -> None:
    nodule = found(mm=(8.0, 6.0), probability=0.93)
    picture = study([nodule], measured=Measurements(emphysema_index_pct=12.3))
    assert "Measured: emphysema index 12.3 %." in describe(picture, "en") and "폐기종 지수 12.3 %" in describe(picture, "ko")
    assert "F1: lung nodule in the right upper lobe (8.0 x 6.0 mm), 93 %, slice 41/128." in describe(picture, "en")
    assert "No candidate findings." in describe(study(), "en")
    offered = options(picture)
    assert advise(picture, offered[0], "en").endswith("Probability 93 %.")
    assert advise(picture, offered[-1], "en") == "A lung nodule in the right upper lobe, 8.0 x 6.0 mm."
    unlikely = study([nodule.model_copy(update={"probability": 0.02, "found_by": "encoder"})])
    assert "Not stated: lung nodule" in advise(unlikely, options(unlikely)[0], "en") and "기술하지 않음" in advise(
        unlikely, options(unlikely)[0], "ko"
    )


def test_a_report_is_plain_json(found, study) -> None:
    report = render(study([found()]), [Statement(finding=found(), present="yes")], "ko", "draft")
    assert type(report).model_validate(json.loads(report.model_dump_json())) == report
