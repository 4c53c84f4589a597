"""Findings of two studies are matched by kind, side, lobe and place, wherever the table stood, and judged by the measure they share."""

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sdx_domains.medicine.language.compare import changes
from sdx_domains.medicine.picture import Prior, Statement

relaxed = settings(max_examples=60, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.function_scoped_fixture])


def told(study, now, before):
    picture = study(now, prior=Prior(study_uid="p", days_before=100, findings=tuple(before)))
    found = changes(picture, [Statement(finding=each, present="yes") for each in now])
    return [(each.kind, each.now.id if each.now else None, each.before.id if each.before else None) for each in found]


def test_without_a_prior_nothing_has_changed(found, study) -> None:
    assert changes(study([found()]), [Statement(finding=found(), present="yes")]) == ()


@pytest.mark.parametrize(
    ("mm", "kind"), [((8.0, 8.0), "unchanged"), ((9.9, 9.9), "unchanged"), ((10.0, 10.0), "larger"), ((6.0, 6.0), "smaller")]
)
def test_a_nodule_changes_from_two_millimetres_on(found, study, mm, kind) -> None:
    assert told(study, [found("F1", mm=mm)], [found("P1", mm=(8.0, 8.0))]) == [(kind, "F1", "P1")]


def test_new_and_resolved(found, study) -> None:
    now, before = [found("F1", mm=(8.0, 8.0))], [found("P1", "consolidation", side="left", lobe="LLL", zone="lower")]
    assert told(study, now, before) == [("new", "F1", None), ("resolved", None, "P1")]


def test_the_other_side_is_another_finding(found, study) -> None:
    assert told(study, [found("F1", mm=(8.0, 8.0))], [found("P1", mm=(8.0, 8.0), side="left", lobe="LUL")]) == [
        ("new", "F1", None),
        ("resolved", None, "P1"),
    ]


def test_a_nodule_may_become_a_mass(found, study) -> None:
    assert told(study, [found("F1", "mass", mm=(33.0, 31.0))], [found("P1", mm=(20.0, 18.0))]) == [("larger", "F1", "P1")]


def test_two_nodules_keep_their_places(found, study) -> None:
    now = [found("F1", mm=(6.0, 6.0), at=(-60.0, 10.0, 100.0)), found("F2", mm=(9.0, 9.0), at=(-60.0, -40.0, 60.0))]
    before = [found("P1", mm=(9.0, 9.0), at=(-60.0, -40.0, 62.0)), found("P2", mm=(6.0, 6.0), at=(-60.0, 10.0, 99.0))]
    assert told(study, now, before) == [("unchanged", "F1", "P2"), ("unchanged", "F2", "P1")]


@given(shift=st.tuples(st.floats(-60, 60), st.floats(-60, 60), st.floats(-900, 900)))
@relaxed
def test_the_table_may_have_stood_elsewhere(found, study, shift) -> None:
    places = {"a": (-60.0, 0.0, 100.0), "b": (60.0, 20.0, 80.0), "c": (-55.0, 30.0, 20.0)}
    rows = [
        ("nodule", "right", "RUL", "upper", "a"),
        ("nodule", "left", "LUL", "upper", "b"),
        ("consolidation", "right", "RLL", "lower", "c"),
    ]
    now = [found(f"F{n}", key, side, zone, lobe, (9.0, 8.0), places[at]) for n, (key, side, lobe, zone, at) in enumerate(rows)]
    there = {name: tuple(a + b for a, b in zip(place, shift, strict=True)) for name, place in places.items()}
    before = [found(f"P{n}", key, side, zone, lobe, (9.0, 8.0), there[at]) for n, (key, side, lobe, zone, at) in enumerate(rows)]
    assert told(study, now, before) == [("unchanged", f"F{n}", f"P{n}") for n in range(3)]


def test_fluid_goes_by_its_volume(found, study) -> None:
    def fluid(name, ml):
        return found(name, "pleural_effusion", side="left", measure={"fluid_ml": ml})

    assert told(study, [fluid("F1", 390.0)], [fluid("P1", 320.0)]) == [("unchanged", "F1", "P1")]
    assert told(study, [fluid("F1", 640.0)], [fluid("P1", 320.0)]) == [("larger", "F1", "P1")]


def test_what_is_now_doubtful_has_not_resolved(found, study) -> None:
    picture = study([found("F1", mm=(8.0, 8.0))], prior=Prior(study_uid="p", days_before=9, findings=(found("P1", mm=(8.0, 8.0)),)))
    for present, kinds in (("uncertain", ["unchanged"]), ("no", ["resolved"])):
        assert [each.kind for each in changes(picture, [Statement(finding=picture.findings[0], present=present)])] == kinds
