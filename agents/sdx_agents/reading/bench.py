"""What `sdx bench medicine` measures of drafts: phantoms judged by their report's text, and how long a series takes. Start at phantoms()."""

import resource
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from sdx_agents.bench import commit
from sdx_agents.kept import Kept
from sdx_agents.reading import trial
from sdx_agents.reading.drafting import Drafter
from sdx_domains.contract import Measuring
from sdx_domains.medicine.language.render import render
from sdx_domains.medicine.phantom.render import render as drawn
from sdx_domains.medicine.phantom.scene import SEEDS, scene
from sdx_domains.medicine.phantom.write import write_dicom
from sdx_domains.medicine.privacy.vault import Vault
from sdx_serving.vision.client import open_reader

FULL_MM, FULL_PIXELS = (1.0, 0.7, 0.7), (512, 512)
FULL_SLICES = 300
"""The series that the bar of the product's speed speaks of."""


def phantoms(asked: Measuring) -> dict[str, Any]:
    """Held-out phantoms from seed on, judged by what a labeller reads in the report; goes on from the cases of `--keep`."""
    with _drafter(asked) as drafter:
        found = trial.phantoms(drafter, asked.count or trial.COUNT, asked.seed, asked.say, _kept(asked, "phantoms"))
    return {"model": asked.model, **found}


def calibration(asked: Measuring) -> dict[str, Any]:
    """Rows for assure/thresholds.yaml, from tuning phantoms; `--keep` as for phantoms()."""
    with _drafter(asked) as drafter:
        found = trial.calibration(drafter, asked.count or trial.COUNT, asked.seed, asked.say, _kept(asked, "calibration"))
    return {"model": asked.model, **found}


def _kept(asked: Measuring, suite: str) -> Kept | None:
    """Not told apart by seed: a case is named by its own."""
    return Kept(asked.kept, {"suite": suite, "model": asked.model, "commit": commit()}) if asked.kept else None


def speed(asked: Measuring) -> dict[str, Any]:
    """A DICOM series of FULL_SLICES on disk to its draft in both languages, `count` times: seconds of each step, and peak memory."""
    place = SEEDS["held-out"].start + asked.seed
    with TemporaryDirectory() as folder, _drafter(asked) as drafter:
        asked.say(f"drawing {FULL_SLICES} slices of {FULL_PIXELS[0]} x {FULL_PIXELS[1]}")
        patient = scene(place)
        low = patient.z_range_mm[0]
        write_dicom(drawn(patient, FULL_MM, FULL_PIXELS, z_range_mm=(low, low + FULL_SLICES * FULL_MM[0])), Path(folder) / "study")
        runs = [_timed(drafter, Path(folder) / "study", asked) for _ in range(asked.count or 3)]
    peak_mb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return {
        "model": asked.model,
        "slices": FULL_SLICES,
        "runs": runs,
        "peak_rss_mb": round(peak_mb),
        "best_s": min(run["total"] for run in runs),
    }


def _timed(drafter: Drafter, study: Path, asked: Measuring) -> dict[str, float]:
    began = time.perf_counter()
    draft = drafter.draft(study)
    read = time.perf_counter()
    for language in ("en", "ko"):
        render(draft.picture, draft.statements, language, "draft")
    ended = time.perf_counter()
    took = {**draft.seconds, "render": ended - read, "total": ended - began}
    asked.say(", ".join(f"{step} {seconds:.2f} s" for step, seconds in took.items()))
    return {step: round(seconds, 3) for step, seconds in took.items()}


@contextmanager
def _drafter(asked: Measuring) -> Iterator[Drafter]:
    with TemporaryDirectory() as folder:
        vault = Vault(Path(folder) / "vault")
        if asked.model == "none":
            yield Drafter(vault)
            return
        with open_reader(asked.model) as reader:
            yield Drafter(vault, reader)
