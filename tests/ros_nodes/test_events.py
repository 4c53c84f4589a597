"""Operator actions and other events: closed, bounded, told what is wrong."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sdx_domains.contract import Proposal
from sdx_ros_nodes import events
from sdx_ros_nodes.messages import deserialise, new, serialise

ACTIONS: list[events.Action] = [
    events.Stop(by="a"),
    events.Reset(by="a"),
    events.Override(by="a", setpoints={"heading_deg": 30.0, "speed_kn": 10.0}),
    events.Manual(by="a", device="vent", position_pct=40.0),
    events.Release(by="a"),
    events.Approve(by="a", order_id="1234"),
    events.Refuse(by="a", order_id="1234", reason="no"),
    events.Policy(by="a", approval="ask"),
]


@pytest.mark.parametrize("action", ACTIONS, ids=lambda action: action.kind)
def test_actions_survive_the_wire(action: events.Action) -> None:
    message = deserialise(serialise(events.operator_event(action, 1.0)), events.EVENT_TYPE)
    assert events.read_action(message) == action and message.kind == action.kind
    assert message.id == getattr(action, "order_id", "")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "the whole"),
        ("{}", "the whole"),
        ('{"kind": "fire", "by": "a"}', "fire"),
        ('{"kind": "stop"}', "by"),
        ('{"kind": "stop", "by": "a", "now": true}', "now"),
        ('{"kind": "override", "by": "a", "setpoints": {}}', "setpoints"),
        ('{"kind": "override", "by": "a", "setpoints": {"speed_kn": NaN}}', "setpoints"),
        ('{"kind": "override", "by": "a", "setpoints": {"speed_kn": 1}, "valid_for_s": 1e9}', "valid_for_s"),
        ('{"kind": "manual", "by": "a", "device": "vent", "position_pct": 101}', "position_pct"),
        ('{"kind": "manual", "by": "a", "device": "vent"}', "position_pct"),
        ("[" * 5000, "the whole"),
    ],
)
def test_what_is_no_action_is_refused_with_the_field(text: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        events.read_action(new(events.EVENT_TYPE, kind="x", json=text))


def test_an_endless_event_is_not_parsed() -> None:
    with pytest.raises(ValueError, match="at most 2000000"):
        events.read_action(new(events.EVENT_TYPE, kind="stop", json=" " * (events.MAX_JSON_CHARS + 1)))


def test_half_a_surrogate_pair_in_a_models_text_is_no_fault() -> None:
    proposal = events.sayable(Proposal(option_id=None, confidence=1.0, reason="turn \ud800 now, 우현"))
    proposed = events.Proposed(picture_id="p", picture_t_s=1.0, options=(), proposal=proposal)
    message = deserialise(serialise(events.event("proposal", proposed.id, proposed, 1.0)), events.EVENT_TYPE)
    assert events.read_event(events.Proposed, message).proposal.reason == "turn ? now, 우현"


@given(st.recursive(st.none() | st.booleans() | st.floats() | st.text(), lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner)))
def test_no_json_does_anything_but_be_read_or_refused(value: Any) -> None:
    message = new(events.EVENT_TYPE, kind="x", json=json.dumps(value))
    with pytest.raises(ValueError, match="refused"):
        events.read_action(message)
