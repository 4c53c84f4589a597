"""C-STORE over real sockets and processes: nothing is lost by cut cables, kills and repeats; what does not belong is refused with a status."""

import json
import logging
import os
import signal
import socket
import stat
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

pytest.importorskip("pynetdicom")

from pydicom import dcmread
from pydicom.uid import (
    CTImageStorage,
    ExplicitVRLittleEndian,
    JPEGBaseline8Bit,
    MRImageStorage,
    SecondaryCaptureImageStorage,
)

from sdx_domains.medicine.privacy.vault import Vault
from sdx_ros_nodes.dicom.inbox import Inbox, Received, Uids
from sdx_ros_nodes.dicom.network import Peer, held, pynetdicom
from sdx_ros_nodes.dicom.receiver import Bounds, Receiver
from sdx_ros_nodes.dicom.sender import echo, send

from .ct_files import ROOT, ct_files, ct_instance
from .cutting_proxy import CuttingProxy

QUICK = Bounds(free_mb=1.0, after_release_s=0.3, quiet_s=1.0)
Listening = Callable[..., tuple[Peer, list[Received], Inbox]]


@pytest.fixture
def listening(tmp_path: Path) -> Iterator[Listening]:
    """Starts a receiver in this process: (peer, series handed on, inbox)."""
    running: list[Receiver] = []

    def start(bounds: Bounds = QUICK, done: Callable[[Received], object] | None = None) -> tuple[Peer, list[Received], Inbox]:
        taken: list[Received] = []
        inbox = Inbox(tmp_path / "inbox", Vault(tmp_path / "vault").pseudonym)
        receiver = Receiver(inbox, done or taken.append, "SDX", bounds)
        running.append(receiver)
        return Peer("SDX", "127.0.0.1", receiver.start(port=0)), taken, inbox

    yield start
    for receiver in running:
        receiver.close()


def until(true: Callable[[], object], timeout_s: float = 15.0) -> None:
    end = time.monotonic() + timeout_s
    while not true():
        assert time.monotonic() < end, "it did not happen in time"
        time.sleep(0.02)


class Served:
    """python -m sdx_ros_nodes.dicom.serve, as a user starts it."""

    def __init__(self, folder: Path, port: int = 0) -> None:
        words = ["--inbox", folder / "inbox", "--vault", folder / "vault", "--port", port, "--free-mb", 1, "--after-release-s", 0.5]
        words += ["--quiet-s", 2]
        command = [sys.executable, "-m", "sdx_ros_nodes.dicom.serve", *map(str, words)]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        assert self.process.stdout is not None
        first = self.process.stdout.readline()
        assert first.startswith("listening as SDX"), self.process.communicate()[1]
        self.port = int(first.rsplit(":", 1)[1])
        self.lines: list[str] = []
        self._reading = threading.Thread(target=lambda: self.lines.extend(iter(self.process.stdout.readline, "")), daemon=True)  # type: ignore[union-attr]
        self._reading.start()

    def end(self, how: signal.Signals = signal.SIGTERM) -> str:
        """What it wrote to standard error."""
        self.process.send_signal(how)
        self.process.wait(20)
        self._reading.join(20)
        assert self.process.stdout is not None and self.process.stderr is not None
        self.process.stdout.close()
        with self.process.stderr as stream:
            return stream.read()


def slices(folder: Path) -> list[int]:
    return sorted(int(dcmread(path).pixel_array[0, 0]) for path in folder.rglob("*.dcm"))


