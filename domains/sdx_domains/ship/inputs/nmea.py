"""NMEA 0183 lines to readings: AIS (AIVDM, AIVDO) and own ship's instruments. NmeaDecoder.feed() takes a line at a time.

Lines come from outside and may hold anything: every one of them gives readings, or nothing, or a Fault that names it;
none raises, and memory stays bounded whatever is sent.
"""

import re
from dataclasses import dataclass, field

import pynmea2
from pyais import decode
from pyais.exceptions import MissingPayloadException, UnknownMessageException

from sdx_domains.contract import Fault, Reading
from sdx_domains.ship.inputs.ais import encode_ais, encode_ais_static, read_ais, read_own_ais
from sdx_domains.ship.inputs.autopilot import read_htd
from sdx_domains.ship.inputs.own import NoFix, encode_own, read_own
from sdx_domains.ship.picture import OwnReading

__all__ = ["NmeaDecoder", "encode_ais", "encode_ais_static", "encode_own", "line_time_s"]

MAX_LINE_CHARS = 1024
MAX_PENDING = 64
"""Messages of several sentences that wait for their rest; the oldest goes first."""
PENDING_S = 10.0
MAX_FAULTS = 1000
"""Kept until taken; the oldest go first."""
SHOWN_CHARS = 100

_SENTENCE = re.compile(r"[!$](?P<body>[A-Za-z]{2}[A-Za-z0-9]{1,6},[^!$*\\]*)(?:\*(?P<checksum>[0-9A-Fa-f]{2})(?:,[^!$*]*)?)?\s*$")
_TAG_TIME = re.compile(r"\\[^\\]*?\bc:(\d{9,13})\b[^\\]*\\")
_EPOCH = re.compile(r"^\s*\[?(\d{9,10}(?:\.\d+)?)\b")


@dataclass(slots=True)
class _Pending:
    """The sentences of one AIS message that have come so far."""

    since_s: float
    parts: list[str] = field(default_factory=list)


class _Malformed(ValueError):
    def __init__(self, kind: str, detail: str) -> None:
        super().__init__(detail)
        self.kind = kind


