"""Picture and options as a short prompt, the answer's JSON schema, and the way back.

Names of vessels never enter a prompt: targets are T1, T2, ... and everything else is a computed number or a
word of a closed list, so text from outside cannot become an instruction.
"""

import json
from collections.abc import Sequence
from functools import cache
from importlib.resources import files
from typing import Any, Literal, get_args

import yaml
from pydantic import Field

from sdx_domains.answers import one_line, parsed
from sdx_domains.contract import Closed, Language, Passage, Proposal, Understanding
from sdx_domains.ship.figures import fill
from sdx_domains.ship.geometry import wrap180
from sdx_domains.ship.language import CPA_SHOWN_NM, fmt_bearing, fmt_course, fmt_cpa, fmt_range, fmt_speed, fmt_tcpa
from sdx_domains.ship.picture import Encounter, Role, ShipOption, ShipPicture, Target
from sdx_domains.ship.recall import addresses

SHOWN_TARGETS = 4
"""The most urgent; the others are counted. Assurance looks at all of them."""
CONFIDENCE = {"high": 0.9, "medium": 0.7, "low": 0.4}
LOSS_SHOWN_MIN = 99.0


class TargetAnswer(Closed):
    encounter: Encounter
    role: Role
    rules: tuple[str, ...]


class Answer(Closed):
    """What the model writes. No number is its own: the reason names its figures, see figures.py."""

    targets: dict[str, TargetAnswer]
    option: str
    reason: str = Field(min_length=1, max_length=900)
    confidence: Literal["high", "medium", "low"]
    needs_human: bool


@cache
def prompts() -> dict[str, dict[str, str]]:
    """prompts/navigate.yaml: task -> language -> text."""
    return yaml.safe_load((files("sdx_domains.ship") / "prompts/navigate.yaml").read_text(encoding="utf-8"))


def shown_targets(picture: ShipPicture) -> tuple[Target, ...]:
    """The targets that the model sees: the most urgent ones, by label."""
    return tuple(sorted(picture.targets[:SHOWN_TARGETS], key=lambda target: (len(target.label), target.label)))


def messages(picture: ShipPicture, options: Sequence[ShipOption], passages: Sequence[Passage], language: Language) -> list[dict[str, str]]:
    """Chat messages that ask for a decision. Passages are cited by address; their text stays with the audit record."""
    least = min((option.cost for option in options), default=0.0)
    lines = [*situation_lines(picture), *(option_line(picture, option, least) for option in options)]
    if passages:
        lines.append("rules " + " ".join(passage.id for passage in passages))
    return [{"role": "system", "content": prompts()["decide"][language]}, {"role": "user", "content": "\n".join(lines)}]


def question_messages(picture: ShipPicture, text: str, language: Language) -> list[dict[str, str]]:
    """Chat messages that ask a person's question about the picture; the question is cut and cleaned of control characters."""
    clean = one_line(text)
    lines = [*situation_lines(picture), f"question: {clean}"]
    return [{"role": "system", "content": prompts()["question"][language]}, {"role": "user", "content": "\n".join(lines)}]


def situation_lines(picture: ShipPicture) -> list[str]:
    own, route = picture.own, picture.route
    parts = [
        f"own hdg {fmt_course(own.heading_deg)} spd {fmt_speed(own.sog_kn)} route {fmt_course(route.course_to_steer_deg)} {fmt_speed(route.planned_sog_kn)}"
    ]
    if own.ordered_heading_deg is not None and own.ordered_speed_kn is not None:
        parts.append(f"ordered {fmt_course(own.ordered_heading_deg)} {fmt_speed(own.ordered_speed_kn)}")
    visibility = "restricted" if picture.environment.restricted_visibility else "good"
    parts.append(
        f"visibility {visibility} {fmt_range(picture.environment.visibility_nm)} limit {fmt_cpa(picture.cpa_limit_nm)} ships {len(picture.targets)}"
    )
    return [" ".join(parts), *(target_line(target) for target in shown_targets(picture))]


def target_line(target: Target) -> str:
    clear = " clear" if target.past_and_clear else ""
    return (
        f"{target.label} {target.kind} {target.encounter}{clear} stage {target.stage} rel {relative(target.rel_bearing_deg)}"
        f" rng {fmt_range(target.range_nm)} crs {fmt_course(target.cog_deg)} spd {fmt_speed(target.sog_kn)}"
        f" cpa {fmt_cpa(target.cpa_nm)} tcpa {fmt_tcpa(target.tcpa_min)} passes {target.passes}"
    )


