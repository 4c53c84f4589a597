"""The REST API: state, health, and the operator's commands with their limits."""

from typing import Any

import pytest
from fastapi.testclient import TestClient

from sdx_ui.api import OperatorCommand, create_api
from sdx_ui.page.store import BridgeStore


@pytest.fixture
def store() -> BridgeStore:
    return BridgeStore(parts=("guard",))


@pytest.fixture
def sent() -> list[OperatorCommand]:
    return []


@pytest.fixture
def client(store: BridgeStore, sent: list[OperatorCommand]) -> TestClient:
    return TestClient(create_api(store, sent.append))


def test_state_is_the_snapshot(client: TestClient, store: BridgeStore, situation: dict[str, Any]) -> None:
    store.put_picture(situation["picture"])
    state = client.get("/api/state").json()
    assert state["picture"] == situation["picture"]
    assert set(state) == set(store.snapshot())


def test_health_is_503_until_everything_is_alive(client: TestClient, store: BridgeStore, situation: dict[str, Any]) -> None:
    answer = client.get("/api/health")
    assert answer.status_code == 503 and answer.json()["parts"]["guard"]["ok"] is False
    store.put_picture(situation["picture"])
    store.heard("guard")
    assert client.get("/api/health").status_code == 200


def test_a_stop_goes_out_with_nothing_else_alive(client: TestClient, sent: list[OperatorCommand]) -> None:
    answer = client.post("/api/operator", json={"kind": "stop"})
    assert answer.status_code == 200 and answer.json()["id"].startswith("stop-")
    assert sent == [OperatorCommand(kind="stop")]


def test_a_takeover_carries_its_set_points(client: TestClient, sent: list[OperatorCommand]) -> None:
    assert client.post("/api/operator", json={"kind": "takeover", "setpoints": {"heading_deg": 45, "speed_kn": 8}}).status_code == 200
    assert sent[0].setpoints == {"heading_deg": 45.0, "speed_kn": 8.0}


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"kind": "sink"},
        {"kind": "takeover"},
        {"kind": "takeover", "setpoints": {"heading_deg": 45}},
        {"kind": "takeover", "setpoints": {"heading_deg": 360, "speed_kn": 8}},
        {"kind": "takeover", "setpoints": {"heading_deg": -1, "speed_kn": 8}},
        {"kind": "takeover", "setpoints": {"heading_deg": 45, "speed_kn": 31}},
        {"kind": "takeover", "setpoints": {"heading_deg": "NaN", "speed_kn": 8}},
        {"kind": "takeover", "setpoints": {"heading_deg": 45, "speed_kn": "Infinity"}},
        {"kind": "takeover", "setpoints": {"level_m": 1.0}},
        {"kind": "manual"},
        {"kind": "manual", "device": "vent", "position_pct": 101},
        {"kind": "approve"},
        {"kind": "stop", "limits": "none"},
    ],
)
def test_what_is_out_of_range_or_unknown_is_refused(client: TestClient, sent: list[OperatorCommand], body: dict[str, Any]) -> None:
    assert client.post("/api/operator", json=body).status_code == 422
    assert not sent


def test_an_approval_reaches_only_the_order_that_was_shown(client: TestClient, store: BridgeStore, sent: list[OperatorCommand]) -> None:
    store.put_pending({"id": "new", "label": "turn 30 to starboard"})
    answer = client.post("/api/operator", json={"kind": "approve", "order_id": "old"})
    assert answer.status_code == 409 and "look at the new one" in answer.json()["detail"]
    assert not sent
    assert client.post("/api/operator", json={"kind": "approve", "order_id": "new"}).status_code == 200
    assert sent[0].order_id == "new"
