"""A phantom with the reports that are right for it, English and Korean, rendered from its truth. Start at pair()."""

from dataclasses import dataclass

from sdx_domains.medicine.labels import labels
from sdx_domains.medicine.language.render import render as report_of
from sdx_domains.medicine.phantom.render import TRAINING_SPACING_MM, Phantom, render
from sdx_domains.medicine.phantom.scene import scene
from sdx_domains.medicine.picture import Measurements, MedicinePicture, Saw, Statement
from sdx_domains.medicine.report import Report


@dataclass(frozen=True, slots=True)
class Pair:
    """Volume and reports of one patient."""

    phantom: Phantom
    picture: MedicinePicture
    en: Report
    ko: Report


def pair(seed: int, spacing_mm: tuple[float, float, float] = TRAINING_SPACING_MM) -> Pair:
    """Drafts that state every finding of the truth and nothing else."""
    return paired(render(scene(seed), spacing_mm))


def paired(phantom: Phantom) -> Pair:
    """The same of a phantom at hand."""
    there = {each.label for each in phantom.truth}
    known = {each.key: float(each.key in there) for each in labels()}  # all is looked for, so that what is not there is denied
    saw = Saw(handle=f"phantom-{phantom.scene.seed}", model="truth", model_sha256="", probability=known, unlike_training=0.0)
    picture = MedicinePicture(t_s=0.0, study=phantom.facts, measured=Measurements(), saw=saw, findings=phantom.truth)
    statements = [Statement(finding=each, present="yes") for each in phantom.truth]
    return Pair(phantom, picture, report_of(picture, statements, "en", "draft"), report_of(picture, statements, "ko", "draft"))
