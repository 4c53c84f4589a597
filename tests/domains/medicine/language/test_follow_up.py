"""Every cell of Fleischner 2017 and of Lung-RADS v2022, and what is said where no cell may be used."""

import pytest

from sdx_domains.medicine.language.compare import changes
from sdx_domains.medicine.language.follow_up import Before, lung_rads, recommend, tables, whole_mm
from sdx_domains.medicine.picture import Prior, Statement


def say(*findings, present="yes"):
    return [Statement(finding=each, present=present) for each in findings]


def across(mean, **more):
    """Long and short axis with this mean."""
    return {"mm": (mean + 0.5, mean - 0.5), **more}


SINGLE = [
    ("solid", 5.4, "single solid <6 mm", "high risk: CT at 12 months is optional"),
    ("solid", 5.5, "single solid 6-8 mm", "CT at 6-12 months, then consider CT at 18-24 months"),
    ("solid", 8.4, "single solid 6-8 mm", "high risk: CT at 6-12 months, then CT at 18-24 months"),
    ("solid", 8.5, "single solid >8 mm", "consider CT at 3 months, PET/CT or tissue sampling"),
    ("solid", 30.0, "single solid >8 mm", "consider CT at 3 months"),
    ("ground-glass", 5.4, "single ground-glass <6 mm", "no routine follow-up"),
    ("ground-glass", 6.0, "single ground-glass >=6 mm", "CT every 2 years until 5 years"),
    ("part-solid", 5.0, "single part-solid <6 mm", "no routine follow-up"),
    ("part-solid", 6.0, "single part-solid >=6 mm", "CT every year for 5 years"),
]
SEVERAL = [
    ("solid", 5.4, "multiple solid <6 mm", "CT at 12 months is optional"),
    ("solid", 6.0, "multiple solid >=6 mm", "CT at 3-6 months, then consider CT at 18-24 months"),
    ("ground-glass", 5.0, "multiple subsolid <6 mm", "consider CT at 2 and 4 years"),
    ("part-solid", 5.0, "multiple subsolid <6 mm", "CT at 3-6 months"),
    ("part-solid", 9.0, "multiple subsolid >=6 mm", "most suspicious nodule"),
]


@pytest.mark.parametrize(("kind", "mean", "category", "words"), SINGLE)
def test_fleischner_single(found, study, kind, mean, category, words) -> None:
    told = recommend(say(found(**across(mean, descriptors=(kind,)))), study().study)
    assert [(each.rule, each.category, each.finding_id) for each in told] == [("Fleischner 2017", category, "F1")] and words in told[0].text


@pytest.mark.parametrize(("kind", "mean", "category", "words"), SEVERAL)
def test_fleischner_several(found, study, kind, mean, category, words) -> None:
    two = say(found("F1", **across(3.0, descriptors=(kind,))), found("F2", **across(mean, descriptors=(kind,))))
    counted = say(found("F2", **across(mean, descriptors=(kind,), count=3)))
    for stated in (two, counted):
        told = recommend(stated, study().study)
        assert [(each.category, each.finding_id) for each in told] == [(category, "F2")] and words in told[0].text


def test_every_cell_is_reached() -> None:
    reached = {category for _, _, category, _ in (*SINGLE, *SEVERAL)}
    cells = {f"{'multiple' if row['many'] else 'single'} {row['kind']} {row['size']} mm" for row in tables()["fleischner"]["cells"]}
    assert reached == cells


def test_solid_and_subsolid_ones_are_advised_apart(found, study) -> None:
    told = recommend(
        say(found("F1", **across(9.0, descriptors=("solid",))), found("F2", **across(7.0, descriptors=("ground-glass",)))), study().study
    )
    assert [(each.category, each.finding_id) for each in told] == [("single solid >8 mm", "F1"), ("single ground-glass >=6 mm", "F2")]


