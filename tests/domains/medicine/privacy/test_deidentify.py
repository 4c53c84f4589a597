"""De-identification: the profile's table, the options, what may not be handled, files as a user has them, and planted people."""

import os
import stat
from pathlib import Path

import pytest

pytest.importorskip("pydicom")

from pydicom import Dataset, dcmread
from pydicom.data import get_testdata_file
from pydicom.datadict import dictionary_VR, tag_for_keyword

from sdx_domains.contract import Measuring
from sdx_domains.medicine.privacy import trial
from sdx_domains.medicine.privacy.deidentify import CannotDeidentify, deidentify, deidentify_files, surface_note
from sdx_domains.medicine.privacy.profile import action, profile
from sdx_domains.medicine.privacy.vault import Vault
from sdx_domains.medicine.privacy.vocabulary import cleaned, coded

SHARED = Path(os.environ.get("SDX_SHARED_DATA", Path(__file__).parents[5] / "shared" / "data")) / "ct"


@pytest.fixture(scope="module")
def vault(tmp_path_factory: pytest.TempPathFactory) -> Vault:
    return Vault(tmp_path_factory.mktemp("privacy") / "vault")


def small() -> Dataset:
    return dcmread(str(get_testdata_file("CT_small.dcm")))


@pytest.mark.parametrize("seed", [11, 12])
def test_no_planted_person_survives_and_no_figure_is_lost(seed: int) -> None:
    found = trial.privacy_trial(Measuring(seed=seed, count=12))
    assert found["survived"] == 0, found["by_kind"]
    assert found["planted"] > 12 * 100 and found["figures_lost"] == 0
    assert set(found["by_kind"]) == {"identity", "date", "uid", "descriptor", "listed", "unlisted", "private", "sequence", "text"}


