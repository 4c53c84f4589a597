"""sdx run medicine, sdx dicom, sdx room, as a user types them, on a study written for it."""

import importlib.util
import json
import re
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, ClassVar
from urllib.request import Request, urlopen

import pytest

for needed in ("numba", "pydicom", "highdicom", "pynetdicom"):
    if importlib.util.find_spec(needed) is None:
        pytest.skip(f"needs {needed}", allow_module_level=True)

from sdx_agents.reading.cases import CaseStore
from sdx_domains.medicine.language.render import render
from sdx_domains.medicine.phantom.render import render as drawn
from sdx_domains.medicine.phantom.scene import scene
from sdx_domains.medicine.phantom.write import write_dicom
from sdx_serving.ports import free_port
from sdx_serving.vision.client import SeeingChat
from sdx_ui import cli
from sdx_ui.reading_room.drafts import drafting
from sdx_ui.reading_room.serve import draft_series


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> Path:
    patient = scene(500_000_021, wanted=("mass", "pleural_effusion"), contrast=False)
    return write_dicom(drawn(patient, (5.0, 1.6, 1.6)), tmp_path_factory.mktemp("study") / "scan")


def test_a_study_to_its_draft_and_its_results_with_and_without_identity(study, tmp_path, capsys):
    from pydicom import dcmread

    room, out = str(tmp_path / "room"), tmp_path / "out"
    assert cli.main(["run", "medicine", str(study), "--lang", "ko", "--folder", room, "--out", str(out), "--model", "none"]) == 0
    said = capsys.readouterr().out
    assert "연구용" in said and "sdx room" in said
    written = {path.name for path in out.iterdir()}
    assert {"sr.dcm", "report.pdf", "report.dcm", "fhir.json"} <= written
    draft = dcmread(out / "sr.dcm")
    assert (draft.VerificationFlag, draft.PreliminaryFlag) == ("UNVERIFIED", "PRELIMINARY")
    assert "PHANTOM" not in str(draft.PatientName) and draft.PatientID != "PHANTOM-1"

    case = next((tmp_path / "room/cases").iterdir()).name
    assert cli.main(["dicom", "results", case, "--folder", room, "--out", str(tmp_path / "pacs"), "--identified"]) == 0
    original, named = dcmread(next(study.glob("*"))), dcmread(tmp_path / "pacs/sr.dcm")
    assert (named.PatientID, named.StudyInstanceUID) == (original.PatientID, original.StudyInstanceUID)


def test_the_series_of_a_folder_are_listed(study, capsys):
    assert cli.main(["dicom", "list", str(study)]) == 0
    said = capsys.readouterr().out
    assert f"{len(list(study.iterdir()))} slices" in said and ": read" in said


def test_copies_without_identity(study, tmp_path, capsys):
    from pydicom import dcmread

    out = tmp_path / "shared"
    assert cli.main(["dicom", "deidentify", str(study), "--out", str(out), "--folder", str(tmp_path / "room")]) == 0
    copies = [path for path in out.rglob("*") if path.is_file()]
    assert len(copies) == len(list(study.iterdir())) and f"{len(copies)} of {len(copies)} files" in capsys.readouterr().out
    copy = dcmread(copies[0])
    assert copy.PatientIdentityRemoved == "YES" and copy.PatientID != "PHANTOM-1"


