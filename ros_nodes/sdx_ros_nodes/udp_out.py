"""NMEA sentences by UDP, as serial-to-Ethernet boxes on board speak it."""

import socket


def endpoint(text: str) -> tuple[str, int]:
    """("10.0.0.9", 10110) from "10.0.0.9:10110".

    Raises:
        ValueError: not of that form.
    """
    host, colon, port = text.rpartition(":")
    if not colon or not host or not port.isdigit() or not 0 < int(port) < 65536:
        raise ValueError(f"{text!r} is not host:port, as in 127.0.0.1:10110")
    return host, int(port)


class UdpOut:
    """Sends lines and never waits; `failure` tells the last error, "" when the last line went out.

    Raises:
        ValueError: the address is not host:port.
    """

    def __init__(self, address: str) -> None:
        self._address = endpoint(address)
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.setblocking(False)
        self.failure = ""

    def send(self, line: str) -> None:
        try:
            self._socket.sendto((line.rstrip("\r\n") + "\r\n").encode("ascii", "replace"), self._address)
            self.failure = ""
        except OSError as error:
            self.failure = f"{self._address[0]}:{self._address[1]}: {error}"

    def close(self) -> None:
        self._socket.close()
