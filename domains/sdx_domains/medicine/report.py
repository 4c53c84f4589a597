"""A report as data: sections of sentences that name their findings, impression, recommendations. Text is made from it, never the other way."""

from collections.abc import Iterable
from typing import Literal

from sdx_domains.contract import Closed, Language
from sdx_domains.medicine.labels import Region, Urgency

Status = Literal["draft", "in_review", "signed", "addendum"]


class Sentence(Closed):
    """One sentence of the findings. A positive one carries the ids of the findings that back it; a negative or a fixed one carries none."""

    text: str
    finding_ids: tuple[str, ...] = ()
    labels: tuple[str, ...] = ()
    """Label keys it speaks of, positive or negative."""


class Section(Closed):
    """Everything said under one heading."""

    region: Region
    heading: str
    sentences: tuple[Sentence, ...]


class ImpressionLine(Closed):
    """One numbered line, the most urgent first."""

    text: str
    finding_ids: tuple[str, ...]
    urgency: Urgency


class Recommendation(Closed):
    """What a published rule advises."""

    rule: Literal["Fleischner 2017", "Lung-RADS 2022", "critical"]
    category: str
    text: str
    finding_id: str


class Report(Closed):
    """One language's whole report; its twin in the other language says the same of the same findings."""

    language: Language
    technique: str
    comparison: str
    sections: tuple[Section, ...]
    impression: tuple[ImpressionLine, ...]
    recommendations: tuple[Recommendation, ...] = ()
    warnings: tuple[str, ...] = ()
    """Of the study and of the model's limits, for whoever reads."""
    statement: str
    """Research use, not a medical device; who or what wrote it; whether a radiologist has verified it."""

    def sentences(self) -> Iterable[Sentence]:
        for section in self.sections:
            yield from section.sentences

    def findings_text(self) -> str:
        """The findings alone, a line each section: what a labeller reads together with the impression."""
        return "\n".join(f"{section.heading}: {' '.join(each.text for each in section.sentences)}" for section in self.sections)

    def impression_text(self) -> str:
        return "\n".join(f"{number}. {line.text}" for number, line in enumerate(self.impression, 1))
