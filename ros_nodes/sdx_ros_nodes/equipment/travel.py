"""Where a level-1 opener stands: it tells only that it moves and for how long yet, so its place is reckoned from its travel time."""

from dataclasses import dataclass
from math import ceil

OVERRUN = 1.1
"""A run to an end lasts this much longer than it must, so that the place is certain again."""
OPENING, CLOSING = 301, 302


@dataclass(frozen=True, slots=True)
class Run:
    """A timed run. `seconds` 0: it is there already, nearer than a second of travel."""

    operation: str
    seconds: int
    ends_pct: float
    over_s: float = 0.0
    """How much of it comes after the end was reached."""


@dataclass
class Travel:
    """One opener.

    Args:
        position_pct: where it stood when last known; None: unknown.
        run: that is under way.
    """

    travel_s: float
    position_pct: float | None = None
    run: Run | None = None

    def run_to(self, wanted_pct: float) -> Run:
        """What brings it there. From an unknown place it shuts first, if it is not to open whole: the run's ends_pct tells."""
        wanted, here = min(max(wanted_pct, 0.0), 100.0), self.position_pct
        if here is None:
            wanted = 100.0 if wanted == 100.0 else 0.0
        opens = wanted > (50.0 if here is None else here)
        operation = "timed_open" if opens else "timed_close"
        way_s = (1.0 if here is None else abs(wanted - here) / 100.0) * self.travel_s
        if wanted in (0.0, 100.0) and here != wanted:
            over_s = (OVERRUN - 1.0) * self.travel_s
            return Run(operation, ceil(way_s + over_s - 1e-6), wanted, over_s)
        seconds = round(way_s)
        if seconds == 0 or here is None:
            return Run("stop", 0, wanted if here is None else here)
        ends = here + (1 if opens else -1) * 100.0 * seconds / self.travel_s
        return Run(operation, seconds, min(max(ends, 0.0), 100.0))

    def begin(self, run: Run | None) -> None:
        """A run began; None: one whose end nobody knows."""
        self.run = run
        if run is None:
            self.position_pct = None

    def see(self, status: int, remaining_s: float) -> float | None:
        """Where it is, from a read-back; None: unknown."""
        if status not in (OPENING, CLOSING):
            if self.run is not None:
                self.position_pct, self.run = self.run.ends_pct, None
            return self.position_pct
        if self.run is None:
            self.position_pct = None  # somebody else moves it
        if self.run is None or self.position_pct is None:
            return None
        left = 100.0 * max(remaining_s - self.run.over_s, 0.0) / self.travel_s
        here = self.run.ends_pct - left if status == OPENING else self.run.ends_pct + left
        return min(max(here, 0.0), 100.0)

    def halt(self, status: int, remaining_s: float) -> None:
        """It was told to stop while it read so."""
        self.position_pct, self.run = self.see(status, remaining_s), None
