"""What may be said of a study: each candidate finding with what its evidence suggests, and the draft of all of them."""

from sdx_domains.medicine.assure.thresholds import carried_by_measurement
from sdx_domains.medicine.assure.verdict import beyond_training, planned
from sdx_domains.medicine.findings import Finding
from sdx_domains.medicine.labels import label
from sdx_domains.medicine.picture import DRAFT, PRESENCE, Candidate, MedicinePicture


def options(picture: MedicinePicture) -> tuple[Candidate, ...]:
    """A candidate for each finding of the picture, in its order, then the draft; deterministic."""
    suggested = planned(picture)
    each = [
        Candidate(
            id=finding.id,
            label=label(finding.label).name,
            setpoints={finding.id: PRESENCE[suggested[finding.id]]},
            flags=_flags(picture, finding),
            finding=finding,
            suggested=suggested[finding.id],
        )
        for finding in picture.findings
    ]
    stated = {finding.id: PRESENCE[suggested[finding.id]] for finding in picture.findings}
    return (*each, Candidate(id=DRAFT, label="the draft as a whole", setpoints=stated))


def _flags(picture: MedicinePicture, finding: Finding) -> tuple[str, ...]:
    """Why it should not be stated as certain."""
    flags = ["unlike the training data"] if beyond_training(picture) else []
    if finding.found_by == "encoder" and finding.size is None and not finding.measure:
        flags.append("nothing of it was measured")
    if finding.found_by == "measurement" and not carried_by_measurement(finding):
        flags.append("below what measurement alone may state")
    return tuple(flags)
