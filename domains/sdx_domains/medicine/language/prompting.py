"""Picture and candidates as a short prompt, the answer's JSON schema, and the way back.

Nothing from outside enters a prompt: facts are computed figures under their names, all else words of closed lists. The images stand as
`<ct:HANDLE>`, which the engine replaces by the visual tokens of that volume. A person's question is cut and cleaned.
"""

import json
import re
from collections.abc import Mapping, Sequence
from functools import cache
from importlib.resources import files
from typing import Any, Literal

import yaml
from pydantic import Field

from sdx_domains.answers import one_line, parsed
from sdx_domains.contract import Closed, Language, Passage, Proposal, Understanding
from sdx_domains.medicine.findings import Finding, Presence
from sdx_domains.medicine.language.compare import changes
from sdx_domains.medicine.language.figures import fill, measured
from sdx_domains.medicine.picture import DRAFT, Candidate, MedicinePicture, Statement

CONFIDENCE = {"high": 0.9, "medium": 0.7, "low": 0.4}
PRESENCES: tuple[Presence, ...] = ("yes", "uncertain", "no")
REASON_CHARS = 600
_HANDLE = re.compile(r"[0-9A-Za-z_-]{1,64}")


class Answer(Closed):
    """What the model writes. No number is its own: the reason names its figures, see figures.py."""

    findings: Mapping[str, Presence]
    impression: tuple[str, ...]
    confidence: Literal["high", "medium", "low"]
    needs_human: bool
    reason: str = Field(min_length=1, max_length=REASON_CHARS)


@cache
def prompts() -> dict[str, Any]:
    """prompts/read.yaml."""
    return yaml.safe_load((files(__package__ or "") / "prompts/read.yaml").read_text(encoding="utf-8"))


def messages(
    picture: MedicinePicture, options: Sequence[Candidate], passages: Sequence[Passage], language: Language
) -> list[dict[str, str]]:
    """Chat messages that ask for a reading. Passages stay with the audit record: code cites them."""
    found = [option.finding for option in options if option.finding is not None]
    lines = [*image_lines(picture), *study_lines(picture), *candidate_lines(found)]
    return [{"role": "system", "content": prompts()["decide"][language]}, {"role": "user", "content": "\n".join(lines)}]


def question_messages(picture: MedicinePicture, text: str, language: Language) -> list[dict[str, str]]:
    """Chat messages that ask a person's question about the study; with a prior, what became of each finding is among the facts."""
    lines = [*image_lines(picture), *study_lines(picture), *candidate_lines(picture.findings), *change_lines(picture)]
    return [
        {"role": "system", "content": prompts()["question"][language]},
        {"role": "user", "content": "\n".join([*lines, f"question: {one_line(text)}"])},
    ]


def report_messages(mark: str, language: Language, question: str = "") -> list[dict[str, str]]:
    """Chat messages that ask a public model, which is shown pictures where `mark` stands, for a report or an answer."""
    asked = one_line(question) or prompts()["report"][language]
    return [{"role": "user", "content": f"{mark}\n{asked}"}]


def image_lines(picture: MedicinePicture) -> list[str]:
    """What stands for the visual tokens. ValueError for a handle that is no plain word: it would be read as something else."""
    if picture.saw is None:
        return []
    if not _HANDLE.fullmatch(picture.saw.handle):
        raise ValueError(f"handle {picture.saw.handle!r} is no word of letters, digits, - and _")
    return [f"<ct:{picture.saw.handle}>"]


def study_lines(picture: MedicinePicture) -> list[str]:
    """Facts of the study and what was measured of the whole chest, by name and without units."""
    study = picture.study
    contrast = "unknown" if study.contrast is None else "yes" if study.contrast else "no"
    age = "unknown" if study.age_years is None else str(study.age_years)
    first = f"study slices {study.slices} kernel {study.kernel} contrast {contrast} age {age} sex {study.sex or 'unknown'}"
    first += f" cut {study.coverage.removeprefix('lungs cut at ')}" if study.coverage != "complete" else ""
    first += " unlike_training" if picture.saw is not None and picture.saw.unlike_training > 1.0 else ""
    figures = measured(picture.measured)
    told = [f"{name} {figures[name].value:.{figures[name].decimals}f}" for name in prompts()["measured"] if name in figures]
    return [first, *([f"measured {' '.join(told)}"] if told else [])]


