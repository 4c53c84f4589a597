"""Autopilot sentences, parsed back."""

import pynmea2
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sdx_domains.ship.inputs.autopilot import hsc, htc, read_htd
from sdx_domains.ship.inputs.nmea import NmeaDecoder
from sdx_domains.ship.picture import OwnReading

relaxed = settings(max_examples=100, deadline=None, derandomize=True)


def test_sentences_in_full() -> None:
    assert hsc(45.04) == "$APHSC,45.0,T,,M*4F"
    assert htc(45.04, max_rot_deg_min=20) == "$AGHTC,V,,,H,T,,,,20.0,45.0,,,T*68"
    assert htc(0, None, 35, 10) == "$AGHTC,V,,,H,N,35.0,10.0,,,0.0,,,T*58"


@relaxed
@given(heading=st.floats(-720, 720))
def test_heading_comes_back(heading: float) -> None:
    parsed = pynmea2.parse(hsc(heading), check=True)
    for steered in (float(parsed.heading_true), read_htd(htc(heading))):  # pyright: ignore[reportAttributeAccessIssue]
        assert steered is not None and 0 <= steered < 360
        assert abs((steered - heading + 180) % 360 - 180) <= 0.0501


def test_the_pilots_own_report_is_read_as_the_ordered_heading() -> None:
    body = htc(123.4).partition("*")[0].replace("HTC", "HTD")[1:] + ",A,A,A,120.0"
    checksum = 0
    for character in body:
        checksum ^= ord(character)
    decoder = NmeaDecoder()
    assert decoder.feed(f"${body}*{checksum:02X}", 3.0) == [OwnReading(t_s=3.0, source="autopilot", ordered_heading_deg=123.4)]


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: hsc(float("nan")), "heading nan cannot be steered"),
        (lambda: htc(float("inf")), "heading inf cannot be steered"),
        (lambda: htc(10, max_rot_deg_min=0), "max_rot_deg_min is 0; a positive number"),
        (lambda: htc(10, max_rudder_deg=float("inf")), "max_rudder_deg is inf"),
    ],
)
def test_what_cannot_be_steered_is_refused(call: object, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        call()  # pyright: ignore[reportCallIssue]


@pytest.mark.parametrize("sentence", ["$AGHTD,V*00", "$AGHTD,V,,,H,N,,,,,400.0,,,T*00", "$AGHTD,V,,,H,N,,,,,x,,,T*00"])
def test_a_broken_report_is_an_error(sentence: str) -> None:
    with pytest.raises(ValueError):
        read_htd(sentence)


def test_a_magnetic_or_empty_heading_is_not_taken_for_true() -> None:
    assert read_htd("$AGHTD,V,,,H,N,,,,,100.0,,,M*00") is None
    assert read_htd("$AGHTD,V,,,H,N,,,,,,,,T*00") is None
