"""How good predicted openings are: exact, per motor, error, changes found, and what rain forbids."""

import pandas as pd

from sdx_domains.farm.motors.minutes import Minutes, actions, answers

NEAR_MIN = 10
"""A change said within so many minutes of one that was made is as good: whoever works windows by hand looks when there is time."""


def score(openings: pd.DataFrame, minutes: Minutes, times: pd.Index | None = None) -> dict[str, float]:
    """Over the rows at `times` that have an answer; all of them when None.

    Returns:
        rows, exact (all motors right), motor (share of motors right), mae_pct, change precision, recall and f1 at the very minute
        and (change_near_..) within NEAR_MIN, rain_open (share of rainy minutes in which any window is to stand open), closed_right (open or shut right, per motor).
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
        **{f"change_near_{name}": value for name, value in change_f1(openings, minutes, acts, NEAR_MIN).items()},
        "closed_right": float(((said > 0) == (then > 0)).to_numpy().mean()),
        "rain_minutes": float(rain.sum()),
        "rain_open": float((said[rain] > 0).any(axis=1).mean()) if rain.any() else 0.0,
    }


def change_f1(openings: pd.DataFrame, minutes: Minutes, acts: pd.Series, near_min: int = 0) -> dict[str, float]:
    """Minutes in which something is to move, said against done, `near_min` minutes apart at most."""
    said = (openings.loc[acts.index].round() != minutes.table.loc[acts.index, minutes.motors]).any(axis=1)
    right, caught = int((said & _about(acts, near_min)).sum()), int((acts & _about(said, near_min)).sum())
    precision, recall = right / max(int(said.sum()), 1), caught / max(int(acts.sum()), 1)
    return {"precision": precision, "recall": recall, "f1": 2.0 * precision * recall / (precision + recall) if right else 0.0}


def _about(marks: pd.Series, minutes: int) -> pd.Series:
    """True as well where a mark lies within so many minutes of the clock."""
    if minutes == 0:
        return marks
    dense = marks.astype(float).reindex(pd.date_range(marks.index[0], marks.index[-1], freq="min"), fill_value=0.0)
    return dense.rolling(2 * minutes + 1, center=True, min_periods=1).max().gt(0).loc[marks.index]
