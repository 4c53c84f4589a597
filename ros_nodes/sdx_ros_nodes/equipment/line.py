"""One line to nodes: Modbus TCP or RTU, one transaction at a time, retries, reconnection with back-off, frames kept. Start at Line."""

import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qs, urlsplit

from pymodbus import FramerType
from pymodbus.client import ModbusSerialClient, ModbusTcpClient
from pymodbus.exceptions import ModbusException

from sdx_ros_nodes.equipment.frames import Frames

TCP_PORT, BAUD = 502, 9600
TCP_TIMEOUT_S, RTU_TIMEOUT_S = 0.3, 0.45
DELAY_S, DELAY_MAX_S = 0.2, 30.0
REASONS = {1: "illegal function", 2: "illegal register", 3: "illegal value", 4: "device failure", 6: "busy"}


class NoAnswerError(Exception):
    """Nothing, or nothing readable, came back."""


class RefusedError(Exception):
    """The node answered with an exception."""

    def __init__(self, code: int) -> None:
        self.code = code
        super().__init__(f"exception {code:02d}, {REASONS.get(code, 'unknown reason')}")


@dataclass(frozen=True, slots=True)
class Address:
    """Where a line begins. `url` is its text."""

    url: str
    host: str
    """Of TCP; of RTU the device file."""
    port: int = TCP_PORT
    baud: int = 0
    """0: TCP."""
    parity: str = "N"


def read_address(url: str) -> Address:
    """modbus://host:port or tcp://host:port; modbus+rtu:///dev/ttyUSB0?baud=9600&parity=N or rtu:///dev/ttyUSB0. ValueError."""
    try:
        parts = urlsplit(url)
        asked = parse_qs(parts.query, strict_parsing=bool(parts.query))
        if parts.scheme in ("modbus", "tcp") and parts.hostname and not asked:
            return Address(url, parts.hostname, parts.port or TCP_PORT)
        if parts.scheme in ("modbus+rtu", "rtu") and parts.path and not parts.netloc and set(asked) <= {"baud", "parity"}:
            baud, parity = int(asked.get("baud", [str(BAUD)])[0]), asked.get("parity", ["N"])[0]
            if baud > 0 and parity in ("N", "E", "O"):
                return Address(url, parts.path, 0, baud, parity)
    except ValueError as error:
        raise ValueError(f"{url!r} is no address of a line: {error}") from error
    raise ValueError(f"{url!r} is no address of a line; write modbus://HOST:PORT or modbus+rtu:///dev/ttyUSB0?baud=9600&parity=N")


class Line:
    """Thread-safe. Raises NoAnswerError or RefusedError, nothing else."""

    def __init__(self, url: str, timeout_s: float | None = None, monotonic: Callable[[], float] = time.monotonic) -> None:
        self.address = read_address(url)
        self.frames = Frames()
        self.asked = 0
        """Transactions so far."""
        self.unanswered = 0
        self.timeout_s = timeout_s or (RTU_TIMEOUT_S if self.address.baud else TCP_TIMEOUT_S)
        self._client = self._make_client(self.timeout_s)
        self._lock = threading.Lock()
        self._monotonic = monotonic
        self._delay_s, self._again_s, self._why = DELAY_S, 0.0, ""

    def _make_client(self, timeout_s: float) -> ModbusTcpClient | ModbusSerialClient:
        at, kept = self.address, self.frames.trace
        if at.baud:
            return ModbusSerialClient(
                at.host, framer=FramerType.RTU, baudrate=at.baud, parity=at.parity, timeout=timeout_s, retries=0, trace_packet=kept
            )
        return ModbusTcpClient(at.host, port=at.port, timeout=timeout_s, retries=0, trace_packet=kept)

    def read(self, unit: int, start: int, count: int, once: bool = False) -> list[int]:
        """Registers, function 3. `once`: no second attempt, where silence is an answer too."""
        answer = self._ask(lambda: self._client.read_holding_registers(start, count=count, device_id=unit), once)
        if len(answer.registers) != count:
            raise NoAnswerError(f"asked unit {unit} for {count} registers from {start} on, got {len(answer.registers)}")
        return list(answer.registers)

    def write(self, unit: int, start: int, values: Sequence[int]) -> None:
        """Registers, function 16. The same write again is harmless: a node acts on an OPID once."""
        self._ask(lambda: self._client.write_registers(start, list(values), device_id=unit))

    def disturb(self, noise: bytes) -> None:
        """Put bytes on the line as they are: for trials of a node."""
        with self._lock, suppress(ModbusException, OSError):
            if self._client.connect():
                self._client.send(noise)

    def _ask(self, transaction: Callable[[], Any], once: bool = False) -> Any:
        with self._lock:
            if self._monotonic() < self._again_s:
                raise NoAnswerError(f"{self._why}; tried again in {self._again_s - self._monotonic():.1f} s")
            try:
                answer = self._connected(transaction)
            except NoAnswerError:
                if once or self._monotonic() < self._again_s:
                    raise
                answer = self._connected(transaction)  # once more
        if answer.isError():
            raise RefusedError(answer.exception_code)
        return answer

    def _connected(self, transaction: Callable[[], Any]) -> Any:
        """One attempt. A line that is not there is left alone for a while, twice as long each time."""
        self.asked += 1
        self.unanswered += 1
        if not self._client.connect():
            self._why = f"cannot open {self.address.url}"
            self._again_s = self._monotonic() + self._delay_s
            self._delay_s = min(2 * self._delay_s, DELAY_MAX_S)
            raise NoAnswerError(self._why)
        self._delay_s, self._why = DELAY_S, ""
        try:
            answer = transaction()
            self.unanswered -= 1
            return answer
        except (ModbusException, OSError, ValueError) as error:
            if not self.address.baud:
                self.close()  # a late answer must not be taken for the next one's
            raise NoAnswerError(f"no readable answer within {self.timeout_s:g} s from {self.address.url}") from error

    @property
    def why(self) -> str:
        """Why the line could not be opened, when it was tried last; "" when it could."""
        return self._why

    def close(self) -> None:
        with suppress(OSError):
            self._client.close()
