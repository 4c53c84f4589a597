"""What a proposal may state, what falls back, what an order may go on saying."""

import pytest

from sdx_domains.contract import Order, Proposal, Understanding
from sdx_domains.medicine.assure.random_studies import study
from sdx_domains.medicine.assure.thresholds import Point, carried_by_measurement, suggested, thresholds
from sdx_domains.medicine.assure.verdict import check, fallback, judge, planned, supported
from sdx_domains.medicine.labels import labels
from sdx_domains.medicine.picture import DRAFT, Candidate, MedicinePicture, Saw

SEED = 500_000_007


def with_findings(**changes) -> MedicinePicture:
    """A random picture with at least four findings, every one changed alike."""
    of = next(each for each in (study(SEED + n) for n in range(99)) if len(each.picture.findings) >= 4)
    found = tuple(each.model_copy(update=changes) for each in of.picture.findings)
    return of.picture.model_copy(update={"findings": found})


def candidates(picture: MedicinePicture) -> list[Candidate]:
    made = [Candidate(id=each.id, label=each.label, setpoints={}, finding=each) for each in picture.findings]
    return [*made, Candidate(id=DRAFT, label="draft", setpoints={})]


def proposal(picture: MedicinePicture, role: str = "yes", **changes) -> Proposal:
    said = tuple(Understanding(subject=each.id, kind=each.label, role=role) for each in picture.findings)
    return Proposal(option_id=DRAFT, understanding=said).model_copy(update=changes)


def judged(picture: MedicinePicture, of: Proposal):
    return judge(picture, candidates(picture), of)


def test_what_evidence_supports_is_accepted_as_an_order_of_every_finding():
    picture = with_findings(probability=0.95)
    verdict = judged(picture, proposal(picture))
    assert verdict.kind == "accept" and verdict.order is not None
    assert verdict.order.setpoints == {each.id: 1.0 for each in picture.findings}
    assert check(picture, verdict.order).kind == "accept"


def test_a_yes_inside_the_band_is_put_down_to_uncertain():
    label, band = max(thresholds().labels.items(), key=lambda row: row[1].high - row[1].low)
    picture = with_findings(label=label, probability=(band.low + band.high) / 2, found_by="encoder")
    verdict = judged(picture, proposal(picture))
    assert verdict.kind == "clip" and verdict.order is not None
    assert set(verdict.order.setpoints.values()) == {0.5} and len(verdict.reasons) == len(picture.findings)


def test_a_yes_that_nothing_supports_never_stands():
    picture = with_findings(probability=0.01, found_by="encoder")
    few = tuple(each for n, each in enumerate(proposal(picture).understanding) if n < 1)
    rest = tuple(each.model_copy(update={"role": "no"}) for each in proposal(picture).understanding[1:])
    one = judged(picture, proposal(picture, understanding=(*few, *rest)))
    assert one.kind == "clip" and one.order is not None and one.order.setpoints[picture.findings[0].id] == 0.0
    every = judged(picture, proposal(picture))
    assert every.kind == "reject" and every.order is None and "nothing behind them" in every.reasons[0]


def test_clear_evidence_is_not_dropped():
    picture = with_findings(probability=0.97)
    verdict = judged(picture, proposal(picture, "no"))
    assert verdict.kind == "clip" and verdict.order is not None and set(verdict.order.setpoints.values()) == {1.0}
    blind = picture.model_copy(update={"saw": None})
    held = judged(blind, proposal(blind, "no")).order
    assert held is not None and set(held.setpoints.values()) == {0.5}


@pytest.mark.parametrize(("unlike", "trained_on", "synthetic"), [(9.9, "", True), (0.3, "phantoms", False)])
def test_where_the_encoder_is_out_of_its_depth_only_measurement_makes_certain(unlike: float, trained_on: str, synthetic: bool):
    picture = with_findings(probability=0.97)
    saw = Saw(handle="x", model="m", model_sha256="s", probability={}, unlike_training=unlike, trained_on=trained_on)
    study = picture.study.model_copy(update={"synthetic": synthetic})
    strange = picture.model_copy(update={"saw": saw, "study": study})
    verdict = judged(strange, proposal(strange))
    carried = {each.id for each in picture.findings if carried_by_measurement(each)}
    assert verdict.order is not None
    assert {name for name, value in verdict.order.setpoints.items() if value == 1.0} == carried
    assert set(verdict.order.setpoints.values()) - {1.0} == ({0.5} if len(carried) < len(picture.findings) else set())
    assert planned(strange) == {each.id: "yes" if each.id in carried else "uncertain" for each in picture.findings}


