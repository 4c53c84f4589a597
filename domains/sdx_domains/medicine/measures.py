"""What is measured of this domain by itself, by name; each loads what it needs when it is asked for. Drafts of phantoms need a model: sdx_agents."""

from collections.abc import Callable, Mapping
from typing import Any

from sdx_domains.contract import Measuring


def assurance(asked: Measuring) -> dict[str, Any]:
    """Errors planted in reports, English and Korean: how many are caught, how many sound reports are blamed."""
    from sdx_domains.medicine.assure.trial import assurance

    return assurance(asked)


def privacy(asked: Measuring) -> dict[str, Any]:
    """Identity planted in tags, private tags, UIDs, nested sequences and free text: what of it is left."""
    from sdx_domains.medicine.privacy.trial import privacy_trial

    return privacy_trial(asked)


def labeller(asked: Measuring) -> dict[str, Any]:
    """The labeller on a folder of reports with labels. ValueError without a folder."""
    from sdx_domains.medicine.label_files import score_folder

    if asked.folder is None:
        raise ValueError("the labeller is measured on reports with labels: give the folder of their CSV files with --dir")
    return score_folder(asked.folder)


MEASURES: Mapping[str, Callable[[Measuring], dict[str, Any]]] = {"assurance": assurance, "privacy": privacy, "labeller": labeller}
