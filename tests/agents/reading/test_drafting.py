"""From DICOM files on disk to a case: grounded, of nobody, and with what was signed before of the same patient."""

import importlib.util
import json
from pathlib import Path

import pytest

for needed in ("numba", "pydicom", "scipy"):
    if importlib.util.find_spec(needed) is None:
        pytest.skip(f"needs {needed}", allow_module_level=True)

from sdx_agents.reading.case import Signer, shown_sha256
from sdx_agents.reading.cases import CaseStore
from sdx_agents.reading.drafting import Drafter, keep
from sdx_domains.medicine.domain import MedicineDomain
from sdx_domains.medicine.ingest.rules import Refused
from sdx_domains.medicine.language.render import render
from sdx_domains.medicine.phantom.render import render as drawn
from sdx_domains.medicine.phantom.scene import scene
from sdx_domains.medicine.phantom.write import Identity, write_dicom
from sdx_domains.medicine.privacy.vault import Vault

SPACING_MM = (5.0, 1.6, 1.6)
WHO = Identity(name="KIM^MINSU", patient_id="H-4711", accession="ACC-99", study_date="20260102")


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> Path:
    patient = scene(500_000_011, wanted=("mass", "pleural_effusion"), contrast=False)
    return write_dicom(drawn(patient, SPACING_MM), tmp_path_factory.mktemp("study") / "scan", WHO)


def drafter(folder: Path) -> Drafter:
    return Drafter(Vault(folder / "vault"), store=CaseStore(folder, render))


def test_a_study_becomes_a_draft_that_its_domain_lets_stand(study, tmp_path):
    draft = drafter(tmp_path).draft(study)
    domain = MedicineDomain()
    assert set(draft.seconds) == {"read", "measure", "find", "decide"}
    assert {each.finding.id for each in draft.statements} == set(draft.order.setpoints)
    assert domain.check(draft.picture, draft.order).kind == "accept"
    uids = draft.picture.study.slice_uids
    assert all(each.finding.slices.key_uid == uids[each.finding.slices.key] for each in draft.statements)
    assert domain.load_picture(json.loads(draft.picture.model_dump_json())) == draft.picture


def test_nothing_that_identifies_leaves_the_vault(study, tmp_path):
    made = drafter(tmp_path)
    keep(CaseStore(tmp_path, render), made.draft(study))
    for path in tmp_path.rglob("*"):
        if path.is_file() and not path.is_relative_to(tmp_path / "vault"):
            held = path.read_bytes()
            assert not [word for word in (b"MINSU", b"H-4711", b"ACC-99", b"Imaginary Hospital") if word in held], path


def test_the_same_study_again_is_the_same_case(study, tmp_path):
    store = CaseStore(tmp_path, render)
    first, second = (keep(store, drafter(tmp_path).draft(study)) for _ in range(2))
    assert first == second and len(store.worklist()) == 1


def test_what_was_signed_before_is_the_prior_of_the_next_study(study, tmp_path, tmp_path_factory):
    store = CaseStore(tmp_path, render)
    case = keep(store, drafter(tmp_path).draft(study))
    case = store.begin(case.id, case.revision, "Dr Han")
    for name in case.undecided:
        case = store.decide(case.id, case.revision, "Dr Han", name, "yes")
    store.sign(case.id, case.revision, Signer(name="Dr Han", organisation="Clinic"), shown_sha256(case))
    later = Identity(name=WHO.name, patient_id=WHO.patient_id, study_date="20260402")
    scan = write_dicom(drawn(scene(500_000_012, wanted=("mass",)), SPACING_MM), tmp_path_factory.mktemp("later") / "scan", later)
    picture = drafter(tmp_path).draft(scan).picture
    assert picture.prior is not None and picture.prior.days_before == 90
    assert len(picture.prior.findings) == len(case.statements)


def test_what_is_no_study_is_refused_and_leaves_nothing(tmp_path):
    empty = tmp_path / "empty"
    empty.mkdir()
    with pytest.raises(Refused):
        drafter(tmp_path / "room").draft(empty)
    assert CaseStore(tmp_path / "room", render).worklist() == ()
