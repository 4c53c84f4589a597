"""A matplotlib plot as SVG text whose colours are the page's, so that it follows light and dark. Start at draw_svg()."""

import re
from collections.abc import Callable, Mapping
from io import StringIO
from typing import Any

INK, FAINT = "#010101", "#020202"
SERIES = ("#010102", "#010103", "#010104", "#010105", "#010106", "#010107", "#010108", "#010109")
NAMES = {INK: "--ink", FAINT: "--faint", **{colour: f"--series-{number}" for number, colour in enumerate(SERIES)}}
"""Colours that nobody draws with stand for the page's own."""
WIDTH_IN = 7.6


def draw_svg(
    draw: Callable[[Any], None], height_in: float, salt: str, width_in: float = WIDTH_IN, names: Mapping[str, str] | None = None
) -> str:
    """What `draw(axes)` draws. `salt` keeps the ids of several plots in one page apart; `names`: more colours by the page's variable."""
    from matplotlib import rc_context
    from matplotlib.figure import Figure

    # Text stays text: small, searchable, in the page's own font, and never taken for mathematics.
    with rc_context({"svg.fonttype": "none", "svg.hashsalt": salt, "text.parse_math": False, "font.size": 10}):
        figure = Figure(figsize=(width_in, height_in), layout="constrained")
        axes = figure.add_subplot()
        axes.patch.set_visible(False)
        axes.tick_params(which="both", colors=INK, length=0)
        for side, spine in axes.spines.items():
            spine.set_visible(side == "bottom")
            spine.set_color(FAINT)
        draw(axes)
        held = StringIO()
        figure.savefig(held, format="svg", transparent=True, metadata={"Date": None})
    text = held.getvalue()
    text = re.sub(r"<metadata>.*?</metadata>", "", text[text.index("<svg") :], flags=re.DOTALL)
    for colour, name in {**NAMES, **(names or {})}.items():
        text = text.replace(colour, f"var({name})")
    return re.sub(r"font: ([^;\"]*?) '[^\"]*?sans-serif", r"font: \1 system-ui, sans-serif", text)


def alone(svg: str, colours: str) -> str:
    """An SVG that carries the page's colours itself. `colours`: CSS rules of :root."""
    head, mark, rest = svg.partition(">")
    return f"{head}{mark}<style>{colours} text {{ fill: var(--ink) !important; }}</style>{rest}"
