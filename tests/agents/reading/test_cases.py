"""The store: nothing is lost or done twice by a kill, two readers do not overwrite each other, the audit holds."""

import json
import os
import shutil
import signal
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import chest
import numpy as np
import pytest

from sdx_agents.audit import verify
from sdx_agents.reading.case import Case, Illegal, Made, Signer, shown_sha256
from sdx_agents.reading.cases import CaseStore, Conflict
from sdx_domains.medicine.language.render import render
from sdx_domains.medicine.privacy.text import scrub

KIM = Signer(name="Kim^A", organisation="Hospital")


def finished(store: CaseStore, case: Case) -> Case:
    case = store.begin(case.id, case.revision, "Kim")
    case = store.decide(case.id, case.revision, "Kim", "F3", "no")
    return store.sign(case.id, case.revision, KIM, shown_sha256(case))


def test_a_case_is_read_back_as_it_was(store: CaseStore, case: Case) -> None:
    assert store.case(case.id) == case and case.status == "draft"
    kept = store.volume(case.id)
    assert np.array_equal(kept.hu, chest.volume().hu) and kept.spacing_mm == chest.SPACING
    assert store.add(*chest.study(), Made(), patient="p1", day=100).id == case.id
    assert store.add(*chest.study(critical=False), Made()).id == f"{case.id}-2"


def test_every_change_is_in_the_audit_with_its_hashes(store: CaseStore, case: Case) -> None:
    done = finished(store, case)
    store.addend(done.id, done.revision, KIM, "Told to the ward.", shown_sha256(done))
    history = store.history(case.id)
    assert [each["kind"] for each in history] == ["case_drafted", "case_in_review", "finding_decided", "report_signed", "addendum_signed"]
    assert all(
        each["model_sha256"] == "a" * 64 and each["prompt_sha256"] == "b" * 64 and len(each["case_sha256"]) == 64 for each in history
    )
    assert history[3]["by"] == "Kim^A" and history[3]["shown_sha256"] == shown_sha256(done)
    assert store.troubles() == ()
    assert "Told to the ward" not in (store.folder / "audit.jsonl").read_text()


def test_a_store_of_one_template_raises_an_alarm(store: CaseStore) -> None:
    for number in range(20):
        series, picture, statements = chest.study(number)
        store.add(series, picture, statements, Made())
    found = store.collapse()
    assert found.reports == 20 and found.distinct_ratio < 0.8 and found.alarms
    first = store.worklist()[0].id
    finished(store, store.case(first))
    assert store.collapse().true_normal_rate == 0.0


def test_two_readers_do_not_overwrite_each_other(store: CaseStore, case: Case) -> None:
    case = store.begin(case.id, case.revision, "Kim")
    told: list[str] = []

    def decide(name: str) -> None:
        try:
            store.decide(case.id, case.revision, name, "F1", "no" if name == "Kim" else "uncertain")
            told.append("done")
        except Conflict:
            told.append("conflict")

    readers = [threading.Thread(target=decide, args=(name,)) for name in ("Kim", "Lee", "Park")]
    for reader in readers:
        reader.start()
    for reader in readers:
        reader.join()
    assert sorted(told) == ["conflict", "conflict", "done"]
    assert store.case(case.id).revision == case.revision + 1 and store.troubles() == ()


def test_moves_out_of_order_are_refused_and_change_nothing(store: CaseStore, case: Case) -> None:
    before = (store.folder / "audit.jsonl").read_bytes()
    moves: list[Any] = [
        lambda: store.decide(case.id, 0, "Kim", "F1", "no"),
        lambda: store.edit(case.id, 0, "Kim", "en", "x", "y"),
        lambda: store.sign(case.id, 0, KIM, shown_sha256(case)),
        lambda: store.addend(case.id, 0, KIM, "x", shown_sha256(case)),
        lambda: store.begin(case.id, 0, " "),
    ]
    for move in moves:
        with pytest.raises(Illegal):
            move()
    assert store.case(case.id) == case and (store.folder / "audit.jsonl").read_bytes() == before


@pytest.mark.parametrize("name", ["../../etc/passwd", "", "0123456789abcdef", "..", "0" * 16 + "/../x", "0123456789abcdeF"])
def test_a_name_that_is_no_case_is_not_found(store: CaseStore, case: Case, name: str) -> None:
    with pytest.raises(KeyError, match="no case"):
        store.case(name)


