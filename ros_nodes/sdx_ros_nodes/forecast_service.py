"""A weather forecast from a service on the network, as readings beside those of the equipment.

The answer is JSON with hourly columns as Open-Meteo gives them: `{"hourly": {"time": [...], "temperature_2m": [...], ...}}`. Ask for hours in
UTC and wind in m/s, e.g. https://api.open-meteo.com/v1/forecast?latitude=35.8&longitude=127.1&wind_speed_unit=ms&timezone=UTC&forecast_days=4
&hourly=temperature_2m,relative_humidity_2m,wind_speed_10m,precipitation,shortwave_radiation. A service that fails leaves the last forecast; how
old that is, every reading says.
"""

import json
import logging
import threading
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

import httpx
from pydantic import ValidationError

from sdx_domains.contract import Reading
from sdx_domains.equipment import ActuatorCommand, CommandResult, Device, Equipment

log = logging.getLogger(__name__)

COLUMNS = {
    "temperature_2m": "temp_c", "relative_humidity_2m": "rh_pct", "wind_speed_10m": "wind_m_s",
    "precipitation": "rain_mm_h", "shortwave_radiation": "solar_w_m2",
}  # fmt: skip
EVERY_S = 3600.0
RETRY_S = 120.0
TIMEOUT_S = 20.0
MOST_BYTES = 2_000_000


class WithForecast:
    """Equipment with a forecast: asked for in a thread of its own, so that nothing ever waits for the network.

    Args:
        kind: the domain's forecast reading (Equipped.reading_types()), with the columns above and t_s of the first hour.
        epoch_s: Unix time of plant time 0; 0 where the plant's clock is the real one.
    """

    def __init__(self, equipment: Equipment, url: str, kind: type[Reading], epoch_s: float = 0.0, every_s: float = EVERY_S) -> None:
        self._equipment, self._url, self._kind, self._epoch_s, self._every_s = equipment, url, kind, epoch_s, every_s
        self._newest: Reading | None = None
        self._ended = threading.Event()
        self.failure = ""
        """Why the last attempt gave nothing; "" when it gave a forecast."""
        self._thread = threading.Thread(target=self._keep_asking, name="forecast", daemon=True)
        self._thread.start()

    def devices(self) -> Sequence[Device]:
        return self._equipment.devices()

    def read(self) -> Sequence[Reading]:
        newest, self._newest = self._newest, None
        return [*([newest] if newest is not None else []), *self._equipment.read()]

    def send(self, command: ActuatorCommand) -> CommandResult:
        return self._equipment.send(command)

    def close(self) -> None:
        self._ended.set()
        self._equipment.close()

    def _keep_asking(self) -> None:
        wait_s = 0.0
        while not self._ended.wait(wait_s):
            try:
                self._newest, self.failure, wait_s = forecast_of(_fetched(self._url), self._kind, self._epoch_s), "", self._every_s
            except (httpx.HTTPError, ValueError) as error:
                self.failure, wait_s = f"{type(error).__name__}: {error}", min(RETRY_S, self._every_s)
                log.warning("no forecast from %s: %s", self._url, self.failure)


def forecast_of(answer: Any, kind: type[Reading], epoch_s: float) -> Reading:
    """The reading in a service's answer, up to the first hour that is not whole.

    Raises:
        ValueError: a column is missing, or holds no numbers; names it.
    """
    hourly = answer.get("hourly") if isinstance(answer, Mapping) else None
    missing = [name for name in ("time", *COLUMNS) if not isinstance(hourly, Mapping) or not isinstance(hourly.get(name), list)]
    if hourly is None or missing:
        raise ValueError(f"a forecast needs hourly.{', hourly.'.join(missing)}; see Open-Meteo's hourly variables")
    whole = _whole_hours(hourly)
    first = datetime.fromisoformat(str(hourly["time"][0])).replace(tzinfo=UTC).timestamp()
    columns = {field: tuple(hourly[name][:whole]) for name, field in COLUMNS.items()}
    try:
        return kind.model_validate({"t_s": first - epoch_s, "source": "forecast", **columns})
    except ValidationError as error:
        wrong = error.errors(include_url=False)[0]
        raise ValueError(f"forecast: {'.'.join(map(str, wrong['loc']))}: {wrong['msg']}") from error


def _whole_hours(hourly: Mapping[str, Any]) -> int:
    """Hours until the first gap (null) in any column."""
    hours = min(len(hourly[name]) for name in ("time", *COLUMNS))
    gaps = [index for name in COLUMNS for index, value in enumerate(hourly[name][:hours]) if value is None]
    whole = min(gaps, default=hours)
    if whole == 0:
        raise ValueError("the forecast holds no whole hour")
    return whole


def _fetched(url: str) -> Any:
    """The JSON at an address, at most MOST_BYTES of it. ValueError when it is longer or no JSON."""
    with httpx.Client(timeout=TIMEOUT_S, follow_redirects=True) as http, http.stream("GET", url) as response:
        response.raise_for_status()
        body = b""
        for piece in response.iter_bytes():
            body += piece
            if len(body) > MOST_BYTES:
                raise ValueError(f"the answer is longer than {MOST_BYTES} bytes")
    return json.loads(body)
