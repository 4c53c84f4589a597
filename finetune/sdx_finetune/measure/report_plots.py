"""The plots of an evaluation's report as SVG text to stand inside a page; the page's style gives the colours."""

import warnings
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from sdx_serving.bench.svg import FAINT, INK, SERIES, draw_svg

MARKS = SERIES[:5]
"""As many as the page has colours for."""
NAMES = {"#020101": "--better", "#020102": "--worse"}
VERDICTS = {"better": "#020101", "worse": "#020102", "no difference seen": FAINT, "too few rows": FAINT}


def figures_plot(models: Sequence[Mapping[str, Any]]) -> str:
    """Each metric between 0 and 1 with its interval, a mark per model."""
    names = [name for name, found in models[-1]["figures"].items() if 0 <= found["mean"] <= 1]
    if not names:
        return ""

    def draw(axes: Any) -> None:
        for number, model in enumerate(models):
            shift = (number - (len(models) - 1) / 2) * 0.22
            found = [(i + shift, model["figures"][name]) for i, name in enumerate(names) if name in model["figures"]]
            _marks(axes, found, MARKS[number % len(MARKS)], model["label"])
        _rows(axes, names)
        axes.set_xlim(-0.02, 1.02)
        axes.legend(loc="upper center", bbox_to_anchor=(0.5, 1.0 + 0.5 / len(names)), ncols=len(models), frameon=False, labelcolor=INK)

    return _svg(draw, 0.8 + 0.42 * len(names), "figures")


def differences_plot(differences: Mapping[str, Mapping[str, Any]], against: str) -> str:
    """The paired difference of each metric with its interval, around zero."""
    names = list(differences)
    if not names:
        return ""

    def draw(axes: Any) -> None:
        axes.axvline(0, color=INK, linewidth=1)
        for i, name in enumerate(names):
            one = {"mean": differences[name]["mean"], **differences[name]}
            _marks(axes, [(i, one)], VERDICTS[one["verdict"]], None)
        _rows(axes, names)

    return _svg(draw, 0.7 + 0.3 * len(names), f"differences-{against}")


def loss_plot(train: Sequence[tuple[float, float]], held_out: Sequence[tuple[float, float]]) -> str:
    """(step, loss) of training and of held-out rows."""
    if not train and not held_out:
        return ""

    def draw(axes: Any) -> None:
        if train:
            axes.plot(*zip(*train, strict=True), color=MARKS[0], linewidth=1.2, label="training")
        if held_out:
            axes.plot(*zip(*held_out, strict=True), color=MARKS[1], linewidth=1.6, marker="o", markersize=3.5, label="held out")
        axes.set_xlabel("step", color=INK)
        axes.set_ylabel("loss", color=INK)
        axes.legend(frameon=False, labelcolor=INK)
        axes.grid(axis="y", color=FAINT, alpha=0.3, linewidth=0.6)

    return _svg(draw, 3.0, "loss")


def _marks(axes: Any, found: Sequence[tuple[float, Mapping[str, float]]], colour: str, label: str | None) -> None:
    at = [y for y, _ in found]
    middle = [one["mean"] for _, one in found]
    spread = [[max(0.0, one["mean"] - one["low"]) for _, one in found], [max(0.0, one["high"] - one["mean"]) for _, one in found]]
    axes.errorbar(middle, at, xerr=spread, fmt="o", color=colour, markersize=5, linewidth=1.6, capsize=0, label=label)


def _rows(axes: Any, names: Sequence[str]) -> None:
    axes.set_yticks(range(len(names)), names)
    axes.set_ylim(len(names) - 0.5, -0.5)
    axes.grid(axis="x", color=FAINT, alpha=0.3, linewidth=0.6)


def _svg(draw: Callable[[Any], None], height_in: float, salt: str) -> str:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # letters that the font for measuring lacks; the page's font has them
        return draw_svg(draw, height_in, salt, names=NAMES)
