"""A circuit breaker: what fails again and again is left alone until a probe finds it back."""

from typing import Literal

State = Literal["closed", "open", "half-open"]


class Breaker:
    """Closed: requests pass. Open, after `failures` on end: none does. Half-open, after a good probe: one passes, and decides."""

    def __init__(self, failures: int = 3) -> None:
        self.state: State = "closed"
        self.opened = 0
        """How often."""
        self._limit, self._failed, self._on_trial = failures, 0, False

    @property
    def passes(self) -> bool:
        return self.state == "closed" or (self.state == "half-open" and not self._on_trial)

    def begin(self) -> None:
        """A request goes to it now."""
        self._on_trial = self._on_trial or self.state == "half-open"

    def succeeded(self) -> None:
        self.state, self._failed, self._on_trial = "closed", 0, False

    def failed(self) -> None:
        self._failed += 1
        if self.state == "half-open" or (self.state == "closed" and self._failed >= self._limit):
            self.state = "open"
            self.opened += 1
        self._on_trial = False

    def left(self) -> None:
        """A request ended without saying anything about it: the client went, or there was no time to judge by."""
        self._on_trial = False

    def probed(self, well: bool) -> None:
        """What a probe found."""
        if well and self.state == "open":
            self.state = "half-open"
