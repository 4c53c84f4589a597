"""What leaves the reading room: preliminary until signed, then final; never with another content than the signed one, never with a name."""

import json
from collections.abc import Iterator
from importlib.util import find_spec
from io import BytesIO

import chest
import pytest
from fastapi.testclient import TestClient

from sdx_agents.reading.case import Case, Made, Signer, shown_sha256
from sdx_ui.reading_room.room import Room, create_reading_room

if find_spec("highdicom") is None or find_spec("fhir") is None or find_spec("reportlab") is None:
    pytest.skip("the medicine extra is not installed", allow_module_level=True)

KIM = Signer(name="Kim^A", organisation="Hospital")


@pytest.fixture
def case(room: Room) -> Case:
    series, picture, statements = chest.study()
    return room.store.add(chest.with_header(series), picture, statements, Made(model="sdx-test"))


@pytest.fixture
def client(room: Room) -> Iterator[TestClient]:
    with TestClient(create_reading_room(room), base_url="http://127.0.0.1") as opened:
        yield opened


def sign(room: Room, case: Case) -> Case:
    case = room.store.begin(case.id, 0, "Kim")
    case = room.store.decide(case.id, 1, "Kim", "F3", "yes")
    return room.store.sign(case.id, 2, KIM, shown_sha256(case))


def out(client: TestClient, case: Case, kind: str) -> bytes:
    answer = client.get(f"/medicine/api/cases/{case.id}/out/{kind}")
    assert answer.status_code == 200, answer.text
    return answer.content


def test_results_are_preliminary_until_signed_and_nameless(room: Room, client: TestClient, case: Case) -> None:
    from pydicom import dcmread

    sr = dcmread(BytesIO(out(client, case, "sr")))
    assert (sr.VerificationFlag, sr.PreliminaryFlag) == ("UNVERIFIED", "PRELIMINARY")
    assert report_status(out(client, case, "fhir")) == "preliminary"
    done = sign(room, case)
    signed = dcmread(BytesIO(out(client, done, "sr")))
    assert (signed.VerificationFlag, signed.PreliminaryFlag) == ("VERIFIED", "FINAL") and "PredecessorDocumentsSequence" not in signed
    assert report_status(out(client, done, "fhir")) == "final"
    assert out(client, done, "pdf").startswith(b"%PDF") and b"DICM" in out(client, done, "seg")[:200]
    done = room.store.addend(done.id, done.revision, KIM, "Told to the ward.", shown_sha256(done))
    assert report_status(out(client, done, "fhir")) in ("amended", "appended")
    after = dcmread(BytesIO(out(client, done, "sr")))
    (study,) = after.PredecessorDocumentsSequence
    assert study.ReferencedSeriesSequence[0].ReferencedSOPSequence[0].ReferencedSOPInstanceUID == signed.SOPInstanceUID
    for path in room.store.folder.rglob("*"):
        if path.is_file():
            assert b"Gildong" not in path.read_bytes() and b"900101" not in path.read_bytes(), path.name
    assert [each["what"] for each in room.store.history(case.id) if each["kind"] == "exported"] == [
        "sr",
        "fhir",
        "sr",
        "fhir",
        "pdf",
        "seg",
        "fhir",
        "sr",
    ]


def report_status(bundle: bytes) -> str:
    entries = json.loads(bundle)["entry"]
    return next(each["resource"]["status"] for each in entries if each["resource"]["resourceType"] == "DiagnosticReport")


@pytest.mark.parametrize("kind", ["sr", "pdf", "fhir", "seg"])
def test_an_altered_signed_case_does_not_leave(room: Room, client: TestClient, case: Case, kind: str) -> None:
    path = room.store.folder / "cases" / sign(room, case).id / "case.json"
    path.write_text(path.read_text().replace("lung nodule", "lung cyst"))
    answer = client.get(f"/medicine/api/cases/{case.id}/out/{kind}")
    assert answer.status_code == 409 and "may leave" in answer.json()["message"]


def test_a_study_without_dicom_still_gives_pdf_and_fhir(room: Room, client: TestClient) -> None:
    case = room.store.add(*chest.study(2), Made())
    assert out(client, case, "pdf").startswith(b"%PDF") and report_status(out(client, case, "fhir")) == "preliminary"
    answer = client.get(f"/medicine/api/cases/{case.id}/out/sr")
    assert answer.status_code == 422 and "without DICOM" in answer.json()["message"]
