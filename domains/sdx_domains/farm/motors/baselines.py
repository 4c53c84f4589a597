"""Who says where the windows go next: hold-last, a temperature rule, gradient boosting. Each is fitted on a table and predicts one."""

from collections.abc import Sequence
from itertools import product
from typing import Any, Protocol, Self

import numpy as np
import pandas as pd

from sdx_domains.farm.motors.minutes import Minutes, actions, answers, settings
from sdx_domains.farm.motors.score import NEAR_MIN, change_f1


class Predictor(Protocol):
    """Openings of the next minute."""

    name: str

    def fit(self, minutes: Minutes, times: pd.Index) -> Self:
        """Learn from the rows at `times`."""
        ...

    def predict(self, minutes: Minutes, times: pd.Index) -> pd.DataFrame:
        """Openings, %, for the rows at `times`."""
        ...


class HoldLast:
    """Nothing changes: right nearly always, and of no use."""

    name = "hold last"

    def fit(self, minutes: Minutes, times: pd.Index) -> Self:
        return self

    def predict(self, minutes: Minutes, times: pd.Index) -> pd.DataFrame:
        return minutes.table.loc[times, minutes.motors]


class TemperatureRule:
    """Every so many minutes a step open when too warm, a step shut when too cold; all shut in rain. Searched, not learnt."""

    name = "rule"

    def __init__(self) -> None:
        self.chosen: dict[str, float] = {}

    def fit(self, minutes: Minutes, times: pd.Index) -> Self:
        grid = settings()["rule"]
        acts = actions(minutes).loc[times]
        tried = [dict(zip(grid, values, strict=True)) for values in product(*grid.values())]
        self.chosen = max(tried, key=lambda one: change_f1(self._openings(minutes, one), minutes, acts, NEAR_MIN)["f1"])
        return self

    def predict(self, minutes: Minutes, times: pd.Index) -> pd.DataFrame:
        return self._openings(minutes, self.chosen).loc[times]

    def _openings(self, minutes: Minutes, rule: dict[str, float]) -> pd.DataFrame:
        table, now = minutes.table, minutes.table[minutes.motors]
        turn = (table.index.hour * 60 + table.index.minute) % int(rule["every_min"]) == 0
        warm = (table["temp"] > rule["open_above_c"]).to_numpy() & turn
        cold = (table["temp"] < rule["open_above_c"] - rule["band_c"]).to_numpy() & turn
        step = rule["step_pct"] * (warm.astype(float) - cold.astype(float))
        rain = table.get("out_rain", pd.Series(0.0, table.index)).fillna(0.0).to_numpy() > 0
        return now.add(pd.Series(step, table.index), axis=0).clip(0.0, 100.0).where(pd.Series(~rain, table.index), 0.0)


class Boosted:
    """LightGBM in two steps for each motor: does it move, and then where to. The threshold of the first is set on a part kept apart."""

    name = "boosting"

    def __init__(self, seed: int = 0, threads: int = 1) -> None:
        self._options: dict[str, Any] = dict(settings()["boosting"], random_state=seed, n_jobs=threads, verbosity=-1, deterministic=True)
        self._moves: dict[str, Any] = {}
        self._where: dict[str, Any] = {}
        self._above: dict[str, float] = {}

    def fit(self, minutes: Minutes, times: pd.Index) -> Self:
        from lightgbm import LGBMClassifier, LGBMRegressor

        known, then = features(minutes).loc[times], answers(minutes).loc[times]
        cut = int(0.8 * len(times))
        for motor in minutes.motors:
            moved = (then[motor] != minutes.table.loc[times, motor]).to_numpy()
            if moved[:cut].sum() < 5:
                continue
            first = LGBMClassifier(**self._options).fit(known.iloc[:cut], moved[:cut])
            self._above[motor] = _threshold(np.asarray(first.predict_proba(known.iloc[cut:]))[:, 1], moved[cut:])
            self._moves[motor] = LGBMClassifier(**self._options).fit(known, moved)
            self._where[motor] = LGBMRegressor(**self._options).fit(known[moved], then[motor][moved])
        return self

    def predict(self, minutes: Minutes, times: pd.Index) -> pd.DataFrame:
        known, openings = features(minutes).loc[times], minutes.table.loc[times, minutes.motors].copy()
        for motor, model in self._moves.items():
            moves = np.asarray(model.predict_proba(known))[:, 1] > self._above[motor]
            if moves.any():
                openings.loc[moves, motor] = np.clip(np.round(self._where[motor].predict(known[moves])), 0.0, 100.0)
        return openings


def features(minutes: Minutes) -> pd.DataFrame:
    """What is known at a minute: readings, their past and differences, openings, how long they have stood, hour of the day."""
    table = minutes.table
    dense = table.reindex(pd.date_range(table.index[0], table.index[-1], freq="min"))
    known: dict[str, Any] = {name: dense[name] for name in dense}
    for name in ("temp", "humi", "out_temp", "SI"):
        if name in dense:
            for lag in settings()["lags_min"]:
                known[f"{name}_{lag}"] = dense[name] - dense[name].shift(lag)
            known[f"{name}_second"] = dense[name].diff(5).diff(5)
    if "out_rain" in dense:
        known["rain_10"] = dense["out_rain"].rolling(10, min_periods=1).max()
    still = (dense[minutes.motors].diff().abs().sum(axis=1) > 0).cumsum()
    known["stood_min"] = still.groupby(still).cumcount()
    clock = 2.0 * np.pi * (dense.index.hour + dense.index.minute / 60.0) / 24.0
    known["hour_sin"], known["hour_cos"] = np.sin(clock), np.cos(clock)
    return pd.DataFrame(known, index=dense.index).loc[table.index]


def predictors(seed: int = 0) -> Sequence[Predictor]:
    return HoldLast(), TemperatureRule(), Boosted(seed)


def _threshold(likely: np.ndarray, moved: np.ndarray) -> float:
    """The one with the best F1 on rows that were not learnt from; 0.5 when nothing moved there."""
    tried = np.linspace(0.05, 0.95, 19)
    hits = np.array([(moved & (likely > limit)).sum() for limit in tried])
    said = np.array([(likely > limit).sum() for limit in tried])
    f1 = 2.0 * hits / np.maximum(said + moved.sum(), 1)
    return float(tried[int(f1.argmax())]) if moved.any() else 0.5
