"""The audit log under crashes, threads, two writers and hostile hands."""

import json
import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sdx_agents.audit import FIRST, AuditError, AuditLog, records, tail, verify

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)


def written(path: Path, count: int) -> Path:
    with AuditLog(path) as log:
        for index in range(count):
            assert log.append("decision", {"index": index, "name": "선박"}) == index
    return path


def test_records_come_back_in_order_and_verify(tmp_path: Path) -> None:
    path = written(tmp_path / "runs" / "audit.jsonl", 5)
    report = verify(path)
    assert (report.ok, report.records, report.bad_line) == (True, 5, 0)
    read = list(records(path))
    assert [record.payload["index"] for record in read] == list(range(5))
    assert read[0].prev_hash == FIRST
    assert read[-1].hash == report.last_hash
    assert [record.seq for record in tail(path, 2)] == [3, 4]


@given(payload=st.dictionaries(st.text(max_size=8), JSON, max_size=4))
@settings(max_examples=60, deadline=None)
def test_any_json_survives(tmp_path_factory: pytest.TempPathFactory, payload: dict[str, object]) -> None:
    path = tmp_path_factory.mktemp("log") / "audit.jsonl"
    with AuditLog(path) as log:
        log.append("any", payload)
        log.append("lone surrogate", {"text": "\ud800"})
    assert verify(path).ok
    assert next(records(path)).payload == payload


def test_the_chain_goes_on_after_a_reopen(tmp_path: Path) -> None:
    path = written(tmp_path / "audit.jsonl", 2)
    with AuditLog(path) as log:
        assert log.append("later", {}) == 2
    assert verify(path).ok


@pytest.mark.parametrize("torn", [b"{", b'{"seq":3,"prev_hash":"ab', b"\x00" * 40, b"\xff\xfe"])
def test_a_torn_last_line_is_put_aside_and_the_chain_goes_on(tmp_path: Path, torn: bytes) -> None:
    path = written(tmp_path / "audit.jsonl", 3)
    with path.open("ab") as file:
        file.write(torn)
    assert verify(path).reason == "the line is unfinished"
    with AuditLog(path) as log:
        assert log.append("after", {}) == 3
    assert verify(path).records == 4
    assert (tmp_path / "audit.jsonl.torn").read_bytes() == torn + b"\n"


def test_a_log_torn_in_its_first_line_begins_anew(tmp_path: Path) -> None:
    path = tmp_path / "audit.jsonl"
    path.write_bytes(b'{"seq":0')
    with AuditLog(path) as log:
        assert log.append("first", {}) == 0
    assert verify(path).ok


ALTERATIONS = {
    "changed value": lambda lines: [lines[0], lines[1].replace(b'"index":1', b'"index":9'), *lines[2:]],
    "changed and sealed again": lambda lines: [lines[0], _forged(lines[1]), *lines[2:]],
    "removed": lambda lines: [lines[0], *lines[2:]],
    "doubled": lambda lines: [lines[0], lines[0], *lines[1:]],
    "swapped": lambda lines: [lines[0], lines[2], lines[1], *lines[3:]],
    "not JSON": lambda lines: [lines[0], b"hello\n", *lines[2:]],
    "extra field": lambda lines: [lines[0], lines[1].replace(b'"kind"', b'"x":1,"kind"'), *lines[2:]],
}


def _forged(line: bytes) -> bytes:
    from sdx_agents.audit import sealed

    value = json.loads(line)
    return sealed(value["seq"], value["prev_hash"], value["t_utc"], value["kind"], {"index": 9})[0]


@pytest.mark.parametrize("alter", ALTERATIONS.values(), ids=ALTERATIONS.keys())
def test_any_alteration_is_found_at_its_line(tmp_path: Path, alter) -> None:
    path = written(tmp_path / "audit.jsonl", 4)
    path.write_bytes(b"".join(alter(path.read_bytes().splitlines(keepends=True))))
    report = verify(path)
    assert not report.ok
    assert report.bad_line in (2, 3)  # a line that was sealed again shows at the one after it
    assert report.reason


def test_an_altered_last_line_is_not_written_over(tmp_path: Path) -> None:
    path = written(tmp_path / "audit.jsonl", 2)
    path.write_bytes(path.read_bytes().replace(b'"index":1', b'"index":9'))
    with pytest.raises(AuditError, match="was altered"):
        AuditLog(path)


def test_two_writers_are_one_too_many(tmp_path: Path) -> None:
    with AuditLog(tmp_path / "audit.jsonl"), pytest.raises(AuditError, match="another process"):
        AuditLog(tmp_path / "audit.jsonl")


def test_a_closed_log_says_so(tmp_path: Path) -> None:
    log = AuditLog(tmp_path / "audit.jsonl")
    log.close()
    with pytest.raises(AuditError, match="closed"):
        log.append("late", {})


def test_threads_get_their_own_numbers(tmp_path: Path) -> None:
    path = tmp_path / "audit.jsonl"
    taken: list[int] = []
    with AuditLog(path, rotate_bytes=2000) as log:
        threads = [threading.Thread(target=lambda: taken.extend(log.append("x", {"n": n}) for n in range(10))) for _ in range(6)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert sorted(taken) == list(range(60))
    assert verify(path).records == 60


def test_parts_put_aside_stay_in_the_chain(tmp_path: Path) -> None:
    path = tmp_path / "audit.jsonl"
    for start in (0, 10):
        with AuditLog(path, rotate_bytes=1000) as log:
            for index in range(start, start + 10):
                log.append("x", {"index": index})
    parts = sorted(tmp_path.glob("audit.*.jsonl"))
    assert len(parts) > 2
    assert verify(path).records == 20
    parts[1].unlink()
    assert "does not follow on" in verify(path).reason


def test_a_full_disk_acknowledges_nothing_and_leaves_no_half_line(tmp_path: Path) -> None:
    import resource

    path = written(tmp_path / "audit.jsonl", 1)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    with AuditLog(path) as log:
        resource.setrlimit(resource.RLIMIT_FSIZE, (path.stat().st_size + 50, hard))
        try:
            with pytest.raises(OSError):
                log.append("large", {"text": "x" * 500})
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        assert log.append("small", {}) == 1
    assert verify(path).records == 2


def test_kill_9_loses_no_acknowledged_record(tmp_path: Path) -> None:
    path = tmp_path / "audit.jsonl"
    code = (
        "import sys; from pathlib import Path; from sdx_agents.audit import AuditLog\n"
        "log = AuditLog(Path(sys.argv[1]))\n"
        "while True: print(log.append('x', {'text': 'y' * 5000}), flush=True)"
    )
    with subprocess.Popen([sys.executable, "-c", code, str(path)], stdout=subprocess.PIPE, text=True) as writer:
        assert writer.stdout
        for _ in range(20):
            writer.stdout.readline()
        os.kill(writer.pid, signal.SIGKILL)
        rest = writer.stdout.read().split()
    acknowledged = int(rest[-1]) if rest else 19
    with AuditLog(path) as log:
        assert log.append("after", {}) > acknowledged
    assert verify(path).ok
