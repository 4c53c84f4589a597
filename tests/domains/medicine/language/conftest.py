"""Fixtures `found(...)`, `study(findings, ...)`, `sentences(name)`: findings and pictures made by hand, sentences with what they say."""

from pathlib import Path

import pytest
import yaml

from sdx_domains.medicine.findings import Finding, Size, Slices
from sdx_domains.medicine.labels import label, labels
from sdx_domains.medicine.picture import Measurements, MedicinePicture, Saw
from sdx_domains.medicine.volume import StudyFacts

SLICES = 128


def make(name="F1", key="nodule", side="right", zone="upper", lobe="RUL", mm=None, at=(-60.0, 0.0, 100.0), place=40, **more):
    kind = label(key)
    return Finding(
        id=name,
        label=key,
        laterality=side if kind.sided else "n/a",
        zone=zone if kind.zoned else "n/a",
        lobe=lobe if kind.zoned else "n/a",
        slices=Slices(first=place - 4, last=place + 4, key=place, key_uid=f"2.25.{place}"),
        centroid_lps_mm=at,
        bbox_lps_mm=(*at, *at),
        size=Size(long_mm=mm[0], short_mm=mm[1], volume_ml=0.5) if mm else None,
        **{"probability": 0.9, "found_by": "both", **more},
    )


def picture_of(findings=(), measured=None, prior=None, seen=True, **facts):
    study = StudyFacts(
        **{
            "study_uid": "2.25.1",
            "series_uid": "2.25.2",
            "slice_uids": tuple(f"2.25.{n}" for n in range(SLICES)),
            "slices": SLICES,
            "spacing_mm": (2.0, 0.7, 0.7),
            "kernel": "soft",
            "contrast": False,
            "age_years": 60,
            "synthetic": True,
            **facts,
        }
    )
    saw = Saw(
        handle="abc123",
        model="sdx-ct",
        model_sha256="ab" * 32,
        probability={kind.key: 0.1 for kind in labels()},
        unlike_training=0.4,
        trained_on="phantoms",
    )
    return MedicinePicture(
        t_s=0.0, study=study, measured=measured or Measurements(), saw=saw if seen else None, findings=tuple(findings), prior=prior
    )


@pytest.fixture(scope="session")
def found():
    return make


@pytest.fixture(scope="session")
def study():
    return picture_of


@pytest.fixture(scope="session")
def sentences():
    """File name -> [(text, {label: presence})]."""

    def read(name):
        folder = Path(__file__).parent
        short = yaml.safe_load((folder / "sentences.yaml").read_text(encoding="utf-8"))["abbreviations"]
        book = yaml.safe_load((folder / f"{name}.yaml").read_text(encoding="utf-8"))
        said = []
        for text, wanted in book["sentences"]:
            words = [word.strip() for word in wanted.split(",") if word.strip()]
            said.append((text, {short[word.rstrip("?")]: "uncertain" if word.endswith("?") else "yes" for word in words}))
        return said

    return read
