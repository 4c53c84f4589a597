"""Picture and plans as a short prompt, the answer's JSON schema, and the way back.

Nothing from outside enters a prompt: facts are computed numbers under the names of their figures, all else words of closed lists, so a
sensor's or an alarm's text cannot become an instruction. A person's question is cut and cleaned.
"""

import json
from collections.abc import Sequence
from functools import cache
from importlib.resources import files
from typing import Any, Literal

import yaml
from pydantic import Field

from sdx_domains.answers import one_line, parsed
from sdx_domains.contract import Closed, Language, Passage, Proposal
from sdx_domains.farm import what_if
from sdx_domains.farm.figures import Figure, clock, fill, known, plan_figures, printed
from sdx_domains.farm.picture import FarmOption, FarmPicture
from sdx_domains.farm.planner import best, worth_eur_m2
from sdx_domains.farm.situation import LIMIT, RISK, limit_names, read_understanding, risk_names, situation_of

CONFIDENCE = {"high": 0.9, "medium": 0.7, "low": 0.4}
LEAST_LOSS = 1.0
"""EUR per 1000 m². What is shown of a plan that is not the best one is at least this: two plans that print alike would leave the choice to chance."""


class Answer(Closed):
    """What the model writes. No number is its own: the reason names its figures, see figures.py."""

    limit: str
    risks: tuple[str, ...]
    option: str
    reason: str = Field(min_length=1, max_length=900)
    confidence: Literal["high", "medium", "low"]
    needs_human: bool


@cache
def prompts() -> dict[str, Any]:
    """prompts/plan.yaml."""
    return yaml.safe_load((files(__package__ or "") / "prompts/plan.yaml").read_text(encoding="utf-8"))


def messages(picture: FarmPicture, options: Sequence[FarmOption], passages: Sequence[Passage], language: Language) -> list[dict[str, str]]:
    """Chat messages that ask for a decision. Passages stay with the audit record: code cites them by the words of the situation."""
    lines = [*fact_lines(picture, prompts()["facts"]), situation_line(picture), *option_lines(options)]
    return [{"role": "system", "content": prompts()["decide"][language]}, {"role": "user", "content": "\n".join(lines)}]


def question_messages(picture: FarmPicture, text: str, language: Language) -> list[dict[str, str]]:
    """Chat messages that ask a person's question about the picture. A "what if" is simulated first, and its figures are among the facts."""
    clean = one_line(text)
    lines = [*fact_lines(picture, [*prompts()["facts"], *prompts()["question_facts"]]), situation_line(picture)]
    try:
        simulated = what_if.simulate(picture, clean, language)
    except ValueError as error:
        lines.append(f"simulated nothing: {error}")
    else:
        lines += what_if.lines(simulated) if simulated else []
    return [
        {"role": "system", "content": prompts()["question"][language]},
        {"role": "user", "content": "\n".join([*lines, f"question: {clean}"])},
    ]


def fact_lines(picture: FarmPicture, rows: Sequence[Sequence[str]]) -> list[str]:
    """Figures by name, without units: "air_temp 21.4 rh 74 ..."."""
    figures = known(picture)
    lines = (" ".join(f"{name} {_bare(figures[name])}" for name in row if name in figures) for row in rows)
    return [line for line in lines if line]


def situation_line(picture: FarmPicture) -> str:
    found = situation_of(picture)
    return f"limit {found.limit} risks {' '.join(found.risks) or '-'}"


def option_lines(options: Sequence[FarmOption]) -> list[str]:
    """What each plan is and leads to: its loss against the best (planner.py) in EUR per 1000 m², figures of its outcome, "ok" or "breaks"."""
    chosen = best(options)
    lines: list[str] = []
    for option in options:
        loss = 1000.0 * (worth_eur_m2(chosen.outcome) - worth_eur_m2(option.outcome))
        loss = 0.0 if option is chosen else max(loss, LEAST_LOSS)
        figures = dict(plan_figures(option))
        told = " ".join(f"{name} {figures[name].value:.{decimals}f}" for name, decimals in prompts()["option"].items())
        lines.append(f"{option.id} {option.strategy} loss {loss:.0f} {told} {'breaks' if option.flags else 'ok'}")
    return lines


def answer_schema(picture: FarmPicture, options: Sequence[FarmOption]) -> dict[str, Any]:
    """JSON schema of the answer to this very prompt: plan ids and the words of the situation are enumerated."""
    return schema_for([option.id for option in options])


def schema_for(option_ids: Sequence[str]) -> dict[str, Any]:
    """The schema for these plan ids; the order of its keys is the order of the answer."""
    properties = {
        LIMIT: {"enum": list(limit_names())},
        "risks": {"type": "array", "items": {"enum": list(risk_names())}},
        "option": {"enum": list(option_ids)},
        "reason": {"type": "string"},
        "confidence": {"enum": list(CONFIDENCE)},
        "needs_human": {"type": "boolean"},
    }
    return {"type": "object", "properties": properties, "required": list(properties), "additionalProperties": False}


def write_answer(proposal: Proposal) -> str:
    """The JSON text that a model should have written for this proposal; read_answer fills in the figures that its reason names."""
    answer = {
        "limit": next(item.kind for item in proposal.understanding if item.role == LIMIT),
        "risks": [item.kind for item in proposal.understanding if item.role == RISK],
        "option": proposal.option_id,
        "reason": proposal.reason,
        "confidence": next((word for word, value in CONFIDENCE.items() if proposal.confidence >= value), "low"),
        "needs_human": proposal.needs_human,
    }
    return json.dumps(answer, ensure_ascii=False, separators=(",", ":"))


def read_answer(text: str, picture: FarmPicture, options: Sequence[FarmOption]) -> Proposal:
    """Parse the model's JSON. Raises ValueError that names the field, the value and what was expected."""
    answer = parsed(Answer, text)
    chosen = next((option for option in options if option.id == answer.option), None)
    if chosen is None:
        raise ValueError(f"option: {answer.option!r} was not offered; offered: {', '.join(option.id for option in options)}")
    for field, said, words in (("limit", (answer.limit,), limit_names()), ("risks", answer.risks, risk_names())):
        if unknown := [word for word in said if word not in words]:
            raise ValueError(f"{field}: {unknown[0]!r} is not one of {', '.join(words)}")
    return Proposal(
        option_id=answer.option,
        understanding=read_understanding(answer.limit, answer.risks),
        reason=fill(answer.reason, picture, chosen),
        confidence=CONFIDENCE[answer.confidence],
        needs_human=answer.needs_human,
    )


def _bare(figure: Figure) -> str:
    return clock(figure.value) if figure.kind == "clock" else printed(figure.value, figure.kind)
