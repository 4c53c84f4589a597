"""Pictures of a run: tracks with time marks, closest approaches, the CPA limit around own ship."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from matplotlib.patches import Circle

from sdx_domains.ship.dynamics import MotionState
from sdx_domains.ship.geometry import NM_M
from sdx_domains.ship.simulator.trace import Trace
from sdx_domains.ship.truth import least_range

MARK_EVERY_S = 300.0
COLOURS = ("#c44e52", "#dd8452", "#8172b3", "#937860", "#da8bc3", "#8c8c8c")
OWN_COLOUR = "#1f4e79"


def plot_tracks(trace: Trace, path: Path, title: str = "", cpa_limit_nm: float = 0.5) -> Path:
    """North-up plan view of a run, written as the suffix of `path` says (.png, .svg, .pdf).

    Dots every 5 minutes, the whole tens numbered in minutes; a ring of `cpa_limit_nm` about own ship at the overall closest approach.

    Raises:
        ValueError: the trace is empty.
    """
    if not trace.times_s:
        raise ValueError("the trace has no sample; step the world before plotting")
    figure = Figure(figsize=(7.0, 7.0), layout="constrained")
    axes = figure.add_subplot()
    own = _line(axes, trace.times_s, trace.own, OWN_COLOUR, "own ship", 2.2)
    nearest: tuple[float, int] | None = None
    for row, states in enumerate(trace.targets):
        colour = COLOURS[row % len(COLOURS)]
        track = _line(axes, trace.times_s, states, colour, f"target {row + 1}", 1.4)
        distance, i = least_range(track[:, 0] - own[:, 0], track[:, 1] - own[:, 1])
        axes.plot([own[i, 1], track[i, 1]], [own[i, 0], track[i, 0]], color=colour, linewidth=0.8, linestyle=":")
        label = f"{distance:.2f} NM at {trace.times_s[i] / 60.0:.0f} min"
        axes.annotate(label, (track[i, 1], track[i, 0]), xytext=(4, 4), textcoords="offset points", fontsize=7, color=colour)
        nearest = min((distance, i), nearest or (distance, i))
    if nearest is not None:
        at = own[nearest[1]]
        axes.add_patch(Circle((at[1], at[0]), cpa_limit_nm, fill=False, color=OWN_COLOUR, linestyle="--", linewidth=0.8))
    axes.set_aspect("equal", adjustable="datalim")
    axes.set_xlabel("east, NM")
    axes.set_ylabel("north, NM")
    axes.set_title(title)
    axes.grid(linewidth=0.3)
    axes.legend(fontsize=8, loc="best")
    figure.savefig(path, dpi=120)
    return path


def _line(axes: Any, times_s: Sequence[float], states: Sequence[MotionState], colour: str, label: str, width: float) -> np.ndarray:
    """Draw one track; gives its positions (T, 2), north and east in NM."""
    miles = np.array([(state.north_m, state.east_m) for state in states]) / NM_M
    axes.plot(miles[:, 1], miles[:, 0], color=colour, linewidth=width, label=label)
    times = np.array(times_s)
    marks = np.unique(np.searchsorted(times, np.arange(times[0], times[-1] + 1.0, MARK_EVERY_S)).clip(max=len(times) - 1))
    axes.plot(miles[marks, 1], miles[marks, 0], "o", color=colour, markersize=3)
    for i in marks:
        if round(float(times[i]) / 60.0) % 10 == 0:
            axes.annotate(f"{times[i] / 60.0:.0f}", (miles[i, 1], miles[i, 0]), xytext=(3, -8), textcoords="offset points", fontsize=7)
    return miles