def option_line(picture: ShipPicture, option: ShipOption, least_cost: float) -> str:
    """What an option does and what it leads to: its loss against the option of least cost (minutes of delay), the
    predicted CPA, and the rules it breaks, "close" where it comes inside the limit, else "ok"."""
    cpa = option.attainable_cpa_nm
    shown = fmt_cpa(cpa) if option.by_target and cpa <= CPA_SHOWN_NM else "-"
    flags = sorted({flag.split()[0] for flag in option.flags})
    judged = " ".join(flags) if flags else "close" if cpa < picture.cpa_limit_nm else "ok"
    loss = min((option.cost - least_cost) / 60.0, LOSS_SHOWN_MIN)
    return f"{option.id} {action(option)} loss {loss:.1f} cpa {shown} {judged}"


def action(option: ShipOption) -> str:
    """The manoeuvre in words of a closed list: "starboard 30", "hold", "resume starboard 28", "slow 6.0"."""
    turn = round(wrap180(option.turn_deg))
    words = [] if option.kind == "turn" else [option.kind.replace("turn_slow", "slow")]
    if turn and option.kind not in ("keep", "hold"):
        words.append(f"{'starboard' if turn > 0 else 'port'} {abs(turn)}")
    if option.kind in ("slow", "turn_slow"):
        words.append(fmt_speed(option.speed_kn))
    if option.start_s > 0:
        words.append(f"in {option.start_s / 60:.0f}")
    return " ".join(words) or "keep"


def relative(rel_bearing_deg: float) -> str:
    """ "45 starboard", "10 port", "0 ahead", "180 astern"."""
    degrees = fmt_bearing(abs(rel_bearing_deg))
    if round(abs(rel_bearing_deg)) in (0, 180):
        return f"{degrees} {'ahead' if abs(rel_bearing_deg) < 90 else 'astern'}"
    return f"{degrees} {'starboard' if rel_bearing_deg > 0 else 'port'}"


def answer_schema(picture: ShipPicture, options: Sequence[ShipOption]) -> dict[str, Any]:
    """JSON schema of the answer to this very prompt: option ids, target labels and rule addresses are enumerated."""
    return schema_for([target.label for target in shown_targets(picture)], [option.id for option in options])


def schema_for(labels: Sequence[str], option_ids: Sequence[str]) -> dict[str, Any]:
    """The schema for these target labels and option ids; the order of its keys is the order of the answer."""
    target = {
        "type": "object",
        "properties": {
            "encounter": {"enum": list(get_args(Encounter))},
            "role": {"enum": list(get_args(Role))},
            "rules": {"type": "array", "items": {"enum": list(addresses())}},
        },
        "required": ["encounter", "role", "rules"],
        "additionalProperties": False,
    }
    properties = {
        "targets": {
            "type": "object",
            "properties": {label: target for label in labels},
            "required": list(labels),
            "additionalProperties": False,
        },
        "option": {"enum": list(option_ids)},
        "reason": {"type": "string"},
        "confidence": {"enum": list(CONFIDENCE)},
        "needs_human": {"type": "boolean"},
    }
    return {"type": "object", "properties": properties, "required": list(properties), "additionalProperties": False}


def write_answer(picture: ShipPicture, proposal: Proposal) -> str:
    """The JSON text that a model should have written for this proposal; read_answer fills in the figures that its reason names."""
    understood = {u.subject: {"encounter": u.kind, "role": u.role, "rules": list(u.rules)} for u in proposal.understanding}
    confidence = next((word for word, value in CONFIDENCE.items() if proposal.confidence >= value), "low")
    answer = {
        "targets": {t.label: understood[t.label] for t in shown_targets(picture)},
        "option": proposal.option_id,
        "reason": proposal.reason,
        "confidence": confidence,
        "needs_human": proposal.needs_human,
    }
    return json.dumps(answer, ensure_ascii=False, separators=(",", ":"))


def read_answer(text: str, picture: ShipPicture, options: Sequence[ShipOption]) -> Proposal:
    """Parse the model's JSON. Raises ValueError that names the field, the value and what was expected."""
    answer = parsed(Answer, text)
    ids = [option.id for option in options]
    if answer.option not in ids:
        raise ValueError(f"option: {answer.option!r} was not offered; offered: {', '.join(ids)}")
    expected = {target.label for target in shown_targets(picture)}
    if set(answer.targets) != expected:
        raise ValueError(f"targets: {sorted(answer.targets)} instead of {sorted(expected)}")
    understanding = tuple(Understanding(subject=label, kind=t.encounter, role=t.role, rules=t.rules) for label, t in answer.targets.items())
    return Proposal(
        option_id=answer.option,
        understanding=understanding,
        reason=fill(answer.reason, picture, next(option for option in options if option.id == answer.option)),
        confidence=CONFIDENCE[answer.confidence],
        needs_human=answer.needs_human,
    )
