"""A language model at the minute task, with the interlocks that hold whoever answers. The prompt is that of the imported training rows."""

import json
from collections.abc import Callable, Mapping
from typing import Any, Self

import pandas as pd

from sdx_domains.farm.motors.minutes import Minutes, settings

Complete = Callable[[list[dict[str, str]], Mapping[str, Any]], str]
"""Chat messages and the answer's JSON schema -> the model's text. May raise."""


class Asked:
    """Openings as a model says them. What cannot be read holds the present openings and is counted."""

    def __init__(self, complete: Complete, name: str = "model") -> None:
        self._complete, self.name = complete, name
        self.unread = 0

    def fit(self, minutes: Minutes, times: pd.Index) -> Self:
        return self

    def predict(self, minutes: Minutes, times: pd.Index) -> pd.DataFrame:
        rows = [self._one(row, minutes.motors) for _, row in minutes.table.loc[times].iterrows()]
        return pd.DataFrame(rows, index=times, columns=minutes.motors)

    def _one(self, row: pd.Series, motors: list[str]) -> list[float]:
        try:
            return read_openings(self._complete(messages(row, motors), schema(motors)), motors)
        except Exception:  # noqa: BLE001 - whatever a model or its engine does, the windows stay where they are
            self.unread += 1
            return [float(row[motor]) for motor in motors]


def messages(row: pd.Series, motors: list[str]) -> list[dict[str, str]]:
    """The question about one minute; names and order of the importer's rows (`sdx data import`)."""
    channels = {f"open_rate_ch{number}": row[motor] for number, motor in enumerate(motors, 1)}
    known = pd.Series({**row.drop(labels=motors).to_dict(), **channels}).dropna().to_dict()
    ask = json.dumps({"ts": str(row.name), **known})
    return [{"role": "user", "content": f"{ask}\nOpenings of the windows as JSON, w1 to w{len(motors)}, 0-100 %."}]


def schema(motors: list[str]) -> dict[str, Any]:
    each = {"type": "integer", "minimum": 0, "maximum": 100}
    return {"type": "object", "properties": dict.fromkeys(motors, each), "required": motors, "additionalProperties": False}


def read_openings(text: str, motors: list[str]) -> list[float]:
    """ValueError for anything but a JSON object with a whole number from 0 to 100 for each motor."""
    said = json.loads(text)
    if not isinstance(said, dict) or set(said) != set(motors):
        raise ValueError(f"expected {', '.join(motors)}, got {str(said)[:80]}")
    values = [said[motor] for motor in motors]
    if not all(isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= 100 for value in values):
        raise ValueError(f"an opening is no whole number from 0 to 100: {values}")
    return [float(value) for value in values]


def interlocked(openings: pd.DataFrame, minutes: Minutes) -> pd.DataFrame:
    """What reaches the motors: shut in rain, nothing beyond 0..100, and the present opening where nothing sensible was asked."""
    now = minutes.table.loc[openings.index]
    low, high = settings()["ranges"]["opening"]
    kept = openings.where(openings.ge(low) & openings.le(high), now[minutes.motors])
    rain = now["out_rain"].fillna(1.0) > 0 if "out_rain" in now else pd.Series(False, index=now.index)
    return kept.mask(rain, 0.0)  # an unknown rain detector counts as rain
