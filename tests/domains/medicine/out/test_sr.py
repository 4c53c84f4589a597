"""SR: valid, read back equal, final only when signed, identity where it belongs and nowhere else."""

import logging
from dataclasses import replace

import pytest

hd = pytest.importorskip("highdicom")

from pydicom.dataelem import DataElement
from pydicom.dataset import Dataset

from sdx_domains.medicine.out import sr
from sdx_domains.medicine.out.images import as_stored, pseudonymous


def test_a_draft_is_complete_unverified_and_preliminary(made_up, results, errors, tmp_path):
    path = sr.write(made_up.series(), results("draft"), tmp_path / "draft.dcm")
    made = hd.sr.srread(path)
    assert (made.CompletionFlag, made.VerificationFlag, made.PreliminaryFlag) == ("COMPLETE", "UNVERIFIED", "PRELIMINARY")
    assert "VerifyingObserverSequence" not in made and "DRAFT" in made.SeriesDescription
    assert errors(path) == []


def test_signing_makes_a_new_verified_instance_and_an_addendum_another(made_up, results, errors, tmp_path):
    series = made_up.series()
    draft = sr.write(series, results("draft"), tmp_path / "draft.dcm")
    signed = sr.write(series, results("signed"), tmp_path / "signed.dcm", results("draft"))
    late = sr.write(series, results("addendum", ("Seen also: a rib fracture.",)), tmp_path / "late.dcm", results("signed"))
    made = [hd.sr.srread(path) for path in (draft, signed, late)]
    assert len({each.SOPInstanceUID for each in made}) == 3 and len({each.SeriesInstanceUID for each in made}) == 1
    for each, before in ((made[1], made[0]), (made[2], made[1])):
        assert (each.VerificationFlag, each.PreliminaryFlag) == ("VERIFIED", "FINAL")
        observer = each.VerifyingObserverSequence[0]
        assert (observer.VerifyingObserverName, observer.VerifyingOrganization) == ("PARK^JIWON", "Test Hospital")
        assert observer.VerificationDateTime == "20260304050607+0000"
        follows = each.PredecessorDocumentsSequence[0].ReferencedSeriesSequence[0].ReferencedSOPSequence[0]
        assert follows.ReferencedSOPInstanceUID == before.SOPInstanceUID
    assert "a rib fracture" in str(made[2].to_json())
    assert errors(signed) == [] and errors(late) == []


def test_read_back_equal(made_up, results, tmp_path):
    series, of = made_up.series(), results("draft")
    content = hd.sr.srread(sr.write(series, of, tmp_path / "draft.dcm")).content
    groups = {
        each.tracking_identifier: each for each in (*content.get_planar_roi_measurement_groups(), *content.get_image_measurement_groups())
    }
    assert set(groups) == {"F1", "F2", "F3", "F4", "F5", "chest"}
    nodule = groups["F1"]
    assert nodule.finding_type.value == "427359005"
    site = nodule.finding_sites[0]
    assert (site.value.value, site.laterality.meaning, site.topographical_modifier.meaning) == ("72481006", "Right", "Middle zone of lung")
    values = {each.name.meaning: (each.value, each.unit.value) for each in nodule.get_measurements()}
    assert values["Long axis"] == (12.4, "mm") and values["Short axis"] == (9.8, "mm") and values["Volume"] == (0.71, "ml")
    assert values["Certainty of Finding"] == (90.0, "%") and values["Mean Attenuation Coefficient"] == (41.0, "[hnsf'U]")
    assert nodule.roi.ContentSequence[0].referenced_sop_instance_uid == series.sop_uids[6]
    said = {each.name.value: each.value.meaning for each in nodule.get_qualitative_evaluations()}
    assert said.pop("276214006") == "Morphologically Abnormal Structure"  # the finding's category
    assert said == {"presence": "Present", "descriptor": "solid"}
    assert groups["F5"].get_qualitative_evaluations()[1].value.meaning == "Undetermined"
    whole = {each.name.meaning: each.value for each in groups["chest"].get_measurements()}
    assert whole["right lung volume"] == 2100.0 and whole["cardiothoracic ratio"] == 0.58


def test_the_outline_lies_on_the_lesion_however_the_images_were_stored(made_up, results):
    for orientation in (made_up.AXIAL, (-1, 0, 0, 0, -1, 0), (1, 0, 0, 0, -1, 0), (0, 1, 0, 1, 0, 0), (0, -1, 0, -1, 0, 0)):
        series = made_up.series(orientation)
        plane = as_stored(series.header, series.volume.hu[6])
        assert plane.shape == (series.header.Rows, series.header.Columns)
        content = hd.sr.Comprehensive3DSR.from_dataset(sr.document(series, results("draft"))).content
        points = content.get_planar_roi_measurement_groups()[0].roi.value
        low, high = points.min(axis=0).astype(int), points.max(axis=0).astype(int)
        inside = plane[low[1] : high[1] + 1, low[0] : high[0] + 1]
        assert (inside == 40).mean() > 0.9, orientation