def test_a_case_changed_on_the_disk_is_found_out(store: CaseStore, case: Case) -> None:
    done = finished(store, case)
    path = store.folder / "cases" / done.id / "case.json"
    path.write_text(path.read_text().replace("lung nodule", "lung cyst"))
    assert "changed outside" in store.troubles()[0]
    path.write_text("{")
    assert "changed outside" in store.troubles()[0] and store.worklist() == ()
    with pytest.raises(Illegal, match="is no case"):
        store.case(done.id)


def test_the_worklist_is_by_urgency_and_the_signed_come_last(store: CaseStore, case: Case) -> None:
    routine = store.add(*chest.study(2, critical=False), Made())
    done = finished(store, store.add(*chest.study(3), Made()))
    listed = store.worklist()
    assert [each.id for each in listed] == [case.id, routine.id, done.id]
    assert (listed[0].critical, listed[0].urgency, listed[1].urgency) == (("pneumothorax",), "critical", "urgent")
    assert (listed[2].signer, listed[0].undecided) == ("Kim^A", 3)


def test_the_prior_is_the_latest_earlier_signed_study_of_the_patient(store: CaseStore, case: Case) -> None:
    assert store.prior("p1", 200) is None
    finished(store, case)
    store.add(*chest.study(2), Made(), patient="p1", day=150)
    prior = store.prior("p1", 200)
    assert prior is not None and (prior.days_before, prior.study_uid) == (100, "2.25.11")
    assert [each.label for each in prior.findings] == ["nodule"]
    assert store.prior("p1", 100) is None and store.prior("p2", 200) is None and store.prior("", 200) is None


def test_what_people_type_is_scrubbed_and_bounded(tmp_path: Path) -> None:
    store = CaseStore(tmp_path / "room", render, scrub)
    case = store.begin(store.add(*chest.study(), Made()).id, 0, "Kim")
    noted = store.decide(case.id, 1, "Kim", "F1", "yes", "call 010-1234-5678, RRN 900101-1234567")
    assert "1234567" not in noted.model_dump_json() and "010-1234-5678" not in noted.model_dump_json()
    with pytest.raises(Illegal, match="2000 at most"):
        store.decide(case.id, 2, "Kim", "F1", "yes", "x" * 2001)


@pytest.mark.parametrize("recorded", [False, True])
def test_a_change_counts_when_the_audit_has_it(store: CaseStore, case: Case, recorded: bool, tmp_path: Path) -> None:
    """The two states that a kill between the steps of a change leaves on the disk."""
    before = tmp_path / "before"
    shutil.copytree(store.folder, before)
    store.begin(case.id, 0, "Kim")
    shutil.copy(store.folder / "cases" / case.id / "case.json", before / "next.json")
    if recorded:
        shutil.copy(store.folder / "audit.jsonl", before / "audit.jsonl")
    again = CaseStore(before, render)
    assert again.case(case.id).status == ("in_review" if recorded else "draft")
    assert again.troubles() == () and not (before / "next.json").exists()


WORKER = """
import sys
sys.path.append({beside!r})
from pathlib import Path
from sdx_agents.reading.cases import CaseStore
from sdx_domains.medicine.language.render import render
store = CaseStore(Path({folder!r}), render)
case = store.case({name!r})
while True:
    case = store.decide(case.id, case.revision, "Kim", "F1", "no" if case.revision % 2 else "yes", "note %d" % case.revision)
    print(case.revision, flush=True)
"""


def test_kill_9_loses_nothing_that_was_acknowledged(store: CaseStore, case: Case) -> None:
    store.begin(case.id, 0, "Kim")
    code = WORKER.format(beside=str(Path(__file__).parent), folder=str(store.folder), name=case.id)
    seen = 0
    for wanted in (2, 5):
        with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True) as worker:
            assert worker.stdout is not None
            for _ in range(wanted):
                seen = int(worker.stdout.readline())
            os.kill(worker.pid, signal.SIGKILL)
        again = CaseStore(store.folder, render)
        now = again.case(case.id)
        assert seen <= now.revision <= seen + 1 + wanted and again.troubles() == ()
        assert json.loads((store.folder / "audit.jsonl").read_text().splitlines()[-1])["payload"]["revision"] == now.revision
    assert verify(store.folder / "audit.jsonl").ok
