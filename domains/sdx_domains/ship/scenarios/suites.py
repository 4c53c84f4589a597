"""All situations by name: `scenario("imazu-05")`, `suite("random", seed=0, count=500)`."""

from collections.abc import Callable
from pathlib import Path

from sdx_domains.ship.scenarios.dnv import dnv_files, read_dnv
from sdx_domains.ship.scenarios.generate import degraded, random_ships, restricted, rogue
from sdx_domains.ship.scenarios.imazu import case_numbers, imazu
from sdx_domains.ship.scenarios.scenario import Scenario

PER_SEED = 1000
"""Suite seed s holds the situations numbered s x 1000 to s x 1000 + 999: seeds 0-99 are for evaluation, 1000 and above for training."""
GENERATED: dict[str, Callable[[int], Scenario]] = {"random": random_ships, "degraded": degraded, "rogue": rogue, "restricted": restricted}
DEFAULT_COUNT = {"random": 500, "degraded": 100, "rogue": 100, "restricted": 100}
SUITES = ("imazu", "dnv", *GENERATED)


def scenario(name: str, seed: int = 0) -> Scenario:
    """One situation: "imazu-05", "imazu-08b", "random-000017" (by number), "rogue" (number = `seed`), or the path of a DNV JSON file.

    Raises:
        KeyError: no such name; says what there is.
        ValueError: the file is not a traffic situation; names file and field.
    """
    if name.endswith(".json"):
        if not Path(name).is_file():
            raise KeyError(f"no file {name!r}")
        return read_dnv(Path(name))
    kind, _, number = name.partition("-")
    if kind == "imazu" and (known := number if number in case_numbers() else number.zfill(2 + number.endswith("b"))) in case_numbers():
        return imazu(known)
    if kind in GENERATED and (number.isdecimal() or not number):
        return GENERATED[kind](int(number) if number else seed)
    raise KeyError(f"no scenario {name!r}; there are {known_names()}")


def known_names() -> str:
    """What `scenario` takes, in words."""
    cases = ", ".join(f"imazu-{number}" for number in case_numbers())
    generated = ", ".join(f"{kind}-NUMBER" for kind in GENERATED)
    return f"{cases}, {generated}, and the path of a traffic-situation .json file"


def suite(name: str, seed: int = 0, count: int | None = None, folder: Path | None = None) -> list[Scenario]:
    """The situations of a suite, in order; `count` takes the first so many.

    imazu: 22 cases, then 08b and 12b (the label of a case that repeats another names it). dnv: every .json in `folder`.
    The others are generated: numbers seed x 1000 onwards.

    Raises:
        KeyError: no such suite.
        ValueError: dnv without a folder; more than 1000 situations of one seed; a bad file.
    """
    if name == "imazu":
        return [imazu(number) for number in case_numbers()[:count]]
    if name == "dnv":
        if folder is None:
            raise ValueError("suite dnv: give the folder that holds the traffic-situation .json files")
        return [read_dnv(path) for path in dnv_files(folder)[:count]]
    if name not in GENERATED:
        raise KeyError(f"no suite {name!r}; there are {', '.join(SUITES)}")
    wanted = DEFAULT_COUNT[name] if count is None else count
    if not 0 <= wanted <= PER_SEED:
        raise ValueError(f"suite {name}: {wanted} situations asked for; one seed has {PER_SEED}, take another seed for more")
    return [GENERATED[name](seed * PER_SEED + i) for i in range(wanted)]