@pytest.mark.parametrize(
    ("age", "more", "category", "words"),
    [
        (34, {}, "young", "the patient is 34 years old and the guideline begins at 35"),
        (None, {}, "age", "age is not known"),
        (60, {"descriptors": ()}, "kind", "not known whether it is solid"),
        (60, {"mm": None}, "size", "could not be measured"),
        (60, {"mm": (34.0, 30.0)}, "mass", "above 30 mm the guideline does not apply"),
        (60, {"descriptors": ("solid", "calcified")}, "benign", "calcified throughout"),
    ],
)
def test_without_the_facts_no_interval_is_given(found, study, age, more, category, words) -> None:
    nodule = found(**{**across(7.0, descriptors=("solid",)), **more})
    told = recommend(say(nodule), study(age_years=age).study)
    assert [each.category for each in told] == [category] and words in told[0].text and "months" not in told[0].text


def test_from_35_years_on(found, study) -> None:
    nodule = found(**across(7.0, descriptors=("solid",)))
    assert recommend(say(nodule), study(age_years=35).study)[0].category == "single solid 6-8 mm"


def test_sizes_are_rounded_halves_up(found) -> None:
    assert [whole_mm(found(mm=(mean, mean))) for mean in (5.49, 5.5, 6.5, 8.5)] == [5, 6, 7, 9] and whole_mm(found()) is None


def test_doubtful_and_denied_nodules_get_no_interval(found, study) -> None:
    nodule = found(**across(7.0, descriptors=("solid",)))
    assert recommend(say(nodule, present="uncertain"), study().study) == () == recommend(say(nodule, present="no"), study().study)


def test_what_is_critical_is_told_at_once(found, study) -> None:
    told = recommend(
        say(
            found("F1", "mass", mm=(40.0, 35.0)),
            found("F2", "pneumothorax"),
            found("F3", "pleural_effusion"),
            found("F4", "pleural_effusion", descriptors=("large",)),
        ),
        study().study,
    )
    assert [(each.rule, each.category, each.finding_id) for each in told] == [
        ("critical", "mass", "F1"),
        ("critical", "pneumothorax", "F2"),
        ("critical", "pleural_effusion", "F4"),
    ]


def test_both_languages_give_the_same_advice(found, study) -> None:
    nodules = say(found("F1", **across(9.0, descriptors=("solid",))), found("F2", "mass", mm=(40.0, 35.0)))
    for setting in ("incidental", "screening"):
        english, korean = (recommend(nodules, study().study, language, setting) for language in ("en", "ko"))
        assert [(each.rule, each.category, each.finding_id) for each in english] == [
            (each.rule, each.category, each.finding_id) for each in korean
        ]
        assert all(any("가" <= letter <= "힣" for letter in each.text) for each in korean)


BASELINE = [
    ("solid", 5.9, {}, "2"), ("solid", 6.0, {}, "3"), ("solid", 7.9, {}, "3"), ("solid", 8.0, {}, "4A"),
    ("solid", 14.9, {}, "4A"), ("solid", 15.0, {}, "4B"),
    ("part-solid", 5.9, {"solid_mm": 3.0}, "2"), ("part-solid", 9.0, {"solid_mm": 5.9}, "3"),
    ("part-solid", 9.0, {"solid_mm": 6.0}, "4A"), ("part-solid", 9.0, {"solid_mm": 8.0}, "4B"),
    ("ground-glass", 29.9, {}, "2"), ("ground-glass", 30.0, {}, "3"), ("calcified", 12.0, {}, "1"),
]  # fmt: skip
NEW = [
    ("solid", 3.9, {}, "2"), ("solid", 4.0, {}, "3"), ("solid", 6.0, {}, "4A"), ("solid", 8.0, {}, "4B"),
    ("part-solid", 5.9, {"solid_mm": 2.0}, "3"), ("part-solid", 7.0, {"solid_mm": 3.9}, "4A"), ("part-solid", 7.0, {"solid_mm": 4.0}, "4B"),
    ("ground-glass", 29.9, {}, "2"), ("ground-glass", 30.0, {}, "3"),
]  # fmt: skip
GROWING = [
    ("solid", 7.9, {}, "4A"), ("solid", 8.0, {}, "4B"), ("part-solid", 9.0, {"solid_mm": 3.9}, "4A"),
    ("part-solid", 9.0, {"solid_mm": 4.0}, "4B"),
    ("ground-glass", 29.9, {}, "2"), ("ground-glass", 30.0, {}, "3"),
]  # fmt: skip