def test_algorithm_and_observers_are_named(made_up, results, tmp_path):
    signed = hd.sr.srread(sr.write(made_up.series(), results("signed"), tmp_path / "s.dcm"))
    kinds = {context.observer_type.meaning for context in signed.content.get_observer_contexts()}
    assert kinds == {"Person", "Device"} and signed.DeviceSerialNumber == "ab" * 8
    text = str(signed.to_json())
    assert "Algorithm Name" in text and "sdx-ct-test" in text and "Certainty of Finding" not in text


def test_the_hospital_gets_identity_and_outside_gets_none(made_up, results, tmp_path, caplog):
    with caplog.at_level(logging.DEBUG):
        own = sr.write(made_up.series(), results("draft"), tmp_path / "own.dcm").read_bytes()
        outside = sr.write(pseudonymous(made_up.series()), results("draft"), tmp_path / "out.dcm").read_bytes()
    assert "홍^길동".encode() in own and b"ACC-12" in own
    for secret in (*made_up.SECRETS, "1.2.826.1", "20260301"):
        assert secret.encode() not in outside, secret
        assert secret not in caplog.text, secret
    assert b"2.25.1206" in outside


def test_a_normal_study_still_makes_a_report(made_up, results, errors, tmp_path):
    said = tuple(each.model_copy(update={"present": "no"}) for each in made_up.statements(made_up.picture()))
    path = sr.write(made_up.series(), results("draft", said=said), tmp_path / "normal.dcm")
    assert [each.tracking_identifier for each in hd.sr.srread(path).content.get_image_measurement_groups()] == ["chest"]
    assert errors(path) == []


def test_the_same_results_give_the_same_file_and_a_failure_leaves_none(made_up, results, tmp_path):
    one, two = (sr.write(made_up.series(), results("draft"), tmp_path / name).read_bytes() for name in ("a.dcm", "b.dcm"))
    assert one == two
    with pytest.raises(ValueError, match="without DICOM"):
        sr.write(replace(made_up.series(), header=None), results("draft"), tmp_path / "c.dcm")
    assert not (tmp_path / "c.dcm").exists() and not list(tmp_path.glob(".*"))


def test_a_study_without_dicom_is_refused_with_what_to_do(made_up, results, tmp_path):
    bare = replace(made_up.series(), header=None, sop_uids=())
    with pytest.raises(ValueError, match="write the PDF and FHIR results instead"):
        sr.write(bare, results("draft"), tmp_path / "x.dcm")
    assert pseudonymous(bare) is bare


def test_a_name_of_one_part_and_an_empty_header_are_survived(made_up, results, errors, tmp_path):
    series = made_up.series()
    series.header.PatientName = "JUSTONE"
    series.header.add(DataElement(0x00100040, "CS", "m?", validation_mode=0))
    del series.header.StudyDate, series.header.AccessionNumber, series.header.ReferringPhysicianName
    path = sr.write(series, results("draft"), tmp_path / "x.dcm")
    assert hd.sr.srread(path).PatientName == "JUSTONE" and errors(path) == []


def test_a_straightened_volume_gets_no_outline_and_old_headers_are_completed(made_up, results, errors, tmp_path):
    series = made_up.series()
    del series.header.SliceThickness
    said = ("The gantry was tilted by 12.0 degrees: rows were interpolated along the table to axial slices.",)
    tilted = replace(series, facts=series.facts.model_copy(update={"corrections": said}))
    path = sr.write(tilted, results("draft"), tmp_path / "tilted.dcm")
    content = hd.sr.srread(path).content
    assert content.get_planar_roi_measurement_groups() == [] and len(content.get_image_measurement_groups()) == 6
    assert errors(path) == []


def test_frames_of_one_file_are_named_by_number(made_up, results, errors, tmp_path):
    series = made_up.series()
    header = series.header
    header.SOPClassUID, header.NumberOfFrames = "1.2.840.10008.5.1.4.1.1.2.1", made_up.SLICES
    group, plane = Dataset(), Dataset()
    plane.ImageOrientationPatient = header.ImageOrientationPatient
    group.PlaneOrientationSequence = [plane]
    header.SharedFunctionalGroupsSequence = [group]
    del header.ImageOrientationPatient, header.ImagePositionPatient, header.PixelSpacing
    uids = ("1.2.826.1.2.1",) * made_up.SLICES
    whole = replace(series, sop_uids=uids, frames=tuple(range(1, made_up.SLICES + 1)))
    path = sr.write(whole, results("draft"), tmp_path / "frames.dcm")
    nodule = hd.sr.srread(path).content.get_planar_roi_measurement_groups()[0]
    assert nodule.roi.ContentSequence[0].referenced_frame_numbers == [7]
    assert errors(path) == []
