import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sdx_finetune.measure.text_metrics import chrf, score, token_f1, tokens
from sdx_finetune.rows import Row, check_row

WORDS = st.text(alphabet=st.sampled_from("abc 가나다.,é\n"), max_size=40)
VALUES: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers(-9, 9) | st.text(max_size=4),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=8,
)


def row(expected: str) -> Row:
    turns = [{"role": "user", "content": "?"}, {"role": "assistant", "content": expected}]
    return check_row({"messages": turns}, "test")


@given(WORDS, WORDS)
def test_likeness_lies_between_nothing_and_all(a: str, b: str) -> None:
    for metric in (token_f1, chrf):
        assert 0.0 <= metric(a, b) <= 1.0
        assert metric(a, a) == pytest.approx(1.0)
    assert token_f1(a, b) == pytest.approx(token_f1(b, a))


def test_chrf_agrees_with_the_published_tool() -> None:
    # sacrebleu 2.5.1, CHRF().sentence_score: case:mixed, eff:yes, nc:6, nw:0, space:no.
    assert chrf("The cat sat on the mat.", "The cat is on the mat.") == pytest.approx(0.67173, abs=1e-5)
    assert chrf("우현으로 변침", "우현 변침") == pytest.approx(0.37453, abs=1e-5)


def test_a_korean_particle_costs_little() -> None:
    assert tokens("T1이 가장 가깝다.") == ["t1", "이", "가", "장", "가", "깝", "다"]
    assert token_f1("우현으로 변침", "우현 변침") > 0.7
    assert token_f1("starboards turn", "starboard turn") == 0.5


def test_json_is_compared_field_by_field() -> None:
    found = score(row('{"turn": 30, "side": "port", "why": ["R15", "R16"]}'), '{"side": "port", "turn": 30.0, "why": ["R15"], "more": 1}')
    assert {name: found[name] for name in ("valid_json", "json_exact", "json_fields", "exact")} == {
        "valid_json": True, "json_exact": False, "json_fields": 0.75, "exact": False,
    }  # fmt: skip
    assert (found["field_turn"], found["field_side"], found["field_why"]) == (True, True, False)
    assert score(row('{"yes": true}'), '{"yes": 1}')["field_yes"] is False


def test_what_is_no_json_has_no_field_right() -> None:
    found = score(row('{"turn": 30}'), "turn 30")
    assert (found["valid_json"], found["json_fields"], found["field_turn"]) == (False, 0.0, False)
    assert "valid_json" not in score(row("30 degrees"), "30 degrees")
    assert "valid_json" not in score(row("30"), "30")


@given(st.lists(VALUES, max_size=4) | st.dictionaries(st.text(max_size=3), VALUES, max_size=4))
def test_the_same_json_in_another_order_is_all_right(value: Any) -> None:
    turned = dict(reversed(value.items())) if isinstance(value, dict) else value
    found = score(row(json.dumps(value)), json.dumps(turned, indent=1))
    assert found["json_exact"] is True and found["json_fields"] == 1.0
