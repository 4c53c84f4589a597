"""DICOMweb against a small service over real HTTP: search, fetch, store; broken connections, refusals and lies."""

import json
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("dicomweb_client")
pytest.importorskip("pynetdicom")

import uvicorn
from fastapi import FastAPI, Request, Response
from pydicom import dcmread
from pydicom.filebase import DicomBytesIO

from sdx_domains.medicine.privacy.vault import Vault
from sdx_ros_nodes.dicom.inbox import Inbox
from sdx_ros_nodes.dicom.web import Service, WebFailed, fetch, search, store

from .ct_files import ROOT, ct_files

BOUNDARY = "part-of-many"


class Archive:
    """Files by UIDs, served and taken as PS3.18 says; `faults` are answered first."""

    def __init__(self) -> None:
        self.files: dict[tuple[str, str, str], bytes] = {}
        self.faults: list[str] = []
        self.token = ""
        self.refuses = False

    def add(self, raw: bytes) -> None:
        found = dcmread(DicomBytesIO(raw), stop_before_pixels=True)
        self.files[str(found.StudyInstanceUID), str(found.SeriesInstanceUID), str(found.SOPInstanceUID)] = raw

    def series(self, study: str, series: str) -> list[bytes]:
        return [raw for (one, other, _), raw in sorted(self.files.items()) if (one, other) == (study, series)]


