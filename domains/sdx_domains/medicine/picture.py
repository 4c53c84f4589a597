"""What is known of a study before anybody decides: facts, measurements, label probabilities and measured candidate findings."""

from collections.abc import Mapping

from pydantic import Field

from sdx_domains.contract import Closed, Option, Picture
from sdx_domains.medicine import NAME
from sdx_domains.medicine.findings import Finding, Presence
from sdx_domains.medicine.volume import StudyFacts

PRESENCE: Mapping[Presence, float] = {"yes": 1.0, "uncertain": 0.5, "no": 0.0}
"""How an order says in numbers what becomes of a finding."""
DRAFT = "D"
"""Id of the option that stands for the draft as a whole."""


class Measurements(Closed):
    """Of the whole chest, by code; None where it could not be measured (why: in the picture's faults)."""

    lung_volume_ml: tuple[float, float] | None = None
    """(right, left)."""
    lung_mean_hu: float | None = None
    emphysema_index_pct: float | None = None
    """Share of lung at or below -950 HU (Gevenois et al. 1996)."""
    cardiothoracic_ratio: float | None = None
    coronary_calcium_ml: float | None = None
    arterial_calcium_ml: float | None = None
    pleural_fluid_ml: tuple[float, float] | None = None
    pericardial_fluid_mm: float | None = None
    pneumothorax_ml: tuple[float, float] | None = None
    metal_ml: float | None = None
    aorta_ascending_mm: float | None = None
    pulmonary_trunk_mm: float | None = None


class Saw(Closed):
    """What the encoder says, in the picture's terms."""

    handle: str
    model: str
    model_sha256: str
    probability: Mapping[str, float]
    """By label key."""
    unlike_training: float = Field(ge=0.0)
    """How far this volume lies from what the encoder was trained on; see assure/thresholds.yaml."""
    trained_on: str = ""
    """evidence.PHANTOMS where it never saw a patient; "" where nothing is said."""


class Prior(Closed):
    """An earlier study of the same patient in this reading room, for comparison."""

    study_uid: str
    days_before: int = Field(ge=0)
    findings: tuple[Finding, ...]


class MedicinePicture(Picture):
    """One study. `salience` is empty: a study does not change; a new series or a new prior makes a new picture."""

    domain: str = NAME
    study: StudyFacts
    measured: Measurements
    saw: Saw | None
    """None: no encoder; then only what code measures is proposed, and the draft says so."""
    findings: tuple[Finding, ...] = ()
    prior: Prior | None = None


class Candidate(Option):
    """A finding that may be stated, or (id DRAFT, no finding) the draft of all that is stated. setpoints: {finding id: PRESENCE}."""

    finding: Finding | None = None
    suggested: Presence = "no"
    """By the operating points of thresholds.yaml: what the planner says."""


class Statement(Closed):
    """What is said of one finding in a report, by whomever."""

    finding: Finding
    present: Presence
    note: str = ""
    """A radiologist's own words about it."""
