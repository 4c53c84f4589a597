"""The minute task measured: every predictor learns on the first days and is asked about the later ones. Start at compare()."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from sdx_domains.contract import Measuring
from sdx_domains.farm.motors.agent import Asked, interlocked
from sdx_domains.farm.motors.baselines import Predictor, predictors
from sdx_domains.farm.motors.generate import generate
from sdx_domains.farm.motors.minutes import Minutes, answers, balanced, read_minutes
from sdx_domains.farm.motors.score import score

DAYS = 60
ASKED_MINUTES = 200
"""So many of the balanced minutes are put to a language model."""


def measure(asked: Measuring) -> dict[str, Any]:
    """`sdx bench farm --suite motors`: the predictors on `count` days (DAYS) of the made-up house with this seed, or on the tables in a folder.

    Raises:
        ValueError: a table of the folder cannot be used, or there is none; says why.
    """
    minutes = generate(asked.count or DAYS, asked.seed) if asked.folder is None else _of_folder(asked.folder, asked.say)
    models = [Asked(asked.complete, asked.model)] if asked.complete is not None else []
    rows = compare(minutes, models, most=ASKED_MINUTES, seed=asked.seed, say=asked.say)
    source = {"days": asked.count or DAYS} if asked.folder is None else {"folder": str(asked.folder)}
    return {"suite": "motors", "seed": asked.seed, **source, "model": asked.model, "rows": rows}


def _of_folder(folder: Path, say: Callable[[str], None]) -> Minutes:
    """Every CSV and Parquet table in it as one; what is wrong in them is said."""
    found = [read_minutes(path) for path in sorted(folder.iterdir()) if path.suffix in (".csv", ".parquet")]
    if not found:
        raise ValueError(f"no .csv or .parquet table of minutes in {folder}")
    for fault in (fault for minutes in found for fault in minutes.faults):
        say(fault)
    table = pd.concat([minutes.table for minutes in found]).sort_index()
    return Minutes(table[~table.index.duplicated(keep="last")], ())


def compare(
    minutes: Minutes,
    asked: Sequence[Asked] = (),
    train_share: float = 0.7,
    most: int | None = None,
    seed: int = 0,
    say: Callable[[str], None] = print,
) -> list[dict[str, Any]]:
    """One row of figures for each predictor, bare and with the interlocks, on all later minutes and on the balanced ones.

    Args:
        asked: language models, asked about at most `most` of the balanced minutes.

    Raises:
        ValueError: fewer than four days, so that nothing can be kept apart.
    """
    days = sorted({time.date() for time in answers(minutes).index})
    if len(days) < 4:
        raise ValueError(f"{len(days)} days of minutes; at least 4 are needed to keep some apart")
    first_later = pd.Timestamp(days[max(1, round(train_share * len(days)))], tz="UTC")
    known = answers(minutes).index
    learnt, later = known[known < first_later], known[known >= first_later]
    even = balanced(minutes, seed)
    even = even[even >= first_later]
    rows: list[dict[str, Any]] = []
    for predictor in predictors(seed):
        say(f"{predictor.name}: {len(learnt)} minutes to learn, {len(later)} to answer")
        predictor.fit(minutes, learnt)
        rows += _measured(predictor, minutes, {"all": later, "balanced": even})
    for model in asked:
        say(f"{model.name}: asked about {min(len(even), most or len(even))} minutes")
        rows += _measured(model, minutes, {"balanced": even[:: max(1, len(even) // most)] if most else even})
        rows[-1]["unread"] = rows[-2]["unread"] = model.unread
    return rows


def _measured(predictor: Predictor, minutes: Minutes, sets: dict[str, pd.Index]) -> list[dict[str, Any]]:
    rows = []
    for name, times in sets.items():
        openings = predictor.predict(minutes, times)
        for guard, said in (("bare", openings), ("interlocked", interlocked(openings, minutes))):
            rows.append({"who": predictor.name, "minutes": name, "guard": guard, **score(said, minutes, times)})
    return rows