@pytest.mark.parametrize(
    ("model", "steps"), [("embedded", {"read", "measure", "look", "find", "decide"}), ("none", {"read", "measure", "find", "decide"})]
)
def test_the_same_as_json_with_the_model_that_ships_and_without(study, tmp_path, capsys, model, steps):
    assert cli.main(["run", "medicine", str(study), "--folder", str(tmp_path), "--model", model, "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    case, found = told["case"], told["case"]["picture"]["findings"]
    assert case["status"] == "draft" and set(told["seconds"]) == steps
    assert (case["picture"]["saw"] is not None) == (model == "embedded") == (case["made"]["model"] == "sdx-chest-ct")
    assert next(each for each in found if each["label"] == "pleural_effusion")["probability"] > 0.5


def test_a_model_that_saw_phantoms_alone_says_nothing_of_a_patient(study, tmp_path, capsys):
    from pydicom import dcmread

    (tmp_path / "scan").mkdir()
    for path in study.iterdir():
        image = dcmread(path)
        del image.SyntheticData
        image.save_as(tmp_path / "scan" / path.name)
    assert cli.main(["run", "medicine", str(tmp_path / "scan"), "--folder", str(tmp_path / "room"), "--json"]) == 0
    case = json.loads(capsys.readouterr().out)["case"]
    assert case["picture"]["saw"] is None and case["made"]["model"] == "none"
    assert any("No model read this study" in line for line in case["reports"]["en"]["warnings"])


def test_what_cannot_be_read_is_told_and_ends_with_one(tmp_path, capsys):
    (tmp_path / "note.txt").write_text("no image")
    assert cli.main(["run", "medicine", str(tmp_path / "note.txt"), "--folder", str(tmp_path / "room")]) == 1
    assert "error:" in capsys.readouterr().err
    assert cli.main(["dicom", "results", "0123456789abcdef", "--folder", str(tmp_path / "room"), "--out", str(tmp_path / "out")]) == 1
    assert "worklist" in capsys.readouterr().err


def test_what_arrives_by_dicom_stands_on_the_worklist_though_the_room_was_killed_over_it(study, tmp_path):
    page, dicom, said = free_port(), free_port(), tmp_path / "said.txt"
    with _room(tmp_path, page, dicom, said) as killed:
        _wait_for(page)
        assert cli_exit(["dicom", "send", str(study), "--to", f"SDX@127.0.0.1:{dicom}"]) == 0
        time.sleep(4.0)  # whole three seconds after the sender has left; drafting takes some more
        killed.kill()
    with _room(tmp_path, page, dicom, said):
        _wait_for(page)
        ends = time.monotonic() + 200.0
        while not (cases := _asked(f"http://127.0.0.1:{page}/medicine/api/worklist")):
            assert time.monotonic() < ends, f"no case came onto the worklist; the room said: {said.read_text()}"
            time.sleep(0.5)
        asked = Request(
            f"http://127.0.0.1:{page}/medicine/api/cases/{cases[0]['id']}/questions",
            data=b'{"question": "Is there a pleural effusion?"}',
            headers={"Content-Type": "application/json"},
        )
        assert len(cases) == 1 and _asked(asked)["answer"]


def test_a_study_is_drafted_from_what_is_measured_while_the_model_is_away(study, tmp_path, capsys):
    away = SeeingChat(f"http://127.0.0.1:{free_port()}/v1")
    draft_series(drafting(tmp_path, away), drafting(tmp_path, None), study)
    store = CaseStore(tmp_path, render)
    (entry,) = store.worklist()
    case = store.case(entry.id)
    assert "without the model" in capsys.readouterr().out
    assert case.made.model == "none" and "pleural_effusion" in {each.label for each in case.picture.findings}


@contextmanager
def _room(folder: Path, page: int, dicom: int, said: Path) -> Iterator[subprocess.Popen[bytes]]:
    """`sdx room` that listens; what it prints is added to a file."""
    command = [sys.executable, "-c", "from sdx_ui.cli import main; main()", "room", "--folder", str(folder), "--port", str(page)]
    with said.open("ab") as file:
        process = subprocess.Popen([*command, "--listen", str(dicom)], stdout=file, stderr=subprocess.STDOUT)
        try:
            yield process
        finally:
            process.terminate()
            process.wait(timeout=60)


def _asked(url: str | Request) -> Any:
    with urlopen(url, timeout=60) as answer:
        return json.loads(answer.read())["result"]


def cli_exit(arguments: list[str]) -> int:
    command = [sys.executable, "-c", "import sys; from sdx_ui.cli import main; sys.exit(main())", *arguments]
    return subprocess.run(command, check=False, timeout=120).returncode


def _wait_for(port: int) -> None:
    ends = time.monotonic() + 120.0
    while time.monotonic() < ends:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1.0).close()
            return
        except OSError:
            time.sleep(0.2)
    pytest.fail(f"nothing answers on port {port}")


class _Says(BaseHTTPRequestHandler):
    """A vision-language model's server: it answers with one report, and keeps what it was asked."""

    asked: ClassVar[list[dict[str, Any]]] = []

    def do_POST(self) -> None:
        self.asked.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
        said = "There is a hiatal hernia. No pleural effusion."
        choice = {"index": 0, "message": {"role": "assistant", "content": said}, "finish_reason": "stop"}
        body = json.dumps({"id": "1", "object": "chat.completion", "created": 0, "model": "vlm-4b", "choices": [choice]}).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None: ...


@pytest.fixture
def vlm() -> Iterator[str]:
    _Says.asked.clear()
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Says)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_address[1]}/v1"
    server.shutdown()
    server.server_close()


def test_a_public_model_is_shown_slices_without_identity_and_its_words_stand_beside_the_measurements(study, vlm, tmp_path, capsys):
    assert cli.main(["opinion", str(study), "--model", vlm, "--preset", "montage", "--folder", str(tmp_path)]) == 0
    said = capsys.readouterr().out
    assert "There is a hiatal hernia." in said and "hiatal_hernia: vlm-4b says yes, measured not\n" in said
    assert re.search(r"^pleural_effusion: vlm-4b says no, measured (yes|uncertain)  <- differs$", said, re.MULTILINE)
    (asked,) = _Says.asked
    content = asked["messages"][-1]["content"]
    assert [part["type"] for part in content].count("image_url") == 1 and "PHANTOM" not in json.dumps(asked)
    assert not (tmp_path / "cases").exists()


def test_a_model_under_terms_of_its_own_is_asked_only_when_they_are_accepted(study, vlm, tmp_path, capsys):
    assert cli.main(["opinion", str(study), "--model", vlm, "--preset", "medgemma15", "--folder", str(tmp_path)]) == 1
    assert "licence" in capsys.readouterr().err and not _Says.asked
    assert cli.main(["opinion", str(study), "--model", vlm, "--preset", "m3d", "--licence-accepted", "--folder", str(tmp_path)]) == 1
    assert "takes a tensor" in capsys.readouterr().err and not _Says.asked
