"""What a public vision-language model says of a study, beside what is measured. Start at opinion(). It enters no case and no report."""

from collections.abc import Mapping
from dataclasses import dataclass

from sdx_agents.reading.drafting import Drafter
from sdx_domains.contract import Language
from sdx_domains.medicine.findings import Presence
from sdx_domains.medicine.language.labeller import label
from sdx_domains.medicine.language.prompting import report_messages
from sdx_domains.medicine.measure.thresholds import thresholds
from sdx_domains.medicine.volume import Series
from sdx_serving.vision.marks import mark
from sdx_serving.vision.public import PictureChat

MOST_TOKENS = 1024
BLOBS = ("nodule", "mass")
"""Measured by their shape, without a row among the thresholds."""


@dataclass(frozen=True, slots=True)
class Beside:
    """One label."""

    says: Presence
    measured: Presence | None
    """By this project's code; None: code alone does not look for it."""

    @property
    def differs(self) -> bool:
        return self.measured is not None and "no" in (self.says, self.measured) and self.says != self.measured


@dataclass(frozen=True, slots=True)
class Opinion:
    """A public model's words and how they stand to the measurements."""

    text: str
    model: str
    labels: Mapping[str, Beside]
    """Those that either of the two has, in the order of the table; empty after a question."""


def opinion(
    series: Series, model: PictureChat, drafter: Drafter, language: Language, question: str = "", deadline_s: float = 300.0
) -> Opinion:
    """Show the study to the model and ask for a report, or a question.

    Raises:
        ChatError: the model cannot be asked, or did not answer in time.
    """
    volume = series.volume
    handle = model.look(volume.hu, volume.spacing_mm, volume.z_mm)
    answer = model.complete(report_messages(mark(handle), language, question), None, MOST_TOKENS, 0.0, deadline_s)
    beside = {} if question else _beside(label(answer.text), drafter, series)
    return Opinion(answer.text, answer.model or model.preset.title, beside)


def _beside(says: Mapping[str, Presence], drafter: Drafter, series: Series) -> dict[str, Beside]:
    measured: dict[str, Presence] = dict.fromkeys((*thresholds().measured, *BLOBS), "no")
    measured |= {each.finding.label: each.present for each in drafter.draft_of(series).statements}
    rows = {key: Beside(said, measured.get(key)) for key, said in says.items()}
    return {key: row for key, row in rows.items() if row.says != "no" or row.measured not in ("no", None)}
