"""One case: which moves its state allows, what edits do, what a signature is bound to."""

from typing import Any

import chest
import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from sdx_agents.reading import case as moves
from sdx_agents.reading.case import Addendum, Case, Decision, Edit, Illegal, Made, Signer
from sdx_domains.medicine.language.render import render

KIM = Signer(name="Kim^A", organisation="Hospital")
AT = "2026-01-01T00:00:00+00:00"


def draft(critical: bool = True) -> Case:
    _, picture, statements = chest.study(critical=critical)
    fresh = Case(
        id="0" * 16, revision=0, status="draft", created_utc=AT, made=Made(), picture=picture, proposed=statements, statements=statements,
        reports={},
    )  # fmt: skip
    return moves.drafted(fresh, render)


def reviewed(critical: bool = False) -> Case:
    return moves.drafted(moves.begun(draft(critical)), render)


def decide(case: Case, name: str, present: Any, note: str = "") -> Case:
    return moves.drafted(moves.decided(case, Decision(at_utc=AT, by="Kim", finding_id=name, present=present, note=note)), render)


def edit(case: Case, was: str, now: str, ids: tuple[str, ...], language: Any = "en") -> Case:
    change = Edit(at_utc=AT, by="Kim", language=language, finding_ids=ids, was=was, now=now, distance_words=0)
    return moves.drafted(moves.edited(case, change), render)


def sign(case: Case, shown: str | None = None) -> Case:
    drafts = {name: render(case.picture, case.proposed, name, "draft") for name in moves.LANGUAGES}
    return moves.drafted(moves.signed(case, KIM, AT, shown or moves.shown_sha256(case), drafts), render)


def addend(case: Case, text: str) -> Case:
    return moves.addended(case, Addendum(signer=KIM, at_utc=AT, text=text, shown_sha256=moves.shown_sha256(case)))


def sentence(case: Case, name: str, language: Any = "en") -> str:
    return next(each.text for each in case.reports[language].sentences() if each.finding_ids == (name,))


def test_a_rejected_finding_leaves_both_reports() -> None:
    case = decide(reviewed(), "F1", "no")
    assert all("F1" not in each.finding_ids for report in case.reports.values() for each in (*report.sentences(), *report.impression))
    assert case.proposed[0].present == "yes"


def test_an_edit_survives_a_later_decision_and_chains() -> None:
    case = reviewed()
    case = edit(case, sentence(case, "F1"), "A nodule of my own words.", ("F1",))
    case = edit(case, "A nodule of my own words.", "My second words.", ("F1",))
    case = decide(case, "F2", "no")
    assert sentence(case, "F1") == "My second words."
    assert moves.doubts(case, render) == ("edited in one language only: put the same into the other, both are signed",)
    case = edit(case, sentence(case, "F1", "ko"), "내가 쓴 문장.", ("F1",), "ko")
    assert moves.doubts(case, render) == ()


def test_an_edit_whose_sentence_is_gone_is_told() -> None:
    case = reviewed()
    case = edit(case, sentence(case, "F1"), "Mine.", ("F1",))
    case = decide(case, "F1", "uncertain")
    assert any("no longer applies" in each for each in moves.doubts(case, render))


def test_an_empty_edit_takes_the_sentence_out() -> None:
    case = reviewed()
    was = sentence(case, "F2")
    assert not moves.says(edit(case, was, "", ("F2",)).reports["en"], was, ("F2",))


def test_an_edit_of_what_is_not_there_is_refused() -> None:
    with pytest.raises(Illegal, match="has no sentence"):
        edit(reviewed(), "Nothing of the kind.", "x", ())


def test_the_radiologists_finding_is_stated_in_both_languages() -> None:
    case = moves.drafted(moves.added(reviewed(), chest.finding(9, "mass", "left", (5, 30, 57), 20.0), AT, "Kim"), render)
    assert case.statements[-1].finding.id == "R1" and case.statements[-1].finding.found_by == "radiologist"
    assert all(any("R1" in each.finding_ids for each in report.impression) for report in case.reports.values())
    assert case.critical == ("mass",)


def test_a_critical_finding_must_be_decided_before_signing() -> None:
    case = reviewed(critical=True)
    with pytest.raises(Illegal, match="F3"):
        sign(case)
    assert sign(decide(case, "F3", "yes")).status == "signed"


def test_a_signature_is_for_what_was_shown_alone() -> None:
    case = reviewed()
    shown = moves.shown_sha256(case)
    with pytest.raises(Illegal, match="look at it again"):
        sign(decide(case, "F1", "no"), shown)
    done = sign(case)
    assert moves.signed_for(done) is not None
    assert done.signature is not None and done.signature.distance_words == {"en": 0, "ko": 0}


@pytest.mark.parametrize("where", ["statement", "report", "addendum"])
def test_an_altered_signed_case_is_nobodys(where: str) -> None:
    case = addend(sign(reviewed()), "Seen with the surgeon.")
    if where == "statement":
        altered = {"statements": (case.statements[0].model_copy(update={"present": "no"}), *case.statements[1:])}
    elif where == "report":
        altered = {"reports": {**case.reports, "en": case.reports["en"].model_copy(update={"impression": ()})}}
    else:
        altered = {"addenda": (case.addenda[0].model_copy(update={"shown_sha256": "0" * 64}),)}
    assert moves.signed_for(case) is not None
    with pytest.raises(Illegal, match="may leave"):
        moves.signed_for(case.model_copy(update=altered))


@pytest.mark.parametrize(("one", "other", "far"), [("a b c", "a b c", 0), ("a b c", "a x c", 1), ("", "a b", 2), ("a b c d", "b d", 2)])
def test_distance_counts_words(one: str, other: str, far: int) -> None:
    assert moves.distance_words(one, other) == moves.distance_words(other, one) == far


class Moves(RuleBasedStateMachine):
    """Any order of moves: an illegal one is refused, and nothing is signed but by a signature that holds."""

    def __init__(self) -> None:
        super().__init__()
        self.case = draft(critical=True)

    def _only(self, states: tuple[str, ...], move: Any) -> None:
        if self.case.status in states:
            self.case = move()
        else:
            before = self.case
            with pytest.raises(Illegal):
                move()
            assert self.case is before

    @rule()
    def begin(self) -> None:
        self._only(("draft",), lambda: moves.drafted(moves.begun(self.case), render))

    @rule(name=st.sampled_from(["F1", "F2", "F3"]), present=st.sampled_from(["yes", "uncertain", "no"]))
    def decide(self, name: str, present: str) -> None:
        self._only(("in_review",), lambda: decide(self.case, name, present))

    @rule(number=st.integers(0, 3))
    def edit(self, number: int) -> None:
        line = list(self.case.reports["en"].sentences())[number]
        self._only(("in_review",), lambda: edit(self.case, line.text, line.text + " Indeed.", line.finding_ids))

    @precondition(lambda self: self.case.status != "in_review" or "F3" not in self.case.undecided)
    @rule()
    def sign(self) -> None:
        self._only(("in_review",), lambda: sign(self.case))

    @rule()
    def addend(self) -> None:
        self._only(("signed", "addendum"), lambda: addend(self.case, "More."))

    @invariant()
    def final_means_signed(self) -> None:
        assert (moves.signed_for(self.case) is not None) == (self.case.status in ("signed", "addendum"))


TestMoves = Moves.TestCase
TestMoves.settings = settings(max_examples=12, stateful_step_count=14, deadline=None, derandomize=True)
