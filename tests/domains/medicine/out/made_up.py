"""A small synthetic series with a planted identity, a picture with findings of every kind, statements; `stored` turns its images."""

from datetime import UTC, datetime

import numpy as np
from pydicom.dataset import Dataset

from sdx_domains.medicine.findings import Finding, Size, Slices
from sdx_domains.medicine.picture import Measurements, MedicinePicture, Saw, Statement
from sdx_domains.medicine.volume import Series, StudyFacts, Volume

SLICES, ROWS, COLUMNS = 12, 40, 48
MADE = datetime(2026, 3, 4, 5, 6, 7, tzinfo=UTC)
SECRETS = ("HONG", "GILDONG", "홍길동", "PID-77", "ACC-12", "19610203")
AXIAL = (1, 0, 0, 0, 1, 0)


def header(orientation=AXIAL) -> Dataset:
    made = Dataset()
    made.SpecificCharacterSet = "ISO_IR 192"
    made.SOPClassUID, made.Modality = "1.2.840.10008.5.1.4.1.1.2", "CT"
    made.PatientName, made.PatientID, made.PatientBirthDate, made.PatientSex = "HONG^GILDONG=홍^길동", "PID-77", "19610203", "M"
    made.AccessionNumber, made.StudyID, made.StudyDate, made.StudyTime = "ACC-12", "7", "20260301", "101112"
    made.ReferringPhysicianName = "KIM^A"
    made.StudyInstanceUID, made.SeriesInstanceUID, made.FrameOfReferenceUID = "1.2.826.1", "1.2.826.1.2", "1.2.826.1.9"
    made.SOPInstanceUID = "1.2.826.1.2.1"
    made.Rows, made.Columns = (ROWS, COLUMNS) if abs(orientation[0]) else (COLUMNS, ROWS)
    made.PixelSpacing, made.SliceThickness = [2.0, 2.0], 5.0
    made.ImageOrientationPatient = list(orientation)
    made.ImagePositionPatient = corner(orientation)
    made.PatientPosition, made.PositionReferenceIndicator = "HFS", ""
    return made


def corner(orientation) -> list[float]:
    """Where the first stored pixel lies: at the end from which the stored rows and columns run."""
    row, column = np.array(orientation[:3]), np.array(orientation[3:])
    way = row + column
    return [-48.0 if way[0] > 0 else -48.0 + 2.0 * (COLUMNS - 1), -40.0 if way[1] > 0 else -40.0 + 2.0 * (ROWS - 1), 100.0]


def series(orientation=AXIAL) -> Series:
    rng = np.random.default_rng(5)
    hu = rng.integers(-900, -700, (SLICES, ROWS, COLUMNS)).astype(np.int16)
    hu[5:8, 10:16, 6:12] = 40  # a nodule in the patient's right, front
    hu[0:3, 30:38, 34:44] = 8  # fluid in the left, back, base
    volume = Volume(hu=hu, spacing_mm=(5.0, 2.0, 2.0), origin_lps_mm=(-48.0, -40.0, 100.0), z_mm=100.0 + 5.0 * np.arange(SLICES))
    facts = StudyFacts(
        study_uid="2.25.11", series_uid="2.25.12", slice_uids=tuple(f"2.25.12{n:02d}" for n in range(SLICES)), slices=SLICES,
        spacing_mm=(5.0, 2.0, 2.0), thickness_mm=5.0, age_years=65, sex="M",
    )  # fmt: skip
    return Series(volume=volume, facts=facts, header=header(orientation), sop_uids=tuple(f"1.2.826.1.2.{n + 1}" for n in range(SLICES)))


def findings() -> tuple[Finding, ...]:
    def of(name: str, label: str, key: int, **more) -> Finding:
        slices = Slices(first=max(key - 1, 0), last=key + 1, key=key, key_uid=f"2.25.12{key:02d}")
        box = more.pop("box", (-36.0, -20.0, 125.0, -26.0, -10.0, 135.0))
        middle = tuple((box[n] + box[n + 3]) / 2 for n in range(3))
        rest = {"laterality": "n/a", "zone": "n/a", "lobe": "n/a", "probability": 0.9, "found_by": "both", **more}
        return Finding(id=name, label=label, slices=slices, centroid_lps_mm=middle, bbox_lps_mm=box, **rest)

    return (
        of("F1", "nodule", 6, laterality="right", zone="mid", lobe="RML", size=Size(long_mm=12.4, short_mm=9.8, volume_ml=0.71), hu_mean=41.0,
           descriptors=("solid",)),
        of("F2", "pleural_effusion", 1, laterality="left", measure={"fluid_ml": 320.0}, descriptors=("moderate",),
           size=Size(long_mm=80.0, short_mm=30.0, volume_ml=320.0), box=(20.0, 20.0, 100.0, 40.0, 36.0, 110.0)),
        of("F3", "emphysema", 9, laterality="bilateral", zone="diffuse", measure={"emphysema_index_pct": 12.3}),
        of("F4", "cardiomegaly", 3, laterality="n/a", measure={"cardiothoracic_ratio": 0.58}, found_by="measurement"),
        of("F5", "septal_thickening", 4, laterality="left", zone="lower", lobe="LLL", probability=0.5, found_by="encoder"),
        of("F6", "consolidation", 4, laterality="left", zone="lower", lobe="LLL", probability=0.05, found_by="encoder"),
    )  # fmt: skip


def picture(found: tuple[Finding, ...] | None = None) -> MedicinePicture:
    saw = Saw(handle="ab12", model="sdx-ct-test", model_sha256="ab" * 32, probability={"nodule": 0.9, "mass": 0.01}, unlike_training=0.4)
    measured = Measurements(
        lung_volume_ml=(2100.0, 1800.0), emphysema_index_pct=12.3, cardiothoracic_ratio=0.58, pleural_fluid_ml=(0.0, 320.0)
    )
    return MedicinePicture(t_s=0.0, study=series().facts, measured=measured, saw=saw, findings=findings() if found is None else found)


def statements(seen: MedicinePicture) -> tuple[Statement, ...]:
    said = {"septal_thickening": "uncertain", "consolidation": "no"}
    return tuple(Statement.model_validate({"finding": each, "present": said.get(each.label, "yes")}) for each in seen.findings)
