"""The REST service of the reading room: what it gives, what it takes, what it refuses."""

from collections.abc import Iterator
from dataclasses import replace
from io import BytesIO
from typing import Any

import chest
import numpy as np
import pytest
from fastapi.testclient import TestClient
from PIL import Image

from sdx_agents.reading.case import Made
from sdx_ui.reading_room.room import Room, create_reading_room

API = "/medicine/api"
KIM = {"name": "Kim^A", "organisation": "Hospital"}


@pytest.fixture
def client(room: Room) -> Iterator[TestClient]:
    room.store.add(*chest.study(), Made(model="sdx-test"))
    with TestClient(create_reading_room(room), base_url="http://127.0.0.1", raise_server_exceptions=False) as opened:
        yield opened


@pytest.fixture
def name(client: TestClient) -> str:
    return client.get(f"{API}/worklist").json()["result"][0]["id"]


def post(client: TestClient, path: str, body: dict[str, Any], status: int = 200) -> dict[str, Any]:
    answer = client.post(f"{API}/{path}", json=body)
    assert answer.status_code == status, answer.text
    return answer.json()["result"] if status == 200 else answer.json()


def reviewed(client: TestClient, name: str) -> dict[str, Any]:
    post(client, f"cases/{name}/review", {"revision": 0, "by": "Kim"})
    return post(client, f"cases/{name}/findings/F3", {"revision": 1, "by": "Kim", "present": "yes"})


def signed(client: TestClient, name: str) -> dict[str, Any]:
    seen = reviewed(client, name)
    return post(client, f"cases/{name}/signature", {"revision": 2, "signer": KIM, "shown_sha256": seen["shown_sha256"], "confirmed": True})


def test_a_case_holds_what_the_page_draws(client: TestClient, name: str) -> None:
    seen = client.get(f"{API}/cases/{name}").json()["result"]
    assert seen["case"]["status"] == "draft" and seen["critical"] == ["pneumothorax"]
    assert seen["boxes"]["F1"][0][0] <= chest.NODULE[0] <= seen["boxes"]["F1"][1][0]
    assert [each["finding_id"] for each in seen["problems"]["en"]] == ["F2"], "an emphysema without a measure is not grounded"
    assert client.get("/").url.path == "/medicine" and "not a medical device" in client.get("/medicine").text


def test_slices_come_as_png_and_as_hu(client: TestClient, name: str) -> None:
    hu = chest.volume().hu
    answer = client.get(f"{API}/cases/{name}/slices/axial/8.png?centre=40&width=400")
    assert np.asarray(Image.open(BytesIO(answer.content))).shape == hu[8].shape
    raw = np.frombuffer(client.get(f"{API}/cases/{name}/slices/coronal/30.hu").content, "<i2")
    assert np.array_equal(raw.reshape(chest.SLICES, chest.COLUMNS), hu[::-1, 30, :])
    assert client.get(f"{API}/cases/{name}/findings/F1.png").headers["content-type"] == "image/png"


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("cases/0123456789abcdef", 404), ("cases/..%2f..%2fetc%2fpasswd", 404), ("cases/{name}/slices/axial/24.png", 404),
        ("cases/{name}/slices/axial/-1.png", 404), ("cases/{name}/slices/oblique/1.png", 422), ("cases/{name}/slices/axial/1.png?width=0", 422),
        ("cases/{name}/slices/axial/1.png?centre=nan", 422), ("cases/{name}/findings/F9.png", 404), ("cases/{name}/out/exe", 404),
        ("cases/{name}/out/..%2f..%2fx", 404),
    ],
)  # fmt: skip
def test_what_is_not_there_is_told_in_words(client: TestClient, name: str, path: str, status: int) -> None:
    answer = client.get(f"{API}/{path.format(name=name)}")
    assert (answer.status_code, answer.json()["status"]) == (status, "error") and answer.json()["message"]


def test_from_draft_to_addendum(client: TestClient, name: str) -> None:
    seen = signed(client, name)
    assert seen["case"]["status"] == "signed" and "Kim^A" in seen["case"]["reports"]["en"]["statement"]
    body = {"revision": 3, "signer": KIM, "shown_sha256": seen["shown_sha256"], "text": "Told to Dr Lee."}
    assert "identifies somebody" in post(client, f"cases/{name}/addenda", body, 409)["message"]
    body["text"] = "Told to the ward."
    seen = post(client, f"cases/{name}/addenda", body)
    assert (seen["case"]["status"], seen["case"]["addenda"][0]["text"]) == ("addendum", "Told to the ward.")
    kinds = [each["kind"] for each in client.get(f"{API}/cases/{name}/history").json()["result"]]
    assert kinds[-2:] == ["report_signed", "addendum_signed"]
    health = client.get(f"{API}/health").json()["result"]
    assert health["troubles"] == [] and health["collapse"]["reports"] == health["cases"]


