"""Suites of seasons for benchmarks: `suite("greenhouse")` is held out, `suite("tuning")` is what parameters may be fitted on."""

from pathlib import Path

from sdx_domains.farm.world.scenarios import FarmScenario, book, scenario

PER_SEED = 100
"""Suite seed s shifts the numbers of its cases by s x 100."""


def suite(name: str, seed: int = 0, count: int | None = None, folder: Path | None = None) -> list[FarmScenario]:
    """The cases of a suite, in order; `count` takes the first so many. "NAME@DAYS" cuts or stretches each to so many days.

    A `folder` of weather files (.epw, .csv) makes one case of each, with the prices of the suite's cases in turn.

    Raises:
        KeyError: no such suite.
        ValueError: a folder without weather files.
    """
    plain, _, days = name.partition("@")
    if plain not in book()["suites"] or (days and not days.isdecimal()):
        raise KeyError(f"no suite {name!r}; there are {', '.join(book()['suites'])}, each also as NAME@DAYS")
    rows = book()["suites"][plain]
    length = int(days or rows.get("days", book()["days"]))
    cases = [_shifted(text, seed, length) for text in rows["cases"]]
    if folder is not None:
        cases = _of_folder(folder, cases)
    return cases[:count]


def _shifted(text: str, seed: int, days: int) -> FarmScenario:
    """A case of the list under another seed."""
    plain, plus, failure = text.partition("+")
    head, number = plain.rsplit("-", 1)
    return scenario(f"{head}-{int(number) + PER_SEED * seed}{plus}{failure}@{days}")


def _of_folder(folder: Path, cases: list[FarmScenario]) -> list[FarmScenario]:
    found = sorted(path for path in folder.iterdir() if path.suffix.lower() in (".epw", ".csv"))
    if not found:
        raise ValueError(f"{folder} holds no .epw or .csv weather file")
    healthy = [case for case in cases if not case.failures]
    return [
        healthy[i % len(healthy)].model_copy(update={"name": f"{path.stem}-{i}", "weather_file": str(path)}) for i, path in enumerate(found)
    ]