def app_of(archive: Archive) -> FastAPI:
    app = FastAPI()

    @app.middleware("http")
    async def guard(request: Request, go_on: Any) -> Response:
        if archive.token and request.headers.get("authorization") != f"Bearer {archive.token}":
            return Response(status_code=401)
        if archive.faults and archive.faults[0].isdigit():
            return Response(status_code=int(archive.faults.pop(0)))
        return await go_on(request)

    @app.get("/dicom/series")
    def find(StudyInstanceUID: str = "", SeriesInstanceUID: str = "", offset: int = 0) -> Response:
        known = sorted({(study, series) for study, series, _ in archive.files})
        rows = [
            {
                "0020000D": {"vr": "UI", "Value": [study]},
                "0020000E": {"vr": "UI", "Value": [series]},
                "00080060": {"vr": "CS", "Value": ["CT"]},
                "00201209": {"vr": "IS", "Value": [len(archive.series(study, series))]},
            }
            for study, series in known[offset:]
            if StudyInstanceUID in ("", study) and SeriesInstanceUID in ("", series)
        ]
        return Response(json.dumps(rows), media_type="application/dicom+json")

    @app.get("/dicom/studies/{study}/series/{series}")
    def retrieve(study: str, series: str) -> Response:
        found = archive.series(study, series)
        if archive.faults and archive.faults[0] == "half":
            archive.faults.pop(0)
            found = found[: len(found) // 2]
        if archive.faults and archive.faults[0] == "other":
            archive.faults.pop(0)
            found = archive.series(study, f"{ROOT}.1.2")
        parts = b"".join(b"--%b\r\nContent-Type: application/dicom\r\n\r\n%b\r\n" % (BOUNDARY.encode(), raw) for raw in found)
        body = parts + f"--{BOUNDARY}--".encode()
        return Response(body, headers={"Content-Type": f'multipart/related; type="application/dicom"; boundary={BOUNDARY}'})

    @app.post("/dicom/studies")
    async def take(request: Request) -> Response:
        body, edge = await request.body(), request.headers["content-type"].split("boundary=")[1].strip('"')
        for part in body.split(f"--{edge}".encode())[1:-1]:
            if not archive.refuses:
                archive.add(part.split(b"\r\n\r\n", 1)[1].removesuffix(b"\r\n"))
        failed = {"00081198": {"vr": "SQ", "Value": [{"00081197": {"vr": "US", "Value": [0xA900]}}]}} if archive.refuses else {}
        return Response(json.dumps(failed), media_type="application/dicom+json", status_code=202 if archive.refuses else 200)

    return app


@pytest.fixture
def served() -> Iterator[tuple[Archive, str]]:
    archive = Archive()
    server = uvicorn.Server(uvicorn.Config(app_of(archive), port=0, log_level="critical"))
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    while not server.started:
        time.sleep(0.01)
    port = server.servers[0].sockets[0].getsockname()[1]
    yield archive, f"http://127.0.0.1:{port}/dicom"
    server.should_exit = True
    thread.join(10)


@pytest.fixture
def inbox(tmp_path: Path) -> Inbox:
    return Inbox(tmp_path / "inbox", Vault(tmp_path / "vault").pseudonym)


def test_a_series_is_found_and_fetched_whole(served: tuple[Archive, str], inbox: Inbox, tmp_path: Path) -> None:
    archive, url = served
    for series, count in ((1, 5), (2, 3)):
        for path in ct_files(tmp_path / "there", count, series):
            archive.add(path.read_bytes())
    assert [match.instances for match in search(Service(url), {"StudyInstanceUID": f"{ROOT}.1"})] == [5, 3]
    said: list[str] = []
    first, second = fetch(Service(url), inbox, f"{ROOT}.1", say=said.append)
    assert (first.instances, second.instances) == (5, 3) and not list(inbox.pending())
    pixels = sorted(int(dcmread(path).pixel_array[0, 0]) for path in first.folder.glob("*.dcm"))
    assert pixels == [1, 2, 3, 4, 5]
    before = {path: path.stat().st_mtime_ns for path in first.folder.glob("*.dcm")}
    fetch(Service(url), inbox, f"{ROOT}.1", f"{ROOT}.1.1")
    assert before == {path: path.stat().st_mtime_ns for path in first.folder.glob("*.dcm")}, "what is there is not written again"
    assert ROOT not in " ".join(said) and ROOT not in repr(search(Service(url), {}))


@pytest.mark.parametrize("faults", [["half", "503"], ["half", "half"]])
def test_what_came_in_part_is_fetched_again(served: tuple[Archive, str], inbox: Inbox, tmp_path: Path, faults: list[str]) -> None:
    archive, url = served
    for path in ct_files(tmp_path / "there", 6):
        archive.add(path.read_bytes())
    archive.faults = list(faults)
    if "503" in faults:
        archive.faults.reverse()
        with pytest.raises(WebFailed, match="answered 503 to search"):
            fetch(Service(url), inbox, f"{ROOT}.1", tries=3, wait_s=0.01)
    waits: list[float] = []
    assert fetch(Service(url), inbox, f"{ROOT}.1", tries=4, wait_s=0.01, sleep=waits.append)[0].instances == 6
    assert waits and not archive.faults


def test_refusals_say_what_to_do_and_are_not_tried_again(served: tuple[Archive, str], inbox: Inbox, tmp_path: Path) -> None:
    archive, url = served
    paths = ct_files(tmp_path / "there", 2)
    archive.add(paths[0].read_bytes())
    archive.token = "sesame"
    with pytest.raises(WebFailed, match="401 to search: give a valid token"):
        fetch(Service(url), inbox, f"{ROOT}.1")
    let_in = Service(url, {"Authorization": "Bearer sesame"})
    assert "sesame" not in repr(let_in) and fetch(let_in, inbox, f"{ROOT}.1")[0].instances == 1
    with pytest.raises(WebFailed, match="no CT series of that study"):
        fetch(let_in, inbox, "1.2.3")


def test_an_instance_of_another_series_is_not_taken(served: tuple[Archive, str], inbox: Inbox, tmp_path: Path) -> None:
    archive, url = served
    for series in (1, 2):
        for path in ct_files(tmp_path / "there", 2, series):
            archive.add(path.read_bytes())
    archive.faults = ["other"]
    with pytest.raises(WebFailed, match="another series"):
        fetch(Service(url), inbox, f"{ROOT}.1", f"{ROOT}.1.1")
    assert not list(inbox.folder.rglob("*.dcm"))


def test_results_are_stored_and_a_refusal_is_told(served: tuple[Archive, str], tmp_path: Path) -> None:
    archive, url = served
    paths = ct_files(tmp_path / "out", 3)
    archive.faults = ["503"]
    waits: list[float] = []
    assert store(Service(url), paths, wait_s=0.01, sleep=waits.append).stored == tuple(paths) and waits == [0.01]
    assert len(archive.files) == 3
    archive.refuses = True
    broken = tmp_path / "broken.dcm"
    broken.write_bytes(b"no DICOM")
    sent = store(Service(url), [paths[0], broken], wait_s=0.01)
    assert [reason for _, reason in sent.failed] == ["the service refused it (0xA900)", "no DICOM file (InvalidDicomError)"]


def test_a_service_that_is_away_is_told(inbox: Inbox) -> None:
    away = Service("http://127.0.0.1:9/dicom")
    with pytest.raises(WebFailed, match="connection broke during search"):
        fetch(away, inbox, f"{ROOT}.1")
    for url, reason in (("ftp://x", "no DICOMweb service"), ("https://me:secret@pacs/dicom", "header")):
        with pytest.raises(ValueError, match=reason):
            Service(url)
    assert Service("http://pacs/dicom").open and not away.open
