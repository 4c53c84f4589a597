"""Named seasons of a simulated greenhouse: `scenario("spring-nl-0")`, `scenario("winter-nl-3+blackout@10")`. Suites of them: suites.py."""

import re
from collections.abc import Mapping
from datetime import date
from functools import cache
from importlib.resources import files
from typing import Any, Literal

import yaml
from pydantic import Field

from sdx_domains.contract import Closed
from sdx_domains.farm.world.failures import Failure

DAY_S = 86400.0
YEAR = 2026
LONGEST_DAYS = 400
_NAME = re.compile(
    r"(?P<tuning>tuning-)?(?P<season>[a-z]+)-(?P<site>[a-z]+)(-(?P<number>\d{1,5}))?(\+(?P<failure>[a-z0-9_]+))?(@(?P<days>\d{1,4}))?"
)
_DEFAULT = re.compile(r"greenhouse(\+(?P<failure>[a-z0-9_]+))?(@(?P<days>\d{1,4}))?")


class FarmScenario(Closed):
    """One season from its start. Same scenario, same seed, same run."""

    kind: Literal["greenhouse"] = "greenhouse"
    name: str
    twin: str = ""
    """The same season without its failures, by name; "" when there are none."""
    site: str
    """Of sites.yaml."""
    first_day: date
    days: int = Field(ge=1, le=LONGEST_DAYS)
    regime: str
    """Of prices.yaml."""
    weather_seed: int = Field(ge=0)
    weather_file: str = ""
    """Path of a CSV or EPW file that takes the place of made-up weather."""
    parameters: str = "tomato_nl"
    perturbed: float = Field(default=0.1, ge=0.0, lt=0.5)
    """The plant's parameters lie this share about those of the file; nobody is told them."""
    days_planted: float = 75.0
    failures: tuple[Failure, ...] = ()

    @property
    def duration_s(self) -> float:
        return self.days * DAY_S


@cache
def book() -> Mapping[str, Any]:
    """scenarios.yaml."""
    return yaml.safe_load((files(__package__ or "") / "scenarios.yaml").read_text(encoding="utf-8"))


def scenario(name: str, seed: int = 0) -> FarmScenario:
    """One season by name; "greenhouse" and names without a number take the number `seed`.

    Raises:
        KeyError: no such name; says what there is.
    """
    plain = _DEFAULT.fullmatch(name)
    parts = plain.groupdict() if plain else {}
    whole = f"{book()['default']}-{seed}" if plain else name
    found = _NAME.fullmatch(whole)
    if found is None or found["season"] not in book()["seasons"] or found["site"] not in book()["sites"]:
        raise KeyError(f"no scenario {name!r}; there are {known_names()}")
    failure = parts.get("failure") or found["failure"]
    days = parts.get("days") or found["days"]
    if failure is not None and failure not in book()["failures"]:
        raise KeyError(f"no failure {failure!r} for {name!r}; there are {', '.join(book()['failures'])}")
    if days is not None and not 1 <= int(days) <= LONGEST_DAYS:
        raise KeyError(f"{name!r}: 1 to {LONGEST_DAYS} days")
    number = int(found["number"] or seed)
    place = book()["sites"][found["site"]]
    month, day = map(int, book()["seasons"][found["season"]].split("-"))
    tail = f"@{days}" if days is not None else ""
    plain_name = f"{found['tuning'] or ''}{found['season']}-{found['site']}-{number}"
    return FarmScenario(
        name=f"{plain_name}+{failure}{tail}" if failure else plain_name + tail,
        twin=plain_name + tail if failure else "",
        site=place["climate"],
        first_day=date(YEAR, month, day),
        days=int(days or book()["days"]),
        regime=place["regimes"][number % len(place["regimes"])],
        weather_seed=book()["seed_base"]["tuning" if found["tuning"] else "held_out"] + number,
        failures=tuple(_failure(row) for row in book()["failures"][failure]) if failure else (),
    )


def known_names() -> str:
    """What `scenario` takes, in words."""
    seasons, sites, failures = (", ".join(book()[key]) for key in ("seasons", "sites", "failures"))
    return (
        f"greenhouse, and [tuning-]SEASON-SITE-NUMBER[+FAILURE][@DAYS] with seasons {seasons}; sites {sites}; failures {failures}; "
        "e.g. spring-nl-0, winter-nl-3+blackout@10"
    )


def _failure(row: Mapping[str, Any]) -> Failure:
    """A row of `failures`: days become seconds."""
    until = {"until_s": row["until_d"] * DAY_S} if "until_d" in row else {}
    rest = {key: value for key, value in row.items() if key not in ("from_d", "until_d")}
    return Failure(from_s=row["from_d"] * DAY_S, **until, **rest)
