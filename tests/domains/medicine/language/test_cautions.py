"""What ingest warns of can be read in Korean too."""

import re

import numpy as np
import pytest

from sdx_domains.medicine.ingest import arrays, facts, read
from sdx_domains.medicine.ingest.geometry import Gaps
from sdx_domains.medicine.language.cautions import in_language
from sdx_domains.medicine.volume import Volume


def thick() -> Volume:
    return Volume(np.zeros((3, 4, 4), np.int16), (7.5, 1.0, 1.0), (0.0, 0.0, 0.0), np.arange(3) * 7.5)


def told(tmp_path) -> list[str]:
    np.savez(tmp_path / "bare.npz", volume=np.zeros(1))
    gaps = Gaps(spacing_mm=1.0, missing_mm=(12.5, -3.0), uneven=(1.0, 2.25))
    broken = read._broken_said(3, read._Found([], 0, ()))
    return [
        *facts.cautions(thick(), "lung", 5.0),
        *read._gaps_said(gaps),
        *broken,
        arrays._SILENT,
        arrays._NPZ_ASSUMED,
        *arrays._npz_spacing(tmp_path / "bare.npz", False)[1],
        "ImageType is missing: that these are original axial images is not said.",
    ]


def test_every_sentence_has_its_korean_with_the_same_figures(tmp_path) -> None:
    sentences = told(tmp_path)
    assert len(sentences) == 10
    for sentence in sentences:
        korean = in_language(sentence, "ko")
        assert re.search("[가-힣]", korean), sentence
        assert sorted(re.findall(r"-?\d+(?:\.\d+)?", korean)) == sorted(re.findall(r"-?\d+(?:\.\d+)?", sentence))
        assert in_language(sentence, "en") == sentence


@pytest.mark.parametrize("other", ["A sentence of tomorrow.", "", "Thick slices (5 mm)"])
def test_a_sentence_that_is_not_known_stays(other: str) -> None:
    assert in_language(other, "ko") == other