def test_a_signature_wants_confirmation_the_shown_content_and_the_state(client: TestClient, name: str) -> None:
    shown = client.get(f"{API}/cases/{name}").json()["result"]["shown_sha256"]
    sign = {"revision": 0, "signer": KIM, "shown_sha256": shown, "confirmed": True}
    assert post(client, f"cases/{name}/signature", sign, 409)["code"] == "illegal"
    seen = reviewed(client, name)
    good = {"revision": 2, "signer": KIM, "shown_sha256": seen["shown_sha256"], "confirmed": True}
    for change in ({"confirmed": False}, {"signer": {"name": " ", "organisation": "H"}}, {"signer": {"name": "A\\B", "organisation": "H"}}):
        assert post(client, f"cases/{name}/signature", good | change, 422)["code"] == "wrong_request"
    assert "look at it again" in post(client, f"cases/{name}/signature", good | {"shown_sha256": "0" * 64}, 409)["message"]
    assert "look at it and try again" in post(client, f"cases/{name}/signature", good | {"revision": 1}, 409)["message"]
    assert client.get(f"{API}/cases/{name}").json()["result"]["case"]["status"] == "in_review"


def test_a_finding_is_added_where_it_was_pointed_at(client: TestClient, name: str) -> None:
    reviewed(client, name)
    body = {
        "revision": 2,
        "by": "Kim",
        "label": "nodule",
        "laterality": "left",
        "zone": "mid",
        "voxel": [12, 40, 57],
        "long_mm": 9,
        "short_mm": 7,
    }
    seen = post(client, f"cases/{name}/findings", body)
    finding = seen["case"]["statements"][-1]["finding"]
    assert finding["id"] == "R1" and finding["slices"]["key"] == 12 and finding["slices"]["key_uid"] == chest.facts().slice_uids[12]
    assert finding["centroid_lps_mm"] == [68.0, 32.0, 0.0]
    assert any("R1" in line["finding_ids"] for line in seen["case"]["reports"]["ko"]["impression"])
    for wrong in ({"voxel": [24, 0, 0]}, {"short_mm": 10}, {"label": "dragon"}, {"long_mm": -1}):
        assert client.post(f"{API}/cases/{name}/findings", json=body | {"revision": 3} | wrong).status_code in (404, 422)


def test_pages_of_others_and_large_requests_are_refused(client: TestClient, name: str) -> None:
    change = {"revision": 0, "by": "Kim"}
    path = f"{API}/cases/{name}/review"
    assert client.post(path, json=change, headers={"Origin": "https://elsewhere.example"}).status_code == 403
    assert client.get(f"{API}/worklist", headers={"Host": "elsewhere.example"}).status_code == 403
    assert client.post(path, content=b"x" * 300_000, headers={"Content-Type": "application/json"}).status_code == 413
    assert client.post(path, content=b"{", headers={"Content-Type": "application/json"}).status_code == 422
    assert client.post(path, json=change | {"admin": True}).status_code == 422
    answer = client.get("/medicine")
    assert "frame-ancestors 'none'" in answer.headers["content-security-policy"] and answer.headers["cache-control"] == "no-store"


def test_a_question_is_answered_from_the_picture(client: TestClient, name: str) -> None:
    answer = post(client, f"cases/{name}/questions", {"question": "How large is the nodule?"})["answer"]
    assert "20" in answer and "mm" in answer
    assert "폐" in post(client, f"cases/{name}/questions", {"question": "결절의 크기는?"})["answer"]


def test_questions_are_answered_and_bounded(room: Room) -> None:
    name = room.store.add(*chest.study(), Made()).id
    answering = replace(room, answer=lambda case, question: f"{case.id}: {question}")
    with TestClient(create_reading_room(answering), base_url="http://127.0.0.1") as client:
        assert post(client, f"cases/{name}/questions", {"question": "Why?"})["answer"] == f"{name}: Why?"
        post(client, f"cases/{name}/questions", {"question": "x" * 501}, 422)
    with TestClient(create_reading_room(replace(room, answer=None)), base_url="http://127.0.0.1") as client:
        assert post(client, f"cases/{name}/questions", {"question": "Why?"}, 503)["code"] == "no_chat"
