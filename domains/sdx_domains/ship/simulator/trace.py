"""What really happened: the record that scoring and plots read. Positions over ground, in the world's local plane."""

from dataclasses import dataclass, field

from sdx_domains.contract import Order
from sdx_domains.ship.dynamics import MotionState


@dataclass(slots=True)
class Trace:
    """One run, sample by sample; `targets[i]` is the track of the scenario's target i. Grows while the world steps."""

    times_s: list[float] = field(default_factory=list)
    own: list[MotionState] = field(default_factory=list)
    ordered_heading_deg: list[float] = field(default_factory=list)
    """What the autopilot held at each sample."""
    ordered_speed_kn: list[float] = field(default_factory=list)
    targets: list[list[MotionState]] = field(default_factory=list)
    orders: list[tuple[float, Order]] = field(default_factory=list)
    """(time, order) as they were applied."""

    def add(self, t_s: float, own: MotionState, heading_order_deg: float, speed_order_kn: float, targets: list[MotionState]) -> None:
        """One sample; the number of targets never changes."""
        if not self.targets:
            self.targets = [[] for _ in targets]
        self.times_s.append(t_s)
        self.own.append(own)
        self.ordered_heading_deg.append(heading_order_deg)
        self.ordered_speed_kn.append(speed_order_kn)
        for track, state in zip(self.targets, targets, strict=True):
            track.append(state)
