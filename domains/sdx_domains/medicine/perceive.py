"""From a series and what an encoder saw in it to the picture: anatomy, measurements, candidate findings. No model, no file, no network."""

from collections.abc import Sequence
from typing import Any

from pydantic import ConfigDict, Field

from sdx_domains.contract import Fault, Reading
from sdx_domains.medicine import NAME
from sdx_domains.medicine.evidence import Evidence
from sdx_domains.medicine.picture import MedicinePicture, Prior, Saw
from sdx_domains.medicine.volume import Series, Volume


class StudyReading(Reading):
    """A study as it came in, with what the encoder saw; voxels stay in memory and are in no dump and no repr."""

    model_config = ConfigDict(extra="forbid", frozen=True, arbitrary_types_allowed=True)

    t_s: float = 0.0
    source: str = "dicom"
    series: Series = Field(exclude=True, repr=False)
    anatomy: Any = Field(default=None, exclude=True, repr=False)
    """measure.anatomy.Anatomy where it was worked out already."""
    evidence: Evidence | None = Field(default=None, exclude=True, repr=False)
    prior: Prior | None = None
    faults: tuple[Fault, ...] = ()


class MedicinePerceiver:
    """Holds the last study. A study does not change with time, so the picture is the same at any `now_s`."""

    def __init__(self) -> None:
        self._picture: MedicinePicture | None = None

    def take(self, readings: Sequence[Reading], now_s: float) -> MedicinePicture:
        """ValueError before the first study: there is nothing to see."""
        studies = [reading for reading in readings if isinstance(reading, StudyReading)]
        if studies:
            self._picture = see(studies[-1])
        if self._picture is None:
            raise ValueError("no study was read yet; give a StudyReading first")
        return self._picture


def see(study: StudyReading) -> MedicinePicture:
    """The picture of one study; the same study and evidence give the same picture."""
    from sdx_domains.medicine.candidates import find  # scipy takes a moment to load
    from sdx_domains.medicine.measure.measure import measure

    volume, facts, evidence = study.series.volume, study.series.facts, study.evidence
    anatomy = study.anatomy if study.anatomy is not None else outlined(volume)
    measured = measure(volume, anatomy)
    return MedicinePicture(
        domain=NAME,
        t_s=study.t_s,
        faults=study.faults,
        study=facts,
        measured=measured,
        saw=None if evidence is None else _saw(evidence),
        findings=find(volume, anatomy, measured, evidence, facts),
        prior=study.prior,
    )


def outlined(volume: Volume) -> Any:
    """The Anatomy of a volume with all in it that is measured without an encoder: work that can be done while one is looking."""
    from sdx_domains.medicine.measure.anatomy import segment
    from sdx_domains.medicine.measure.measure import measure
    from sdx_domains.medicine.measure.nodules import nodules

    anatomy = segment(volume)
    measure(volume, anatomy)
    nodules(volume, anatomy)
    return anatomy


def _saw(evidence: Evidence) -> Saw:
    return Saw(
        handle=evidence.handle,
        model=evidence.model,
        model_sha256=evidence.model_sha256,
        probability={key: round(value, 4) for key, value in evidence.probability.items()},
        unlike_training=round(evidence.unlike_training, 3),
        trained_on=evidence.trained_on,
    )
