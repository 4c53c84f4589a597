"""What limits the house now and what is to be watched, by code: the closed words that a proposal's understanding is held to."""

from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any

import yaml

from sdx_domains.contract import Proposal, Understanding
from sdx_domains.farm.figures import holds, known
from sdx_domains.farm.picture import FarmPicture

SUBJECT = "house"
LIMIT, RISK = "limit", "risk"
MOST_RISKS = 4
"""The gravest; a prompt that told more would be too long for a small model."""


@dataclass(frozen=True, slots=True)
class Situation:
    """Words of knowledge/conditions.yaml."""

    limit: str
    risks: tuple[str, ...]


@cache
def _book() -> dict[str, list[dict[str, Any]]]:
    return yaml.safe_load((files(__package__ or "") / "knowledge/conditions.yaml").read_text(encoding="utf-8"))


@cache
def limit_names() -> tuple[str, ...]:
    return tuple(row["name"] for row in _book()["limits"])


@cache
def risk_names() -> tuple[str, ...]:
    return tuple(row["name"] for row in _book()["risks"])


def passages_of(name: str) -> tuple[str, ...]:
    """Addresses that explain a limit or a risk. KeyError for another word."""
    rows = {row["name"]: tuple(row["passages"]) for row in (*_book()["risks"], *_book()["limits"])}
    return rows[name]


def situation_of(picture: FarmPicture) -> Situation:
    """The first limit that holds and the gravest risks that hold; what is not known holds nothing."""
    figures = known(picture)
    limit = next(row["name"] for row in _book()["limits"] if holds(row["all"], figures))
    found: list[str] = []
    for row in _book()["risks"]:
        standing = any(alarm.severity != "info" for alarm in picture.alarms) if row["name"] == "alarm" else holds(row["all"], figures)
        if standing and row.get("unless") not in found:
            found.append(row["name"])
    return Situation(limit, tuple(found[:MOST_RISKS]))


def understanding_of(picture: FarmPicture) -> tuple[Understanding, ...]:
    """The situation as a proposal says it: one entry for the limit, one per risk, each with the passages that explain it."""
    found = situation_of(picture)
    return read_understanding(found.limit, found.risks)


def read_understanding(limit: str, risks: tuple[str, ...]) -> tuple[Understanding, ...]:
    """As understanding_of(), for what somebody says the situation is."""
    said = [(limit, LIMIT), *((name, RISK) for name in risks)]
    return tuple(Understanding(subject=SUBJECT, kind=name, role=role, rules=passages_of(name)) for name, role in said)


def wrong_understanding(picture: FarmPicture, proposal: Proposal) -> tuple[str, ...]:
    """What a proposal gets wrong about the house, a sentence each. A model must tell all of it; others may leave it unsaid."""
    found = situation_of(picture)
    said = {role: [item.kind for item in proposal.understanding if item.role == role] for role in (LIMIT, RISK)}
    reasons = [
        f"{item.subject!r} is not in the picture, which is of one {SUBJECT}" for item in proposal.understanding if item.subject != SUBJECT
    ]
    reasons += [f"{item.role!r} is neither {LIMIT} nor {RISK}" for item in proposal.understanding if item.role not in (LIMIT, RISK)]
    reasons += [f"the house is limited by {found.limit}; the proposal says {name}" for name in said[LIMIT] if name != found.limit]
    present = ", ".join(found.risks) or "none"
    reasons += [f"there is no risk of {name} here; there is {present}" for name in said[RISK] if name not in found.risks]
    if proposal.source == "model":
        reasons += [] if said[LIMIT] else ["nothing is said of what limits the house"]
        reasons += [f"nothing is said of {name}, which is to be watched" for name in found.risks if name not in said[RISK]]
    return tuple(reasons)