class NmeaDecoder:
    """Decodes a stream, one line at a time. `faults` grows to MAX_FAULTS; take_faults() empties it.

    `own_mmsi`: reports of this ship are not targets; learnt from AIVDO when not given.
    """

    def __init__(self, own_mmsi: int | None = None) -> None:
        self.own_mmsi = own_mmsi
        self.faults: list[Fault] = []
        self._pending: dict[tuple[str, ...], _Pending] = {}
        self._heading_deg: float | None = None

    def feed(self, line: str | bytes, now_s: float) -> list[Reading]:
        """Readings of this line, dated `now_s` (the plant's clock, s); [] for blank, unused, unfinished or faulty lines."""
        text = line.decode("latin-1") if isinstance(line, bytes) else line
        self._expire(now_s)
        try:
            reading = self._read(text, now_s)
        except _Malformed as error:
            self._fault(now_s, error.kind, f"{error}: {_shown(text)}")
            return []
        except Exception as error:  # noqa: BLE001 - parsers of others read hostile text: whatever they raise is a fault of the line
            self._fault(now_s, "nmea_malformed", f"{str(error)[:SHOWN_CHARS] or type(error).__name__}: {_shown(text)}")
            return []
        return [] if reading is None else [reading]

    def take_faults(self) -> list[Fault]:
        """The faults since the last call."""
        faults, self.faults = self.faults, []
        return faults

    def _read(self, text: str, now_s: float) -> Reading | None:
        if not text.strip() or text.lstrip().startswith("#"):
            return None
        if len(text) > MAX_LINE_CHARS:
            raise _Malformed("nmea_malformed", f"line of {len(text)} characters, at most {MAX_LINE_CHARS}")
        match = _SENTENCE.search(text)
        if match is None:
            raise _Malformed("nmea_malformed", "no NMEA sentence found")
        # Receivers put TAG blocks or times before a sentence, and station and time after it.
        sentence = f"{match.group()[0]}{match.group('body')}*{match.group('checksum')}"
        _verify(match.group("body"), match.group("checksum"))
        kind = match.group("body").split(",", 1)[0][2:].upper()
        if sentence[0] == "!":
            return self._read_ais(sentence, kind, now_s) if kind in ("VDM", "VDO") else None
        return self._read_own(sentence, kind, now_s)

    def _read_own(self, sentence: str, kind: str, now_s: float) -> Reading | None:
        if kind == "HTD":
            heading = read_htd(sentence)
            return None if heading is None else OwnReading(t_s=now_s, source="autopilot", ordered_heading_deg=heading)
        try:
            parsed = pynmea2.parse(sentence)
            reading = read_own(parsed, now_s, self._heading_deg) if isinstance(parsed, pynmea2.TalkerSentence) else None
        except pynmea2.SentenceTypeError:
            return None
        except NoFix as error:
            raise _Malformed("nmea_no_fix", str(error)) from error
        except ValueError as error:
            raise _Malformed("nmea_value", str(error)) from error
        if isinstance(reading, OwnReading) and reading.heading_deg is not None:
            self._heading_deg = reading.heading_deg
        return reading

    def _read_ais(self, sentence: str, kind: str, now_s: float) -> Reading | None:
        parts = self._assembled(sentence, now_s)
        if parts is None:
            return None
        try:
            message = decode(*parts)
        except MissingPayloadException as error:
            raise _Malformed("ais_empty", "AIS sentence without payload") from error
        except UnknownMessageException as error:
            raise _Malformed("ais_unknown", "AIS message type that is not known") from error
        if kind == "VDO":
            self.own_mmsi = int(message.mmsi) or self.own_mmsi
            return read_own_ais(message, now_s)
        return None if int(message.mmsi) == self.own_mmsi else read_ais(message, now_s)

    def _assembled(self, sentence: str, now_s: float) -> list[str] | None:
        """Every sentence of the message that this one completes, in order; None while some are missing."""
        tag, count, number, sequence, channel, *_ = [*sentence.split(","), "", "", "", "", ""]
        total, index = _digits(count, "fragment count"), _digits(number, "fragment number")
        if total == 1:
            return [sentence]
        if not 1 <= index <= total <= 9:
            raise _Malformed("nmea_malformed", f"fragment {index} of {total}")
        key = (tag, count, sequence, channel)
        if index == 1:
            if key in self._pending:
                self._drop(key, now_s, "a new message began with its number")
            self._pending[key] = _Pending(now_s)
        pending = self._pending.get(key)
        if pending is None or len(pending.parts) != index - 1:
            # Numbers are used again within seconds: a stray part must not be joined to another message.
            raise _Malformed("ais_incomplete", f"fragment {index} of {total} without the one before it")
        pending.parts.append(sentence)
        if index == total:
            return self._pending.pop(key).parts
        if len(self._pending) > MAX_PENDING:
            self._drop(next(iter(self._pending)), now_s, f"more than {MAX_PENDING} unfinished messages")
        return None

    def _expire(self, now_s: float) -> None:
        # Insertion order is order of age; a clock that jumps back must not keep entries for ever.
        for key in [key for key, pending in self._pending.items() if not 0 <= now_s - pending.since_s <= PENDING_S]:
            self._drop(key, now_s, f"the rest did not come within {PENDING_S:g} s")

    def _drop(self, key: tuple[str, ...], now_s: float, why: str) -> None:
        parts = self._pending.pop(key).parts
        self._fault(now_s, "ais_incomplete", f"{why}; dropped: {' '.join(_shown(part) for part in parts)}")

    def _fault(self, now_s: float, kind: str, detail: str) -> None:
        self.faults.append(Fault(t_s=now_s, kind=kind, detail=detail))
        del self.faults[:-MAX_FAULTS]


def line_time_s(line: str) -> float | None:
    """When a recorded line was received, seconds since 1970: from its TAG block (c:) or a leading epoch time; None if it says nothing."""
    if match := _TAG_TIME.search(line):
        digits = match.group(1)
        return int(digits) / (1000.0 if len(digits) > 10 else 1.0)
    match = _EPOCH.match(line)
    return float(match.group(1)) if match else None


def _verify(body: str, checksum: str | None) -> None:
    if checksum is None:
        raise _Malformed("nmea_checksum", "no checksum")
    actual = 0
    for character in body:
        actual ^= ord(character)
    if actual != int(checksum, 16):
        raise _Malformed("nmea_checksum", f"checksum {checksum}, computed {actual:02X}")


def _digits(text: str, name: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) <= 2):
        raise _Malformed("nmea_malformed", f"{name} {text[:SHOWN_CHARS]!r} is not a number from 1 to 9")
    return int(text)


def _shown(line: str) -> str:
    return repr(line.strip()[:SHOWN_CHARS])
