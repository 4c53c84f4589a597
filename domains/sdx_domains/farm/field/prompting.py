"""The field as a short prompt, the answer's JSON schema, and the way back. Nothing from outside enters a prompt but computed numbers."""

from collections.abc import Sequence
from functools import cache
from importlib.resources import files
from typing import Any, Literal

import yaml
from pydantic import Field

from sdx_domains.answers import one_line, parsed
from sdx_domains.contract import Closed, Language, Passage, Proposal
from sdx_domains.farm.field.figures import fill, known
from sdx_domains.farm.field.picture import FieldOption, FieldPicture
from sdx_domains.farm.field.planner import best
from sdx_domains.farm.figures import printed

CONFIDENCE = {"high": 0.9, "medium": 0.7, "low": 0.4}
LEAST_LOSS = 1.0
"""$/ha that is shown at least for an option that is not the best: two that print alike would leave the choice to chance."""


class Answer(Closed):
    """What the model writes; its reason names its figures."""

    option: str
    reason: str = Field(min_length=1, max_length=900)
    confidence: Literal["high", "medium", "low"]
    needs_human: bool


@cache
def prompts() -> dict[str, Any]:
    """prompts/irrigate.yaml."""
    return yaml.safe_load((files(__package__ or "") / "prompts/irrigate.yaml").read_text(encoding="utf-8"))


def messages(
    picture: FieldPicture, options: Sequence[FieldOption], passages: Sequence[Passage], language: Language
) -> list[dict[str, str]]:
    """Chat messages that ask for a decision; passages are cited by address."""
    lines = [*_facts(picture), *_option_lines(options)]
    if passages:
        lines.append("rules " + " ".join(passage.id for passage in passages))
    return [{"role": "system", "content": prompts()["decide"][language]}, {"role": "user", "content": "\n".join(lines)}]


def question_messages(picture: FieldPicture, text: str, language: Language) -> list[dict[str, str]]:
    """Chat messages that ask a person's question; it is cut and cleaned of control characters."""
    clean = one_line(text)
    lines = [*_facts(picture), f"question: {clean}"]
    return [{"role": "system", "content": prompts()["question"][language]}, {"role": "user", "content": "\n".join(lines)}]


def _facts(picture: FieldPicture) -> list[str]:
    figures = known(picture)
    rows = (
        " ".join(f"{name} {printed(figures[name].value, figures[name].kind)}" for name in row if name in figures)
        for row in prompts()["facts"]
    )
    alarms = " ".join(sorted({alarm.kind for alarm in picture.alarms})) or "-"
    return [f"stage {picture.stage} alarms {alarms} data {'unfit' if picture.unfit else 'fit'}", *(row for row in rows if row)]


def _option_lines(options: Sequence[FieldOption]) -> list[str]:
    chosen = best(options) if options else None
    lines = []
    for option in options:
        out = option.outcome
        loss = 0.0 if chosen is None or option is chosen else max(chosen.outcome.value_usd_ha - out.value_usd_ha, LEAST_LOSS)
        lines.append(f"{option.id} {option.label} loss {loss:.0f} yield {out.yield_pct:.1f} water {out.season_mm:.0f}")
    return lines


def answer_schema(options: Sequence[FieldOption]) -> dict[str, Any]:
    """JSON schema of the answer; option ids are enumerated."""
    properties = {
        "option": {"enum": [option.id for option in options]},
        "reason": {"type": "string"},
        "confidence": {"enum": list(CONFIDENCE)},
        "needs_human": {"type": "boolean"},
    }
    return {"type": "object", "properties": properties, "required": list(properties), "additionalProperties": False}


def read_answer(text: str, picture: FieldPicture, options: Sequence[FieldOption]) -> Proposal:
    """Parse the model's JSON. ValueError names the field, the value and what was expected."""
    answer = parsed(Answer, text)
    chosen = next((option for option in options if option.id == answer.option), None)
    if chosen is None:
        raise ValueError(f"option: {answer.option!r} was not offered; offered: {', '.join(option.id for option in options)}")
    return Proposal(
        option_id=answer.option, reason=fill(answer.reason, picture, chosen), confidence=CONFIDENCE[answer.confidence],
        needs_human=answer.needs_human,
    )  # fmt: skip