def test_within_its_depth_the_weighed_probability_decides_and_a_floor_forces_nothing():
    measured = {"fluid_ml": 40.0}
    finding = with_findings(probability=0.05).findings[0]
    finding = finding.model_copy(update={"label": "pleural_effusion", "measure": measured, "found_by": "measurement", "size": None})
    alone = with_findings(probability=0.05).model_copy(update={"findings": (finding,), "saw": None})
    saw = Saw(handle="x", model="m", model_sha256="s", probability={}, unlike_training=0.3, trained_on="phantoms")
    seen = alone.model_copy(update={"saw": saw, "study": alone.study.model_copy(update={"synthetic": True})})
    assert carried_by_measurement(finding)
    assert planned(alone) == {finding.id: "yes"} and planned(seen) == {finding.id: "no"}


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"option_id": None}, "abstains"),
        ({"option_id": "F1"}, "is not the draft"),
        ({"picture_id": "other"}, "another picture"),
        ({"understanding": ()}, "is not decided"),
        ({"understanding": (Understanding(subject="F77", kind="nodule", role="yes"),)}, "no finding of this study"),
    ],
)
def test_an_ill_formed_proposal_is_rejected(change, says):
    picture = with_findings(probability=0.9)
    verdict = judged(picture, proposal(picture, **change))
    assert verdict.kind == "reject" and verdict.order is None and says in " ".join(verdict.reasons)


def test_wrong_kinds_roles_and_doubles_are_named():
    picture = with_findings(probability=0.9)
    said = proposal(picture).understanding
    wrong = (said[0].model_copy(update={"kind": "gallstone"}), said[1].model_copy(update={"role": "maybe"}), *said[2:], said[2])
    reasons = " ".join(judged(picture, proposal(picture, understanding=wrong)).reasons)
    assert "not 'gallstone'" in reasons and "'maybe' is said" in reasons and "decided twice" in reasons


def test_the_fallback_goes_by_operating_points_and_without_an_encoder_by_what_measurement_carries():
    certain = with_findings(probability=0.99, found_by="encoder")
    held = fallback(certain).order
    assert held is not None and set(held.setpoints.values()) == {1.0} and check(certain, held).kind == "accept"
    picture = with_findings(probability=0.01, found_by="encoder").model_copy(update={"saw": None})
    heart = picture.findings[0].model_copy(
        update={"label": "cardiomegaly", "measure": {"cardiothoracic_ratio": 0.55}, "found_by": "measurement", "size": None}
    )
    dense = picture.findings[1].model_copy(update={"found_by": "measurement", "label": "hiatal_hernia", "probability": 0.01})
    picture = picture.model_copy(update={"findings": (heart, dense, *picture.findings[2:])})
    verdict = fallback(picture)
    assert verdict.kind == "fallback" and verdict.order is not None
    assert verdict.order.setpoints[heart.id] == 1.0 and verdict.order.setpoints[dense.id] == 0.0
    assert {verdict.order.setpoints[each.id] for each in picture.findings[2:]} == {0.0}
    assert check(picture, verdict.order).kind == "accept"


def test_an_order_is_held_to_its_own_study():
    picture = with_findings(probability=0.9)
    order = judged(picture, proposal(picture)).order
    assert order is not None

    def reasons(**changes) -> str:
        verdict = check(picture, order.model_copy(update=changes))
        assert verdict.kind == "reject"
        return " ".join(verdict.reasons)

    assert "another study" in reasons(picture_id="x")
    assert "nothing is said" in reasons(setpoints={})
    assert "is not in the picture" in reasons(setpoints={**order.setpoints, "F99": 1.0})
    assert "1, 0.5 or 0" in reasons(setpoints={**order.setpoints, picture.findings[0].id: 0.7})
    assert "older than" in " ".join(
        check(picture.model_copy(update={"t_s": 0.0}), order.model_copy(update={"issued_s": -99 * 86400.0})).reasons
    )


def test_an_order_that_states_the_unsupported_does_not_stand_unless_a_radiologist_gave_it():
    picture = with_findings(probability=0.01, found_by="encoder")
    order = Order(
        domain="medicine", setpoints={each.id: 1.0 for each in picture.findings}, issued_s=0.0, valid_for_s=1e6, source="model", picture_id=picture.id
    )  # fmt: skip
    assert check(picture, order).kind == "reject"
    assert check(picture, order.model_copy(update={"source": "fallback"})).kind == "reject"
    assert check(picture, order.model_copy(update={"source": "human"})).kind == "accept"


@pytest.mark.parametrize("number", range(25))
def test_the_plan_passes_as_it_is(number):
    picture = study(SEED + number).picture
    decided = planned(picture)
    said = tuple(Understanding(subject=each.id, kind=each.label, role=decided[each.id]) for each in picture.findings)
    assert judged(picture, Proposal(option_id=DRAFT, understanding=said)).kind == "accept"


def test_thresholds_hold_every_label_and_are_ordered():
    assert set(thresholds().labels) == {each.key for each in labels()}
    with pytest.raises(ValueError, match="low 0.7 <= point"):
        Point(point=0.5, low=0.7, high=0.8)


def test_support_is_probability_or_measurement():
    finding = next(each for each in study(SEED + 3).picture.findings if each.measure)
    weak = finding.model_copy(
        update={"probability": 0.0, "found_by": "both", "label": "emphysema", "measure": {"emphysema_index_pct": 5.0}}
    )
    assert carried_by_measurement(weak) and supported(weak) and suggested(weak) == "no"
    assert not carried_by_measurement(weak.model_copy(update={"measure": {"emphysema_index_pct": 4.9}}))
    assert not carried_by_measurement(weak.model_copy(update={"found_by": "encoder"}))
    assert not supported(weak.model_copy(update={"measure": {}}))
