"""Is the answer in the passages at all? judge() says so with a probability; fit() learns its coefficients from known questions.

Questions near a topic are the hard ones: their words are in the documents, their answer is not. So what counts is not
only how much of the question the passages hold, but what is the weightiest thing that they lack.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from sdx_rag.evidence import Evidence, Reading
from sdx_rag.passages import Found
from sdx_rag.thresholds import Decision

FEATURES: Mapping[Reading, tuple[str, ...]] = {
    "read": ("held", "nearest", "similarity", "outside"),
    "translated": ("known", "held", "few", "similarity", "outside"),
    "words": ("known", "held", "few", "outside", "korean"),
}
"""Which features decide, by how the embedding model saw the question."""
_FEW = 3
RIDGE = 1.0
"""Of the coefficients, on standardised features: few questions, so no single one may decide."""


@dataclass(frozen=True, slots=True)
class Judgement:
    probability: float
    answerable: bool
    missing: tuple[str, ...]
    """The question's words that no document has."""


def judge(evidence: Evidence, found: Sequence[Found], decisions: Mapping[str, Decision]) -> Judgement:
    decision = decisions[evidence.reading]
    given = features(evidence, found)
    score = decision.intercept + sum(weight * given[name] for name, weight in decision.coefficients.items())
    probability = float(1 / (1 + np.exp(-score)))
    missing = tuple(term.text for term in evidence.terms if not term.known)
    return Judgement(probability, bool(found) and probability >= decision.threshold, missing)


def features(evidence: Evidence, found: Sequence[Found]) -> dict[str, float]:
    """Each between 0 and 1, by its name in thresholds.yaml."""
    whole = sum(term.weight for term in evidence.terms) or 1.0
    unknown = sum(term.weight for term in evidence.terms if not term.known) / whole
    best = sorted(evidence.held, reverse=True)[:_FEW] or [0.0]
    return {
        "held": best[0],
        "known": best[0] * (1 - unknown),
        "few": sum(best) / len(best),
        "nearest": max(((one.held + one.cosine) / 2 for one in evidence.sentences), default=0.0),
        "similarity": max((one.similarity or 0.0 for one in found), default=0.0),
        "outside": float(evidence.outside),
        "korean": float(evidence.language == "ko"),
    }


def fit(rows: Sequence[tuple[Mapping[str, float], bool]], names: Sequence[str], refused: float) -> Decision:
    """Coefficients by ridge logistic regression (Newton's method); the threshold so that this share of the unanswerable is refused
    when every question is judged by coefficients learnt without it.

    Raises:
        ValueError: only one kind of question is there.
    """
    answerable = np.array([float(label) for _, label in rows])
    if not 0 < answerable.sum() < len(rows):
        raise ValueError("questions with an answer and questions without one are needed to tell them apart")
    given = np.array([[row[name] for name in names] for row, _ in rows])
    left_out = np.array([_probability(_regressed(np.delete(given, i, 0), np.delete(answerable, i)), given[i]) for i in range(len(rows))])
    wrong = np.sort(left_out[answerable == 0])
    threshold = float(wrong[min(len(wrong) - 1, int(np.ceil(refused * len(wrong))) - 1)]) + 1e-4
    intercept, weights = _regressed(given, answerable)
    return Decision(
        intercept=round(float(intercept), 4),
        coefficients={name: round(float(weight), 4) for name, weight in zip(names, weights, strict=True)},
        threshold=round(min(threshold, 1.0), 4),
    )


def _probability(model: tuple[float, np.ndarray], row: np.ndarray) -> float:
    return float(1 / (1 + np.exp(-(model[0] + row @ model[1]))))


def _regressed(given: np.ndarray, answerable: np.ndarray) -> tuple[float, np.ndarray]:
    """Intercept and weights on the features as they are. Both kinds of question count alike, however many there are of each."""
    mean, spread = given.mean(0), given.std(0) + 1e-9
    rows = np.column_stack([np.ones(len(given)), (given - mean) / spread])
    counts = np.where(answerable == 1, 0.5 / answerable.mean(), 0.5 / (1 - answerable.mean()))
    ridge = RIDGE * np.diag([0.0, *[1.0] * given.shape[1]])
    weights = np.zeros(rows.shape[1])
    for _ in range(50):
        probability = 1 / (1 + np.exp(-rows @ weights))
        slope = rows.T @ (counts * (probability - answerable)) + ridge @ weights
        curvature = (rows * (counts * probability * (1 - probability))[:, None]).T @ rows + ridge
        step = np.linalg.solve(curvature, slope)
        weights = weights - step
        if np.abs(step).max() < 1e-8:
            break
    scaled = weights[1:] / spread
    return float(weights[0] - scaled @ mean), scaled