@pytest.mark.parametrize("cuts", [[40_000, 150_001, 3]])
def test_300_slices_through_a_cable_that_is_pulled_and_a_receiver_that_is_killed(tmp_path: Path, cuts: list[int]) -> None:
    paths = ct_files(tmp_path / "out", 300)
    served = Served(tmp_path)
    proxy = CuttingProxy(served.port, cuts)
    again: list[Served] = []
    before: list[str] = []

    def killed_once(line: str) -> None:
        if not again and "stored" in line and int(line.split(" ", 1)[0]) > 100:
            before.append(served.end(signal.SIGKILL))
            again.append(Served(tmp_path, served.port))

    sender = threading.Thread(
        target=lambda: results.append(send(paths, Peer("SDX", "127.0.0.1", proxy.port), wait_s=0.05, say=killed_once))
    )
    results: list = []
    sender.start()
    sender.join(120)
    proxy.close()
    assert results and len(results[0].stored) == 300 and not results[0].failed
    assert proxy.cut == len(cuts)
    assert before, "it was killed on the way"
    last = again[0]
    until(lambda: any('"instances": 300' in line for line in last.lines), 20)
    assert slices(tmp_path / "inbox") == list(range(1, 301))
    said = "".join([*before, last.end(), *last.lines])
    assert not list((tmp_path / "inbox").rglob("*.part"))
    for secret in ("Vaszary", "Norhee", "88442277", ROOT):
        assert secret not in said
        assert not any(secret in str(path) for path in (tmp_path / "inbox").rglob("*"))


def test_a_receiver_killed_after_the_last_slice_hands_the_series_on_when_it_comes_back(tmp_path: Path) -> None:
    served = Served(tmp_path)
    assert not send(ct_files(tmp_path / "out", 5), Peer("SDX", "127.0.0.1", served.port)).failed
    served.end(signal.SIGKILL)
    assert not served.lines
    back = Served(tmp_path)
    until(lambda: back.lines)
    told = json.loads(back.lines[0])
    assert told["instances"] == 5 and Path(told["folder"]).is_dir()
    assert back.end() == ""
    assert not list(Inbox(tmp_path / "inbox", str).pending()), "handed on once, not at every start"


def test_twice_the_same_is_kept_once_and_handed_on_once(listening: Listening, tmp_path: Path) -> None:
    to, taken, inbox = listening()
    paths = ct_files(tmp_path / "out", 6)
    assert len(send(paths, to).stored) == 6
    until(lambda: taken)
    assert len(send(paths, to).stored) == 6
    time.sleep(0.8)
    assert [series.instances for series in taken] == [6] and slices(inbox.folder) == [1, 2, 3, 4, 5, 6]


def test_more_of_a_series_hands_it_on_again(listening: Listening, tmp_path: Path) -> None:
    to, taken, _ = listening()
    paths = ct_files(tmp_path / "out", 6)
    send(paths[:4], to)
    until(lambda: len(taken) == 1)
    send(paths[4:], to)
    until(lambda: len(taken) == 2)
    assert [series.instances for series in taken] == [4, 6] and taken[0].folder == taken[1].folder


