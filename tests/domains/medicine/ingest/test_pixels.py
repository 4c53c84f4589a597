"""Every transfer syntax that is read gives the same Hounsfield units, in single and in multi-frame files."""

import locale
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from chests import MARK, STEP, chest, content, dataset, datasets, pseudonym, write
from hypothesis import given, settings
from hypothesis import strategies as st
from pydicom.dataset import Dataset, FileDataset
from pydicom.sequence import Sequence
from pydicom.uid import EnhancedCTImageStorage, ExplicitVRBigEndian, ImplicitVRLittleEndian, JPEG2000Lossless, JPEGLSLossless, RLELossless

from sdx_domains.medicine.ingest.pixels import declared
from sdx_domains.medicine.ingest.quiet import same_locale
from sdx_domains.medicine.ingest.read import read_study
from sdx_domains.medicine.ingest.rules import Refused


@pytest.mark.parametrize("syntax", [ImplicitVRLittleEndian, ExplicitVRBigEndian], ids=lambda uid: uid.name)
def test_native(syntax: str, tmp_path: Path) -> None:
    made = datasets(chest())
    for each in made:
        each.file_meta.TransferSyntaxUID = syntax
        each["PixelData"].VR = "OW"
        if syntax == ExplicitVRBigEndian:
            each.PixelData = np.frombuffer(each.PixelData, "<u2").astype(">u2").tobytes()
        each.PixelPaddingValue = 63536
    series = read_study(write(tmp_path, made), pseudonym)
    assert np.array_equal(series.volume.hu, chest())


@pytest.mark.parametrize("syntax", [RLELossless, JPEG2000Lossless, JPEGLSLossless], ids=lambda uid: uid.name)
def test_compressed(syntax: str, tmp_path: Path) -> None:
    made = datasets(chest())
    for each in made:
        each.compress(syntax, generate_instance_uid=False)
    try:
        series = read_study(write(tmp_path, made), pseudonym)
    except Refused as refused:
        assert syntax == JPEGLSLossless and "No decoder is installed for JPEG-LS Lossless" in str(refused)
        return
    assert np.array_equal(series.volume.hu, chest())


def test_jpeg_lossless_through_simpleitk(tmp_path: Path) -> None:
    """What most archives hold, and what neither pydicom nor OpenJPEG decodes."""
    itk = pytest.importorskip("SimpleITK")
    (tmp_path / "study").mkdir()
    with same_locale():
        _written_lossless(itk, tmp_path)
    from pydicom import dcmread

    assert dcmread(tmp_path / "study" / "0").file_meta.TransferSyntaxUID == "1.2.840.10008.1.2.4.70"
    encoding = locale.getpreferredencoding(False)
    series = read_study(tmp_path / "study", pseudonym)
    assert np.array_equal(series.volume.hu, chest())
    assert locale.getpreferredencoding(False) == encoding


def _written_lossless(itk: Any, tmp_path: Path) -> None:
    for index, plane in enumerate(chest()):
        source, target = tmp_path / "plain.dcm", tmp_path / "study" / f"{index}"
        source.write_bytes(content(dataset(plane, index, index * STEP)))
        read = itk.ReadImage(str(source), imageIO="GDCMImageIO")
        image = itk.Cast(read, itk.sitkInt16)
        for key in read.GetMetaDataKeys():
            image.SetMetaData(key, read.GetMetaData(key))
        writer = itk.ImageFileWriter()
        writer.SetImageIO("GDCMImageIO")
        writer.KeepOriginalImageUIDOn()
        writer.UseCompressionOn()
        writer.SetCompressor("JPEG")
        writer.SetFileName(str(target))
        writer.Execute(image)


@pytest.mark.parametrize("compressed", [False, True])
def test_enhanced_ct(compressed: bool, tmp_path: Path) -> None:
    """Frames in no order, each with its own position and rescaling."""
    path = tmp_path / "one file"
    path.write_bytes(content(enhanced(compressed)))
    series = read_study(path, pseudonym)
    assert np.array_equal(series.volume.hu, chest())
    assert series.facts.spacing_mm == (STEP, 3.5, 3.5)
    assert series.facts.kernel == "lung" and series.facts.slices == 40
    assert len(set(series.facts.slice_uids)) == 40 and set(series.sop_uids) == {"1.2.826.0.1.1.1"}
    assert series.frames == tuple(40 - index for index in range(40))
    assert series.volume.hu[MARK] > 0


def enhanced(compressed: bool) -> FileDataset:
    """One file, from head to feet."""
    made = dataset(chest()[0], 0, 0.0)
    made.file_meta.MediaStorageSOPClassUID = made.SOPClassUID = EnhancedCTImageStorage
    made.ImageType = ["ORIGINAL", "PRIMARY", "VOLUME", "NONE"]
    for keyword in (
        "ImagePositionPatient",
        "ImageOrientationPatient",
        "PixelSpacing",
        "RescaleSlope",
        "RescaleIntercept",
        "ConvolutionKernel",
    ):
        delattr(made, keyword)
    frames = chest()[::-1]
    stored = frames.astype(np.int32) + 1024 + (np.arange(40) % 2)[:, None, None]
    made.NumberOfFrames = 40
    made.PixelData = stored.astype("<u2").tobytes()
    made.SharedFunctionalGroupsSequence = Sequence(
        [
            group(
                PixelMeasuresSequence={"PixelSpacing": [3.5, 3.5], "SliceThickness": 3},
                PlaneOrientationSequence={"ImageOrientationPatient": [1, 0, 0, 0, 1, 0]},
                CTReconstructionSequence={"ConvolutionKernel": "B70f"},
            )
        ]
    )
    made.PerFrameFunctionalGroupsSequence = Sequence(
        group(
            PlanePositionSequence={"ImagePositionPatient": [-168, -168, (39 - index) * STEP]},
            PixelValueTransformationSequence={"RescaleSlope": 1, "RescaleIntercept": -1024 - index % 2, "RescaleType": "HU"},
        )
        for index in range(40)
    )
    if compressed:
        made.compress(RLELossless, generate_instance_uid=False)
    return made


def group(**macros: dict[str, object]) -> Dataset:
    made = Dataset()
    for name, tags in macros.items():
        macro = Dataset()
        for keyword, value in tags.items():
            setattr(macro, keyword, value)
        setattr(made, name, Sequence([macro]))
    return made


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=80), st.sampled_from([b"", b"\xff\xd8", b"\xff\xd8\xff\xc3", b"\xff\x4f\xff\x51"]))
def test_any_code_stream_can_be_asked_for_its_size(data: bytes, start: bytes) -> None:
    found = declared(start + data)
    assert found is None or len(found) == 2