def before(study, nodule, *earlier, days=300):
    picture = study([nodule], prior=Prior(study_uid="p", days_before=days, findings=earlier))
    return Before(days, changes(picture, say(nodule)))


@pytest.mark.parametrize(("kind", "mean", "measure", "category"), BASELINE)
def test_lung_rads_baseline(found, kind, mean, measure, category) -> None:
    assert lung_rads(found(**across(mean, descriptors=(kind,), measure=measure)), None) == (category, "")


@pytest.mark.parametrize(("kind", "mean", "measure", "category"), NEW)
def test_lung_rads_new(found, study, kind, mean, measure, category) -> None:
    nodule = found(**across(mean, descriptors=(kind,), measure=measure))
    assert lung_rads(nodule, before(study, nodule)) == (category, "")


@pytest.mark.parametrize(("kind", "mean", "measure", "category"), GROWING)
def test_lung_rads_growing(found, study, kind, mean, measure, category) -> None:
    nodule = found(**across(mean, descriptors=(kind,), measure=measure))
    earlier = found("P1", **across(mean - 2.1, descriptors=(kind,)))
    assert lung_rads(nodule, before(study, nodule, earlier)) == (category, "")


def test_every_row_of_lung_rads_is_reached() -> None:
    asked = {
        (kind, when, category)
        for when, rows in (("baseline", BASELINE), ("new", NEW), ("growing", GROWING))
        for kind, _, _, category in rows
    }
    rows = {(row["kind"], "baseline" if row["when"] == "any" else row["when"], row["category"]) for row in tables()["lung_rads"]["rows"]}
    assert rows <= asked


def test_lung_rads_steps_down_what_has_not_changed_and_up_what_looks_bad(found, study) -> None:
    nodule = found(**across(9.0, descriptors=("solid",)))
    same = found("P1", **across(9.0, descriptors=("solid",)))
    assert lung_rads(nodule, before(study, nodule, same)) == ("3", "")
    assert lung_rads(found(**across(9.0, descriptors=("solid", "spiculated"))), None) == ("4X", "")
    assert lung_rads(found(**across(4.0, descriptors=("solid", "spiculated"))), None) == ("2", "")
    slow = found("P1", **across(6.9, descriptors=("solid",)))
    assert lung_rads(nodule, before(study, nodule, slow, days=800)) == ("4A", "")


def test_lung_rads_of_the_study_is_that_of_its_worst_nodule(found, study) -> None:
    nodules = say(found("F1", **across(5.0, descriptors=("solid",))), found("F2", **across(9.0, descriptors=("solid",))))
    told = recommend(nodules, study().study, "en", "screening")
    assert [(each.category, each.finding_id) for each in told] == [("4A", "F2")] and "low-dose CT in 3 months" in told[0].text
    assert [each.category for each in recommend([], study().study, "en", "screening")] == ["1"]
    assert [each.category for each in recommend(nodules, study(coverage="lungs cut at top").study, "en", "screening")] == ["0"]


@pytest.mark.parametrize(
    ("more", "why"),
    [
        ({"mm": None}, "could not be measured"),
        ({"descriptors": ()}, "not known whether"),
        ({"descriptors": ("part-solid",)}, "solid part was not measured"),
    ],
)
def test_lung_rads_says_what_is_missing(found, study, more, why) -> None:
    nodule = found(**{**across(9.0, descriptors=("solid",)), **more})
    told = recommend(say(nodule), study().study, "en", "screening")
    assert [each.category for each in told] == ["unknown"] and why in told[0].text
