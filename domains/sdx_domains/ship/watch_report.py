"""Watch reports after a master's standing orders: a small task of a ship's own, to tune a model for.

The orders are data (knowledge/standing_orders.yaml). As a teacher for `sdx finetune augment` the domain answers from the picture;
anybody's answer is checked against it, its figures by name.
"""

import json
from collections.abc import Iterator
from functools import cache
from importlib.resources import files
from itertools import islice
from typing import Any, Literal

import yaml
from pydantic import ValidationError

from sdx_domains.contract import Closed, Language, Situation
from sdx_domains.ship.examples import TRAINING_SEED, moments
from sdx_domains.ship.figures import fill, own_figures
from sdx_domains.ship.language import names_of, target_figures
from sdx_domains.ship.picture import ShipPicture, Target
from sdx_domains.ship.prompting import shown_targets, situation_lines

Why = Literal["visibility", "close_quarters", "traffic", "no"]
NOBODY = "none"


class WatchReport(Closed):
    """What the officer writes."""

    vessel: str
    """Label of the vessel that concerns us most, "none" without any."""
    call_master: bool
    because: Why
    report: str


@cache
def orders() -> dict[str, Any]:
    return yaml.safe_load((files("sdx_domains.ship") / "knowledge/standing_orders.yaml").read_text(encoding="utf-8"))


def situations(count: int, seed: int = TRAINING_SEED) -> Iterator[Situation]:
    """Yield `count` reports to be written, with the answer that the picture gives and a check of anybody's.

    Raises ValueError for a seed that scenario suites may use.
    """
    for picture, _, languages, _, meta in islice(moments(seed), count):
        yield situation(picture, languages[0], {**meta, "task": "watch_report", "language": languages[0]})


def situation(picture: ShipPicture, language: Language, meta: dict[str, Any]) -> Situation:
    chat = [
        {"role": "system", "content": orders()["instruction"][language]},
        {"role": "user", "content": "\n".join(situation_lines(picture))},
    ]
    labels = [target.label for target in shown_targets(picture)]
    wanted = expected(picture, language)
    text = json.dumps(wanted.model_dump(), ensure_ascii=False, separators=(",", ":"))
    return Situation(chat, schema_for(labels), text, lambda answer: complaint(answer, wanted, picture), meta)


def expected(picture: ShipPicture, language: Language) -> WatchReport:
    """The report that the standing orders ask for."""
    target = most_concerning(picture)
    why = reason_to_call(picture)
    return WatchReport(
        vessel=target.label if target else NOBODY, call_master=why != "no", because=why, report=_sentence(picture, target, language)
    )


def most_concerning(picture: ShipPicture) -> Target | None:
    """The closing vessel with the smallest CPA, else the nearest; of those that a prompt shows."""
    shown = shown_targets(picture)
    closing = [target for target in shown if target.tcpa_min > 0]
    return min(closing, key=lambda target: (target.cpa_nm, target.label), default=min(shown, key=lambda t: t.range_nm, default=None))


def reason_to_call(picture: ShipPicture) -> Why:
    """The first of the orders that asks for the master."""
    limits = orders()["call"]
    if picture.environment.visibility_nm < limits["visibility_nm"]:
        return "visibility"
    if any(t.cpa_nm < limits["cpa_nm"] and 0 < t.tcpa_min <= limits["tcpa_min"] for t in shown_targets(picture)):
        return "close_quarters"
    return "traffic" if len(picture.targets) >= limits["ships"] else "no"


def _sentence(picture: ShipPicture, target: Target | None, language: Language) -> str:
    words = orders()["sentence"]
    if target is None:
        return words["none"][language].format(**names_of(own_figures(picture)))
    figures = names_of(target_figures(target, language), target.label)
    duty = orders()["duty"].get(target.role, orders()["duty"]["none"])[language]
    return words["closing" if target.tcpa_min > 0 else "past"][language].format(t=target.label, duty=duty, **figures)


def complaint(answer: str, wanted: WatchReport, picture: ShipPicture) -> str:
    """What is wrong with an answer, "" for nothing: its fields, and every figure of its sentence."""
    try:
        given = WatchReport.model_validate_json(answer)
        fill(given.report, picture)
    except ValidationError as error:
        first = error.errors()[0]
        return f"{'.'.join(map(str, first['loc'])) or 'answer'}: {first['msg']}, got {str(first['input'])[:80]!r}"
    except ValueError as error:
        return f"report: {error}"
    for name in ("vessel", "call_master", "because"):
        if getattr(given, name) != getattr(wanted, name):
            return f"{name}: {getattr(given, name)!r}, the standing orders ask for {getattr(wanted, name)!r}"
    return "" if wanted.vessel in (NOBODY, *given.report.replace(",", " ").split()) else f"report: does not name {wanted.vessel}"


def schema_for(labels: list[str]) -> dict[str, Any]:
    """JSON schema of a report about these vessels."""
    properties = {
        "vessel": {"enum": [*labels, NOBODY]},
        "call_master": {"type": "boolean"},
        "because": {"enum": ["visibility", "close_quarters", "traffic", "no"]},
        "report": {"type": "string"},
    }
    return {"type": "object", "properties": properties, "required": list(properties), "additionalProperties": False}


def schema_of(row: Any) -> dict[str, Any]:
    """The schema of a stored row, for an evaluation: its labels stand in the prompt's lines."""
    lines = row.messages[-2].content.split("\n")[1:]
    return schema_for([line.split(" ", 1)[0] for line in lines])


def grade(row: Any, answer: str) -> dict[str, bool]:
    """Metrics of an answer against the row's own, for `sdx finetune evaluate --scorer`."""
    wanted = json.loads(row.messages[-1].content)
    try:
        given = json.loads(answer)
        return {name: given[name] == wanted[name] for name in WatchReport.model_fields} | {"all": given == wanted}
    except (ValueError, KeyError, TypeError):
        return dict.fromkeys((*WatchReport.model_fields, "all"), False)
