"""What the page shows: kept as it arrives, old things known as old, commands done when their effect is seen."""

from collections.abc import Callable
from typing import Any

import pytest

from sdx_domains.ship.picture import ShipPicture
from sdx_ui.page.store import BridgeStore


class Clock:
    def __init__(self) -> None:
        self.t_s = 1000.0

    def __call__(self) -> float:
        return self.t_s


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def store(clock: Clock) -> BridgeStore:
    return BridgeStore(now=clock)


def moved(picture: ShipPicture, seconds: float, north_deg: float) -> dict[str, Any]:
    own = picture.own.model_copy(update={"lat_deg": picture.own.lat_deg + north_deg})
    return picture.model_copy(update={"own": own, "t_s": picture.t_s + seconds}).model_dump(mode="json")


def test_an_empty_store_has_an_empty_snapshot(store: BridgeStore) -> None:
    snapshot = store.snapshot()
    assert snapshot["picture"] is None and snapshot["description"] == {}
    assert not store.healthy()


def test_the_description_is_the_domains_in_both_languages(store: BridgeStore, picture: ShipPicture) -> None:
    store.put_picture(picture.model_dump(mode="json"))
    words = store.snapshot()["description"]
    assert words == {language: store.domain.describe(picture, language) for language in ("en", "ko")}


def test_advice_goes_with_the_proposed_option(store: BridgeStore, situation: dict[str, Any]) -> None:
    store.put_picture(situation["picture"])
    assert store.snapshot()["advice"] == {"en": "", "ko": ""}
    store.put_decision(situation["proposal"], situation["options"], {"model": "m", "latency_s": 0.1})
    snapshot = store.snapshot()
    assert snapshot["advice"]["en"] and snapshot["advice"]["ko"]
    assert snapshot["model"] == "m"


def test_silence_of_a_part_shows_after_three_seconds(store: BridgeStore, clock: Clock, situation: dict[str, Any]) -> None:
    store.put_picture(situation["picture"])
    for part in store.parts:
        store.heard(part)
    assert store.healthy()
    clock.t_s += 4.0
    for part in ("plant", "guard", "engine"):
        store.heard(part)
    store.put_picture(situation["picture"])
    assert not store.healthy()
    parts = store.snapshot()["parts"]
    assert [name for name, part in parts.items() if not part["ok"]] == ["agent"]


def test_an_old_picture_is_not_healthy(store: BridgeStore, clock: Clock, situation: dict[str, Any]) -> None:
    store.put_picture(situation["picture"])
    clock.t_s += 10.0
    for part in store.parts:
        store.heard(part)
    assert not store.healthy()
    assert store.snapshot()["picture_age_s"] == 10.0


def test_trails_grow_slowly_and_end_with_the_run(store: BridgeStore, picture: ShipPicture) -> None:
    for second in range(60):
        store.put_picture(moved(picture, second, second * 1e-4))
    assert len(store.snapshot()["trails"]["own"]) == 4
    store.put_picture(moved(picture, -100.0, 0.0))
    assert len(store.snapshot()["trails"]["own"]) == 1


@pytest.mark.parametrize("payload", [{}, {"t_s": "now"}, {"domain": "ship", "t_s": 1.0, "own": None}])
def test_an_unreadable_picture_is_recorded_and_changes_nothing(
    store: BridgeStore, payload: dict[str, Any], situation: dict[str, Any]
) -> None:
    store.put_picture(situation["picture"])
    before = store.picture
    store.put_picture(payload)
    assert store.picture is before
    assert store.snapshot()["audit"][-1]["kind"] == "fault"


DONE: dict[str, Callable[[BridgeStore], None]] = {
    "stop": lambda store: store.put_estop(True),
    "release": lambda store: store.put_mode("fallback"),
    "approve": lambda store: store.put_pending(None, "approved"),
    "reject": lambda store: store.put_pending(None, "refused"),
}


@pytest.mark.parametrize("kind", sorted(DONE))
def test_a_command_is_acknowledged_when_its_effect_is_seen(store: BridgeStore, kind: str) -> None:
    store.put_mode("override")
    store.put_pending({"id": "abc", "label": "turn"})
    number = store.expect(kind)
    assert number not in store.snapshot()["acks"]
    DONE[kind](store)
    assert number in store.snapshot()["acks"]


def test_a_takeover_is_done_when_the_order_has_that_heading(store: BridgeStore, situation: dict[str, Any]) -> None:
    number = store.expect("takeover", {"heading_deg": 45.0, "speed_kn": 8.0})
    store.put_mode("override")
    other = {"setpoints": {"heading_deg": 44.0, "speed_kn": 8.0}, "source": "human"}
    store.put_verdict({"kind": "override", "reasons": ["a human has the con"], "margins": {}, "order": other}, "order")
    assert number not in store.snapshot()["acks"]
    order = {"setpoints": {"heading_deg": 45.0, "speed_kn": 8.0}, "source": "human"}
    store.put_verdict({"kind": "override", "reasons": ["a human has the con"], "margins": {}, "order": order}, "order")
    assert number in store.snapshot()["acks"]


def test_a_reset_is_done_when_the_stop_is_off(store: BridgeStore) -> None:
    store.put_estop(True)
    number = store.expect("reset")
    assert number not in store.snapshot()["acks"]
    store.put_estop(False)
    assert number in store.snapshot()["acks"]


def test_an_unknown_command_names_the_known_ones(store: BridgeStore) -> None:
    with pytest.raises(KeyError, match="known: stop, reset"):
        store.expect("sink")


def test_the_record_says_what_changed_and_only_that(store: BridgeStore) -> None:
    for _ in range(3):
        store.put_mode("fallback", "no order yet")
        store.put_estop(False)
    store.put_estop(True)
    assert [(line["kind"], line["text"]) for line in store.snapshot()["audit"]] == [
        ("mode", "fallback no order yet"),
        ("stop", "the stop is on"),
    ]
