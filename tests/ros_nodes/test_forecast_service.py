"""A forecast from a service, over a real HTTP server."""

import http.server
import json
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import pytest

from sdx_domains.contract import Reading
from sdx_ros_nodes.forecast_service import WithForecast, forecast_of


class Outlook(Reading):
    """A forecast reading as a domain has it."""

    temp_c: tuple[float, ...]
    rh_pct: tuple[float, ...]
    wind_m_s: tuple[float, ...]
    rain_mm_h: tuple[float, ...]
    solar_w_m2: tuple[float, ...]


def until(true: Callable[[], bool]) -> None:
    """Wait for what the thread of the forecast does."""
    ends = time.monotonic() + 15.0
    while not true():
        assert time.monotonic() < ends, "not within 15 s"
        time.sleep(0.02)


class Silent:
    """Equipment that has nothing to say."""

    closed = False

    def devices(self) -> Sequence[Any]:
        return []

    def read(self) -> Sequence[Reading]:
        return []

    def send(self, command: Any) -> Any:
        raise AssertionError("nothing is sent")

    def close(self) -> None:
        self.closed = True


def answer(hours: int = 48) -> dict[str, Any]:
    times = [f"2026-03-0{1 + hour // 24}T{hour % 24:02d}:00" for hour in range(hours)]
    column = [float(hour) for hour in range(hours)]
    names = ("temperature_2m", "relative_humidity_2m", "wind_speed_10m", "precipitation", "shortwave_radiation")
    return {"hourly": {"time": times, **dict.fromkeys(names, column)}}


@pytest.fixture
def service() -> Iterator["Service"]:
    made = Service()
    yield made
    made.server.shutdown()
    made.server.server_close()


class Service:
    """Gives `body` with `status`, whatever is asked."""

    def __init__(self) -> None:
        self.status, self.body, self.asked = 200, json.dumps(answer()).encode(), 0
        outer = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                outer.asked += 1
                self.send_response(outer.status)
                self.end_headers()
                self.wfile.write(outer.body)

            def log_message(self, *_: object) -> None:
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}/forecast"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()


def test_a_forecast_comes_once_among_the_readings(service: Service) -> None:
    equipment = WithForecast(Silent(), service.url, Outlook, epoch_s=1_772_323_200.0)  # 2026-03-01
    found: list[Reading] = []
    until(lambda: bool(found.extend(equipment.read()) or found))
    assert isinstance(found[0], Outlook) and found[0].t_s == 0.0 and found[0].temp_c[:3] == (0.0, 1.0, 2.0) and len(found[0].temp_c) == 48
    assert not equipment.read() and equipment.failure == ""
    equipment.close()


@pytest.mark.parametrize(
    ("status", "body", "why"),
    [
        (500, b"{}", "500"),
        (200, b"<html>", "Expecting value"),
        (200, b"[]", "hourly.time"),
        (200, b'{"hourly": {}}', "hourly.temperature_2m"),
    ],
)
def test_a_service_that_fails_is_told_and_asked_again(service: Service, status: int, body: bytes, why: str) -> None:
    service.status, service.body = status, body
    equipment = WithForecast(Silent(), service.url, Outlook, every_s=0.05)
    until(lambda: why in equipment.failure)
    service.status, service.body = 200, json.dumps(answer()).encode()
    found: list[Reading] = []
    until(lambda: bool(found.extend(equipment.read()) or found))
    equipment.close()


def test_hours_after_a_gap_are_left_out() -> None:
    given = answer()
    given["hourly"]["precipitation"] = [0.0] * 30 + [None] * 18
    found = forecast_of(given, Outlook, 0.0)
    assert isinstance(found, Outlook) and len(found.temp_c) == 30


def test_words_among_the_numbers_are_refused_by_column() -> None:
    given = answer(3)
    given["hourly"]["temperature_2m"] = ["warm", 1.0, 2.0]
    with pytest.raises(ValueError, match=r"forecast: temp_c\.0"):
        forecast_of(given, Outlook, 0.0)
