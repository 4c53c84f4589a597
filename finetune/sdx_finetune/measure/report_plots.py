"""The plots of an evaluation's report as SVG text to stand inside a page; the page's style gives the colours."""

import re
import warnings
from collections.abc import Callable, Mapping, Sequence
from io import StringIO
from typing import Any

INK, FAINT = "#010101", "#020202"
SERIES = ("#010102", "#010103", "#010104", "#010105", "#010106")
VERDICTS = {"better": "#010107", "worse": "#010108", "no difference seen": FAINT, "too few rows": FAINT}
NAMES = {
    INK: "--ink",
    FAINT: "--faint",
    **{colour: f"--series-{i}" for i, colour in enumerate(SERIES)},
    "#010107": "--better",
    "#010108": "--worse",
}
"""Colours that no page uses stand for the page's own, so that a plot follows light and dark."""
WIDTH_IN = 7.6


def figures_plot(models: Sequence[Mapping[str, Any]]) -> str:
    """Each metric between 0 and 1 with its interval, a mark per model."""
    names = [name for name, found in models[-1]["figures"].items() if 0 <= found["mean"] <= 1]
    if not names:
        return ""

    def draw(axes: Any) -> None:
        for number, model in enumerate(models):
            shift = (number - (len(models) - 1) / 2) * 0.22
            found = [(i + shift, model["figures"][name]) for i, name in enumerate(names) if name in model["figures"]]
            _marks(axes, found, SERIES[number % len(SERIES)], model["label"])
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
            axes.plot(*zip(*train, strict=True), color=SERIES[0], linewidth=1.2, label="training")
        if held_out:
            axes.plot(*zip(*held_out, strict=True), color=SERIES[1], linewidth=1.6, marker="o", markersize=3.5, label="held out")
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
    """`salt` keeps the ids of several plots in one page apart."""
    from matplotlib import rc_context
    from matplotlib.figure import Figure

    # Text stays text: small, searchable, in the page's own font, and never taken for mathematics.
    with rc_context({"svg.fonttype": "none", "svg.hashsalt": salt, "text.parse_math": False, "font.size": 10}), warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # letters that the font for measuring lacks; the page's font has them
        figure = Figure(figsize=(WIDTH_IN, height_in), layout="constrained")
        axes = figure.add_subplot()
        axes.patch.set_visible(False)
        axes.tick_params(colors=INK, length=0)
        for side, spine in axes.spines.items():
            spine.set_visible(side == "bottom")
            spine.set_color(FAINT)
        draw(axes)
        held = StringIO()
        figure.savefig(held, format="svg", transparent=True, metadata={"Date": None})
    text = held.getvalue()
    text = re.sub(r"<metadata>.*?</metadata>", "", text[text.index("<svg") :], flags=re.DOTALL)
    for colour, name in NAMES.items():
        text = text.replace(colour, f"var({name})")
    return re.sub(r"font: ([^;\"]*?) '[^\"]*?sans-serif", r"font: \1 system-ui, sans-serif", text)
