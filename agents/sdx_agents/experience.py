"""What came of decisions, as rows that the training pipeline reads: the record of an agent joined with later pictures. Start at rows()."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sdx_agents.audit import Record, records
from sdx_agents.decision import prompt_hash
from sdx_domains.contract import Domain, load_domain

WITH_PICTURE = ("decision", "judged", "standing")


@dataclass(frozen=True)
class Told:
    """What was found in the logs; counts of decisions."""

    decisions: int = 0
    written: int = 0
    too_young: int = 0
    """Not yet as old as the domain wants before it judges."""
    not_accepted: int = 0
    other_prompt: int = 0
    """Asked with a prompt that this version does not write any more: not trained on."""


def rows(logs: Sequence[Path], all_of_them: bool = False, domain: Domain | None = None) -> tuple[list[dict[str, Any]], Told]:
    """Rows {"messages", "meta"} of every decision in the logs that is old enough, in the order of the logs.

    `meta` holds group (log and plant day), task, language, decided_s, verdict, model and `outcome`: for each of the domain's
    times (Pace.outcome_after_s) the figures of Domain.outcome(), from the pictures that any of the logs holds.

    Args:
        logs: audit files of one run: the agent's, and the guard's for the pictures between decisions.
        all_of_them: rejected decisions and failures too, for preferences and for looking; their `meta.verdict` says so.
        domain: None takes the installed one that the first decision names.

    Raises:
        FileNotFoundError: there is no such log. ValueError: none of them holds a decision, or no such domain is installed.
    """
    found = [(path, record) for path in logs for record in records(path)]
    decisions = [(path, record) for path, record in found if record.kind == "decision"]
    if not decisions:
        raise ValueError(f"no decision in {', '.join(map(str, logs))}: give the agent's audit file, e.g. runs/<time>/audit/agent.jsonl")
    domain = domain or _named(*decisions[0])
    held = [record.payload["picture"] for _, record in found if record.kind in WITH_PICTURE and record.payload.get("picture")]
    seen = sorted((domain.load_picture(picture) for picture in held), key=lambda picture: picture.t_s)
    made = [_row(path, record, seen, domain, all_of_them) for path, record in decisions]
    left_out = {kind: made.count(kind) for kind in ("too_young", "not_accepted", "other_prompt")}
    kept = [row for row in made if not isinstance(row, str)]
    return kept, Told(len(made), len(kept), **left_out)


def _row(path: Path, record: Record, seen: Sequence[Any], domain: Domain, all_of_them: bool) -> dict[str, Any] | str:
    """The row, or why there is none: the name of a field of Told."""
    kept = record.payload
    if kept["verdict"]["kind"] != "accept" and not all_of_them:
        return "not_accepted"
    picture, options = domain.load_picture(kept["picture"]), domain.load_options(kept["options"])
    outcome = {f"after_{after_s:.0f}_s": _after(domain, picture, after_s, seen) for after_s in domain.pace.outcome_after_s}
    if None in outcome.values():
        return "too_young"
    asked = domain.messages(picture, options, domain.recall(picture), kept["language"])
    if prompt_hash(asked, domain.answer_schema(picture, options)) != kept["prompt_sha256"]:
        return "other_prompt"
    meta = {
        "group": f"{path.parent.name}-{int(picture.t_s // 86_400)}",
        "task": "decide",
        "language": kept["language"],
        "decided_s": picture.t_s,
        "verdict": kept["verdict"]["kind"],
        "model": kept["model"]["name"],
        "outcome": outcome,
    }
    return {"messages": [*asked, {"role": "assistant", "content": kept["answer"]["text"]}], "meta": meta}


def _after(domain: Domain, picture: Any, after_s: float, seen: Sequence[Any]) -> dict[str, float] | None:
    """None while nothing was seen that late."""
    between = [one for one in seen if picture.t_s < one.t_s <= picture.t_s + after_s]
    if not between or seen[-1].t_s < picture.t_s + after_s:
        return None
    return dict(domain.outcome(picture, between))


def _named(path: Path, record: Record) -> Domain:
    try:
        return load_domain(record.payload["domain"])
    except KeyError as error:
        raise ValueError(f"{path}, record {record.seq}: {error.args[0]}") from error
