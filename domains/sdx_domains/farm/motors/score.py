"""How good predicted openings are: exact, per motor, error, changes found, and what rain forbids."""

import pandas as pd

from sdx_domains.farm.motors.minutes import Minutes, actions, answers


def score(openings: pd.DataFrame, minutes: Minutes, times: pd.Index | None = None) -> dict[str, float]:
    """Over the rows at `times` that have an answer; all of them when None.

    Returns:
        rows, exact (all motors right), motor (share of motors right), mae_pct, change precision, recall and f1,
        rain_open (share of rainy minutes in which any window is to stand open), closed_right (open or shut right, per motor).
    """
    then = answers(minutes)
    then = then if times is None else then.loc[then.index.intersection(times)]
    said, acts = openings.loc[then.index].round(), actions(minutes).loc[then.index]
    right = said == then
    rain = minutes.table.get("out_rain", pd.Series(0.0, minutes.table.index)).loc[then.index].fillna(0.0) > 0
    return {
        "rows": float(len(then)),
        "exact": float(right.all(axis=1).mean()),
        "motor": float(right.to_numpy().mean()),
        "mae_pct": float((said - then).abs().to_numpy().mean()),
        **{f"change_{name}": value for name, value in change_f1(openings, minutes, acts).items()},
        "closed_right": float(((said > 0) == (then > 0)).to_numpy().mean()),
        "rain_minutes": float(rain.sum()),
        "rain_open": float((said[rain] > 0).any(axis=1).mean()) if rain.any() else 0.0,
    }


def change_f1(openings: pd.DataFrame, minutes: Minutes, acts: pd.Series) -> dict[str, float]:
    """Minutes in which something is to move, said against done."""
    said = (openings.loc[acts.index].round() != minutes.table.loc[acts.index, minutes.motors]).any(axis=1)
    hits, found, there = int((said & acts).sum()), int(said.sum()), int(acts.sum())
    return {
        "precision": hits / found if found else 0.0,
        "recall": hits / there if there else 0.0,
        "f1": 2.0 * hits / (found + there) if found + there else 0.0,
    }
