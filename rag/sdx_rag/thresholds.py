"""The numbers that decide what is answered: thresholds.yaml, written by abstain.fit() from questions that are not the gold set."""

from collections.abc import Mapping
from pathlib import Path

import yaml
from pydantic import Field

from sdx_rag.settings import home
from sdx_serving.closed import Closed, from_yaml

SHIPPED = Path(__file__).parent / "thresholds.yaml"


class Extraction(Closed):
    """What makes a sentence an answer, each between 0 and 1 before its weight."""

    held: float
    """Share of the question's terms in the sentence."""
    cosine: float
    passage: float
    """Share of the question's terms in the whole passage."""
    rank: float
    """1 / rank of the passage."""
    figure: float
    """A figure is asked for, and one is there."""
    language: float
    """In the language of the question."""
    keep: float = Field(gt=0.0, le=1.0)
    """Sentences that score this share of the best are kept too."""
    most: int = Field(ge=1)


class Decision(Closed):
    """Logistic regression over the features of abstain.py."""

    intercept: float
    coefficients: Mapping[str, float]
    threshold: float = Field(ge=0.0, le=1.0)
    """Least probability that is answered."""


class Thresholds(Closed):
    """thresholds.yaml."""

    passages: int = Field(ge=1)
    """How many are read for an answer."""
    order: float = Field(ge=0.0)
    """What the share of the question's terms in a passage adds to its score of the search."""
    extraction: Extraction
    decisions: Mapping[str, Decision]
    """By how the embedding model saw the question, see evidence.Reading."""


def own() -> Path:
    """The user's, fitted to questions of their own; in place of the shipped ones where it is there."""
    return home() / "thresholds.yaml"


def read() -> Thresholds:
    return from_yaml(Thresholds, own() if own().exists() else SHIPPED)


def write(thresholds: Thresholds, path: Path, made_by: str) -> None:
    """Whole or not at all."""
    beside = path.with_suffix(".part")
    said = yaml.safe_dump(thresholds.model_dump(mode="json"), sort_keys=False, allow_unicode=True, width=140)
    beside.write_text(f"# What is answered and what is refused. {made_by}\n{said}", encoding="utf-8")
    beside.replace(path)
