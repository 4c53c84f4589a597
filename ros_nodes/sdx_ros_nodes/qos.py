"""Quality of service by name, in the words ROS 2 uses, and when a writer suits a reader."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class QoS:
    """What a writer offers or a reader asks for. Times in seconds; None = not offered, not asked."""

    depth: int = 10
    reliable: bool = True
    latched: bool = False
    """Transient local: the last `depth` messages are delivered to readers that come later."""
    deadline_s: float | None = None
    lifespan_s: float | None = None
    lease_s: float | None = None
    """Liveliness lease, automatic kind."""

    def mismatch(self, asked: "QoS") -> str:
        """Why a writer with this QoS never reaches a reader that asks for `asked`; "" when it does."""
        if asked.reliable and not self.reliable:
            return "RELIABILITY"
        if asked.latched and not self.latched:
            return "DURABILITY"
        if asked.deadline_s is not None and (self.deadline_s is None or self.deadline_s > asked.deadline_s):
            return "DEADLINE"
        if asked.lease_s is not None and (self.lease_s is None or self.lease_s > asked.lease_s):
            return "LIVELINESS"
        return ""

    def reader(self) -> "QoS":
        """The same without what a stock ROS writer does not offer: asking for it would bring silence."""
        return QoS(depth=self.depth, reliable=self.reliable, latched=self.latched)


SENSOR = QoS(depth=5, reliable=False)
STATE = QoS(depth=10)
BULK = QoS(depth=100)
"""Streams of small messages where each one counts, e.g. NMEA sentences and operator actions."""
COMMAND = QoS(depth=1, deadline_s=0.5, lifespan_s=0.5)
LATCHED = QoS(depth=1, latched=True)
HISTORY = QoS(depth=20, latched=True)
"""Latched, and who comes later gets the last twenty."""