def test_another_content_under_the_same_uid_replaces_and_is_told(
    listening: Listening, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    to, taken, inbox = listening()
    paths = ct_files(tmp_path / "out", 2)
    send(paths, to)
    until(lambda: len(taken) == 1)
    changed = ct_instance(1, 2)
    changed.PixelData = b"\7\0" * 256
    changed.save_as(paths[1], enforce_file_format=True, overwrite=True)
    send(paths, to)
    until(lambda: len(taken) == 2)
    assert slices(inbox.folder) == [1, 7] and "came again with other content" in caplog.text and ROOT not in caplog.text


def test_two_series_at_once_are_told_apart(listening: Listening, tmp_path: Path) -> None:
    to, taken, _ = listening()
    both = [ct_files(tmp_path / "out", 20, series) for series in (1, 2)]
    threads = [threading.Thread(target=send, args=(paths, to)) for paths in both]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    until(lambda: len(taken) == 2)
    assert [series.instances for series in taken] == [20, 20] and taken[0].study == taken[1].study and taken[0].series != taken[1].series


def test_a_cut_off_sender_is_waited_for_longer_than_one_that_said_goodbye(listening: Listening, tmp_path: Path) -> None:
    to, taken, _ = listening(Bounds(free_mb=1.0, after_release_s=0.1, quiet_s=1.5))
    association = associate(to)
    for number in (1, 2):
        assert store(association, ct_instance(1, number)) == 0
    association.abort()
    time.sleep(0.8)
    assert not taken
    until(lambda: taken)
    assert taken[0].instances == 2


def test_a_sender_that_stops_in_the_middle_of_a_message_holds_nothing_up(listening: Listening, tmp_path: Path) -> None:
    to, taken, _ = listening(Bounds(free_mb=1.0, quiet_s=0.5, idle_s=1.0, associations=1))
    association = associate(to)
    assert store(association, ct_instance(1, 1)) == 0
    association.dul.socket.socket.sendall(b"\4\0\0")  # half the head of a PDU, then silence
    until(lambda: taken)
    until(lambda: not echo(to), 10)
    association.abort()


def test_what_is_no_ct_is_refused(listening: Listening, tmp_path: Path) -> None:
    to, _, inbox = listening()
    mr = ct_files(tmp_path / "mr", 1, 1, MRImageStorage)
    capture = ct_files(tmp_path / "sc", 1, 2, SecondaryCaptureImageStorage)
    ct = ct_files(tmp_path / "ct", 1, 3)
    sent = send([*mr, *capture, *ct], to, tries=2, wait_s=0.01)
    assert sent.stored == (ct[0],)
    assert {path for path, _ in sent.failed} == {mr[0], capture[0]} and all("does not take class" in reason for _, reason in sent.failed)
    assert slices(inbox.folder) == [1]


def associate(to: Peer, own: str = "TEST", syntax: str = ExplicitVRLittleEndian):
    entity = pynetdicom().AE(own)
    entity.add_requested_context(CTImageStorage, syntax)
    return entity.associate(to.host, to.port, ae_title=to.ae_title)


def store(association, instance) -> int | None:
    with held(association):
        return association.send_c_store(instance).get("Status")


@pytest.mark.parametrize(
    ("change", "status"),
    [
        ({"StudyInstanceUID": "../../etc/passwd"}, 0xC000),
        ({"SeriesInstanceUID": ""}, 0xC000),
        ({"SeriesInstanceUID": "1." * 40 + "1"}, 0xC000),
    ],
)
def test_uids_that_are_none_are_refused_with_a_status(
    listening: Listening, change: dict[str, str], status: int, caplog: pytest.LogCaptureFixture
) -> None:
    to, _, inbox = listening()
    instance = ct_instance(1, 1)
    for keyword, value in change.items():
        instance[keyword].validation_mode = 0
        instance[keyword].value = value
    association = associate(to)
    assert store(association, instance) == status
    association.release()
    assert not list(inbox.folder.rglob("*.dcm")) and "passwd" not in caplog.text and "an instance was refused" in caplog.text


def test_a_data_set_that_is_another_instance_than_announced_is_refused(listening: Listening) -> None:
    to, _, inbox = listening()
    from pynetdicom.dimse_primitives import C_STORE
    from pynetdicom.dsutils import encode

    association = associate(to)
    request = C_STORE()
    request.MessageID, request.Priority = 1, 2
    request.AffectedSOPClassUID, request.AffectedSOPInstanceUID = CTImageStorage, f"{ROOT}.9.9.9"
    from io import BytesIO

    for raw, status in ((encode(ct_instance(1, 1), False, True), 0xA900), (b"\x00rubbish\xff" * 40, 0xC000)):
        request.DataSet = BytesIO(raw or b"")
        association._reactor_checkpoint.clear()
        while not association._is_paused:
            time.sleep(0.001)
        association.dimse.send_msg(request, association.accepted_contexts[0].context_id)
        _, answer = association.dimse.get_msg(block=True)
        association._reactor_checkpoint.set()
        assert answer.Status in (status, 0xA900)
    association.release()
    assert not list(inbox.folder.rglob("*.dcm"))


def test_ae_titles_and_transfer_syntaxes_that_are_not_known_are_turned_away(listening: Listening, tmp_path: Path) -> None:
    to, _, _ = listening(Bounds(calling=("SCANNER",), free_mb=1.0))
    assert echo(to, "SCANNER") == ""
    assert "rejects" in echo(to, "STRANGER")
    assert "rejects" in echo(Peer("OTHER", to.host, to.port), "SCANNER")
    sent = send(ct_files(tmp_path / "out", 1), to, "STRANGER", tries=2, wait_s=0.01)
    assert not sent.stored and "AE titles" in sent.failed[0][1]
    association = associate(to, "SCANNER", JPEGBaseline8Bit)
    assert association.is_established is False or not association.accepted_contexts


def test_an_instance_over_the_bound_is_cut_off_and_a_full_disk_is_told(listening: Listening, tmp_path: Path) -> None:
    to, _, inbox = listening(Bounds(largest_mb=0.5, free_mb=1.0))
    huge = ct_instance(1, 1)
    huge.Rows, huge.Columns, huge.PixelData = 4096, 4096, bytes(2 * 4096 * 4096)
    association = associate(to)
    assert store(association, huge) in (None, 0xA700)
    assert not list(inbox.folder.rglob("*.dcm"))
    assert not send(ct_files(tmp_path / "out", 1), to).failed, "others are still served"


def test_a_full_disk_is_told_and_tried_again(listening: Listening, tmp_path: Path) -> None:
    to, _, inbox = listening(Bounds(free_mb=1e9))
    waited: list[float] = []
    sent = send(ct_files(tmp_path / "out", 1), to, tries=3, wait_s=0.5, sleep=waited.append)
    assert not sent.stored and "not confirmed" in sent.failed[0][1] and waited == [0.5, 1.0]
    assert not list(inbox.folder.rglob("*.dcm"))


def test_a_taker_that_fails_is_tried_again_and_nothing_is_lost(
    listening: Listening, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    seen: list[Received] = []

    def fails_first(series: Received) -> None:
        seen.append(series)
        if len(seen) == 1:
            raise RuntimeError("about Vaszary^Norhee")

    to, _, inbox = listening(done=fails_first)
    send(ct_files(tmp_path / "out", 3), to)
    until(lambda: len(seen) == 2)
    until(lambda: not list(inbox.pending()))
    assert "could not be handed on (RuntimeError), attempt 1 of 3" in caplog.text and "Vaszary" not in caplog.text


def test_folders_and_files_are_the_owners_alone(listening: Listening, tmp_path: Path) -> None:
    os.umask(0o022)
    to, taken, inbox = listening()
    send(ct_files(tmp_path / "out", 1), to)
    until(lambda: taken)
    for path in (inbox.folder, *inbox.folder.rglob("*")):
        assert not stat.S_IMODE(path.stat().st_mode) & 0o077, path


def test_nothing_identifying_is_logged_even_at_debug(listening: Listening, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    to, taken, _ = listening()
    assert not send(ct_files(tmp_path / "out", 2), to).failed
    until(lambda: taken)
    ours = "\n".join(record.getMessage() for record in caplog.records if record.name.startswith("sdx"))
    for secret in ("Vaszary", "88442277", "A5530021", ROOT):
        assert secret not in caplog.text and secret not in ours
    assert ROOT not in repr(taken) and ROOT not in repr(Uids(ROOT, ROOT, ROOT))


def test_a_port_that_is_taken_is_an_error_that_says_so(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        command = [sys.executable, "-m", "sdx_ros_nodes.dicom.serve", "--inbox", str(tmp_path / "i"), "--vault", str(tmp_path / "v")]
        done = subprocess.run([*command, "--port", port], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 1 and "cannot listen" in done.stderr and "Traceback" not in done.stderr