def candidate_lines(found: Sequence[Finding]) -> list[str]:
    """A line each: "F1 nodule right RUL upper 8x6 p 91"; beyond most_candidates shorter."""
    most = prompts()["most_candidates"]
    lines = [candidate_line(finding) for finding in found[:most]]
    rest = [f"{finding.id} {finding.label} p {100.0 * finding.probability:.0f}" for finding in found[most:]]
    return [*lines, *rest] or ["no candidates"]


def candidate_line(finding: Finding) -> str:
    where = [word for word in (finding.laterality, finding.lobe, finding.zone) if word != "n/a"]
    size = [f"{finding.size.long_mm:.0f}x{finding.size.short_mm:.0f}"] if finding.size else []
    count = [f"n {finding.count}"] if finding.count > 1 else []
    words = [finding.id, finding.label, *where, *size, *count, f"p {100.0 * finding.probability:.0f}", finding.found_by[:4]]
    return " ".join(words)


def change_lines(picture: MedicinePicture) -> list[str]:
    """ "prior 92 days" and what became of each candidate since."""
    if picture.prior is None:
        return ["prior none"]
    told = changes(picture, [Statement(finding=finding, present="yes") for finding in picture.findings])
    words = [f"{change.now.id} {change.kind}" for change in told if change.now]
    words += [f"resolved {change.before.label}" for change in told if change.kind == "resolved" and change.before]
    return [f"prior {picture.prior.days_before} days: {', '.join(words) or 'nothing'}"]


def answer_schema(picture: MedicinePicture, options: Sequence[Candidate]) -> dict[str, Any]:
    """JSON schema of the answer to this very prompt: a presence for each candidate, ids enumerated."""
    return schema_for([option.finding.id for option in options if option.finding is not None])


def schema_for(ids: Sequence[str]) -> dict[str, Any]:
    """The schema for these finding ids; the order of its keys is the order of the answer."""
    each = {
        "type": "object",
        "properties": {name: {"enum": list(PRESENCES)} for name in ids},
        "required": list(ids),
        "additionalProperties": False,
    }
    listed: dict[str, Any] = {"type": "array", "items": {"enum": list(ids)}, "maxItems": len(ids)} if ids else {"enum": [[]]}
    properties = {
        "findings": each,
        "impression": listed,
        "confidence": {"enum": list(CONFIDENCE)},
        "needs_human": {"type": "boolean"},
        "reason": {"type": "string"},
    }
    return {"type": "object", "properties": properties, "required": list(properties), "additionalProperties": False}


def write_answer(proposal: Proposal, picture: MedicinePicture) -> str:
    """The JSON text that a model should have written; findings in the picture's order, impression in the proposal's."""
    said = {item.subject: item.role for item in proposal.understanding}
    answer = {
        "findings": {finding.id: said[finding.id] for finding in picture.findings if finding.id in said},
        "impression": [item.subject for item in proposal.understanding if item.role != "no"],
        "confidence": next((word for word, value in CONFIDENCE.items() if proposal.confidence >= value), "low"),
        "needs_human": proposal.needs_human,
        "reason": proposal.reason,
    }
    return json.dumps(answer, ensure_ascii=False, separators=(",", ":"))


def read_answer(text: str, picture: MedicinePicture, options: Sequence[Candidate]) -> Proposal:
    """Parse the model's JSON; the understanding comes in the order of its impression, then what that leaves out, then what is denied.

    The impression orders and decides nothing: an id in it that is answered no stays denied.

    Raises ValueError that names the field, the value and what was expected.
    """
    answer = parsed(Answer, text)
    kinds = {option.finding.id: option.finding.label for option in options if option.finding is not None}
    if wrong := sorted(answer.findings.keys() ^ kinds.keys()):
        raise ValueError(f"findings: {', '.join(wrong)} missing or not offered; offered: {', '.join(kinds) or 'none'}")
    if strange := [name for name in answer.impression if name not in kinds]:
        raise ValueError(f"impression: {strange[0]!r} was not offered; offered: {', '.join(kinds) or 'none'}")
    stated = [name for name, present in answer.findings.items() if present != "no"]
    order = dict.fromkeys([*(name for name in answer.impression if name in stated), *stated, *kinds])
    return Proposal(
        option_id=DRAFT,
        understanding=tuple(Understanding(subject=name, kind=kinds[name], role=answer.findings[name]) for name in order),
        reason=fill(answer.reason, picture),
        confidence=CONFIDENCE[answer.confidence],
        needs_human=answer.needs_human,
    )
