"""All situations by name: `scenario("imazu-05")`, `suite("random", seed=0, count=500)`."""

from pathlib import Path

from sdx_domains.ship.scenarios.imazu import case_numbers, imazu
from sdx_domains.ship.scenarios.scenario import Scenario

SUITES = ("imazu", "dnv", "random", "degraded", "rogue", "restricted")


def scenario(name: str, seed: int = 0) -> Scenario:
    kind, _, number = name.partition("-")
    if kind == "imazu":
        number = number if number in case_numbers() else number.zfill(2)
        return imazu(number)
    raise KeyError(name)


def suite(name: str, seed: int = 0, count: int | None = None, folder: Path | None = None) -> list[Scenario]:
    return [imazu(number) for number in case_numbers()][:count]