def test_the_trial_sees_what_is_left_in(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(trial, "deidentify", lambda dataset, vault, **_: dataset)
    monkeypatch.setattr(trial, "scrub", lambda text, known: text)
    monkeypatch.setattr(trial, "written_bytes", lambda dataset: str(dataset).encode())
    found = trial.privacy_trial(Measuring(seed=1, count=3))
    assert found["survived"] > 0.6 * found["planted"]


def test_every_listed_attribute_is_in_the_dictionary_and_none_is_kept_by_accident() -> None:
    assert len(profile().listed) > 590
    for keyword in profile().listed:
        tag = tag_for_keyword(keyword)
        assert tag is not None, keyword
        done = action(tag, keyword, dictionary_VR(keyword))
        assert done != "keep" or keyword in profile().characteristics, keyword
    for keyword in (*profile().keep_text, *profile().keep_binary, *profile().keep_here, *profile().clean):
        assert tag_for_keyword(keyword) is not None, keyword


def test_the_declaration_and_pseudonyms_are_in_the_result(vault: Vault) -> None:
    given = small()
    before = given.to_json()
    made = deidentify(given, vault)
    assert given.to_json() == before, "the one given is left as it is"
    assert made.PatientIdentityRemoved == "YES" and made.LongitudinalTemporalInformationModified == "MODIFIED"
    codes = [item.CodeValue for item in made.DeidentificationMethodCodeSequence]
    assert codes == ["113100", "113105", "113107", "113108"] and all(len(line) <= 64 for line in made.DeidentificationMethod)
    assert made.StudyInstanceUID == vault.pseudonym(given.StudyInstanceUID) == deidentify(small(), vault).StudyInstanceUID
    assert made.file_meta.MediaStorageSOPInstanceUID == made.SOPInstanceUID == vault.pseudonym(given.SOPInstanceUID)
    assert made.SOPClassUID == given.SOPClassUID and made.PatientID == vault.patient(given.PatientID)
    assert (made.pixel_array == given.pixel_array).all() and made.RescaleSlope == given.RescaleSlope
    assert not [element for element in made.iterall() if element.tag.is_private]


def test_dates_of_a_patient_move_together_or_go(vault: Vault) -> None:
    first, second = small(), small()
    first.StudyDate, second.StudyDate, first.PatientAge = "20240311", "20240321", "093Y"
    one, other = deidentify(first, vault), deidentify(second, vault)
    assert int(other.StudyDate) - int(one.StudyDate) in (10, *range(70, 90)) and one.StudyDate < "20240311"
    assert one.PatientBirthDate == "" and one.PatientAge == "090Y" and one.StudyTime == "000000"
    gone = deidentify(first, vault, dates="remove")
    assert gone.StudyDate == "" and gone.LongitudinalTemporalInformationModified == "REMOVED"
    assert "113107" not in [item.CodeValue for item in gone.DeidentificationMethodCodeSequence]


def test_pictures_with_text_in_them_are_refused_or_lose_their_pixels(vault: Vault) -> None:
    for change in ({"SOPClassUID": "1.2.840.10008.5.1.4.1.1.7"}, {"BurnedInAnnotation": "YES"}, {"Modality": "US"}):
        given = small()
        for keyword, value in change.items():
            setattr(given, keyword, value)
        with pytest.raises(CannotDeidentify, match="text in the picture is not looked for here"):
            deidentify(given, vault)
        assert "PixelData" not in deidentify(given, vault, pixels="remove")
    bare = small()
    del bare.SeriesInstanceUID
    with pytest.raises(CannotDeidentify, match="no SeriesInstanceUID"):
        deidentify(bare, vault)


def test_a_face_is_told() -> None:
    given = small()
    assert surface_note(given) == ""
    given.BodyPartExamined = "HEADNECK"
    assert "may show a face" in surface_note(given)


def test_descriptions_keep_words_of_the_examination_alone() -> None:
    assert cleaned("Thorax^1_ThoraxRoutine (Adult) 5.0 B70f") == "Thorax 1 ThoraxRoutine Adult 5.0 B70f"
    assert cleaned("CT chest Norhee Vaszary 2024-03-11 room 88442277") == "CT chest"
    assert cleaned("흉부 CT 홍길동 조영") == "흉부 CT 조영"
    assert coded("ORIGINAL") and coded("XYZ_EC") and not coded("VASZARY") and not coded("880101")


def test_files_are_written_whole_and_named_by_pseudonyms(vault: Vault, tmp_path: Path) -> None:
    rubbish = tmp_path / "Vaszary.dcm"
    rubbish.write_bytes(b"no DICOM")
    said: list[str] = []
    made = deidentify_files([Path(str(get_testdata_file("CT_small.dcm"))), rubbish], tmp_path / "out", vault, say=said.append)
    assert made == 1 and said == ["file 2 left out: not readable as DICOM (InvalidDicomError)"]
    (written,) = (tmp_path / "out").rglob("*.dcm")
    assert stat.S_IMODE(written.stat().st_mode) == 0o600
    found = dcmread(written)
    assert vault.recall(found.StudyInstanceUID).header.PatientID == small().PatientID
    assert small().PatientID.encode() not in written.read_bytes() and b"CompressedSamples" not in written.read_bytes()


@pytest.mark.skipif(not SHARED.exists(), reason="CT series are not there (set SDX_SHARED_DATA)")
def test_a_real_slice_keeps_what_a_report_needs(vault: Vault) -> None:
    given = dcmread(sorted((SHARED / "thorax_siemens").iterdir())[3])
    made = deidentify(given, vault)
    for keyword in (
        "Modality",
        "Manufacturer",
        "ConvolutionKernel",
        "SliceThickness",
        "ImagePositionPatient",
        "PixelSpacing",
        "KVP",
        "BodyPartExamined",
    ):
        assert made[keyword].value == given[keyword].value, keyword
    assert list(made.ImageType[:3]) == ["ORIGINAL", "PRIMARY", "AXIAL"] and "Thorax" in made.StudyDescription
    assert (made.pixel_array == given.pixel_array).all()
