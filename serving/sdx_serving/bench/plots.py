"""The plots of an experiment: accuracy, latency and size; tokens per second by concurrency; memory. Start at plots()."""

from collections.abc import Mapping, Sequence
from typing import Any

from sdx_serving.bench.conclude import plain_way
from sdx_serving.bench.rows import Measured
from sdx_serving.bench.svg import FAINT, INK, SERIES, draw_svg

MARKS = ("o", "s", "^", "D", "v", "P")
"""One for each runtime, so that colour is not all that tells them apart."""


def plots(measured: Sequence[Measured]) -> Mapping[str, tuple[str, str]]:
    """(what it shows, SVG) by name; what cannot be drawn from these rows is left out."""
    good = [one for one in measured if not one.row.failure and one.row.request_s]
    if not good:
        return {}
    plain = plain_way(good)
    way = plain[0].cell.way
    drawn = {
        "front": (
            f"Task accuracy against the median request ({way}); the area of a mark is the size of its weights, the line joins what nothing beats in both.",
            front_plot(plain),
        ),
        "concurrency": ("Tokens per second of all requests together, by how many are under way (HTTP).", concurrency_plot(good)),
        "memory": (f"Peak resident memory of all processes of the server ({way}), the part of the weights darker.", memory_plot(plain)),
    }
    return {name: (told, svg) for name, (told, svg) in drawn.items() if svg}


def front(points: Sequence[tuple[float, float]]) -> list[int]:
    """Of (cost, gain): numbers of those that no other beats, cheapest first; of equals the first."""
    found: list[int] = []
    for number in sorted(range(len(points)), key=lambda i: (points[i][0], -points[i][1], i)):
        if not found or points[number][1] > points[found[-1]][1]:
            found.append(number)
    return found


def front_plot(rows: Sequence[Measured]) -> str:
    points = [(one.row.request_s.p50, one.row.accuracy) for one in rows if one.row.request_s and one.row.accuracy is not None]
    largest = max(one.row.weights_bytes for one in rows) or 1

    def draw(axes: Any) -> None:
        best = front(points)
        axes.plot([points[i][0] for i in best], [points[i][1] for i in best], color=FAINT, linewidth=1.2, zorder=1)
        runtimes = list(dict.fromkeys(one.cell.runtime for one in rows))
        for one, (x, y) in zip(rows, points, strict=True):
            style = runtimes.index(one.cell.runtime)
            area = 40 + 260 * one.row.weights_bytes / largest
            axes.scatter([x], [y], s=area, color=SERIES[style % len(SERIES)], marker=MARKS[style % len(MARKS)], alpha=0.75, linewidths=0)
        _labels(axes, [(x, y, one.row.compression) for one, (x, y) in zip(rows, points, strict=True)])
        for style, runtime in enumerate(runtimes):
            axes.scatter([], [], color=SERIES[style % len(SERIES)], marker=MARKS[style % len(MARKS)], label=runtime)
        axes.margins(0.12, 0.22)
        low, high = axes.get_ylim()
        axes.set_yticks([tick for tick in axes.get_yticks() if low <= tick <= min(high, 1.0)])  # room for names, but no accuracy beyond 1
        axes.set_ylim(low, high)
        axes.set_xlabel("median request, seconds", color=INK)
        axes.set_ylabel("accuracy", color=INK)
        axes.grid(color=FAINT, alpha=0.25, linewidth=0.6)
        axes.legend(frameon=False, labelcolor=INK, loc="lower left", bbox_to_anchor=(0.0, 1.0), ncols=len(runtimes))

    return draw_svg(draw, 4.2, "front")


def _labels(axes: Any, named: Sequence[tuple[float, float, str]]) -> None:
    """Near and far, above and below in turn along the x axis, so that neighbours do not write over each other."""
    for number, (x, y, name) in enumerate(sorted(named)):
        away = (13, -13, 27, -27)[number % 4]
        axes.annotate(
            name, (x, y), textcoords="offset points", xytext=(0, away), ha="center", va="bottom" if away > 0 else "top",
            color=INK, fontsize=9,
        )  # fmt: skip


def concurrency_plot(good: Sequence[Measured]) -> str:
    lines: dict[tuple[str, str], list[tuple[int, float]]] = {}
    for one in good:
        if one.row.way == "http" and one.row.tokens_per_s:
            lines.setdefault((one.row.compression, one.cell.runtime), []).append((one.row.concurrency, one.row.tokens_per_s))
    if len({at for line in lines.values() for at, _ in line}) < 2:
        return ""
    runtimes = list(dict.fromkeys(runtime for _, runtime in lines))

    def draw(axes: Any) -> None:
        for number, ((compression, runtime), line) in enumerate(lines.items()):
            style = runtimes.index(runtime)
            axes.plot(
                *zip(*sorted(line), strict=True), color=SERIES[number % len(SERIES)], marker=MARKS[style % len(MARKS)],
                linestyle=("-", "--", ":", "-.")[style % 4], linewidth=1.4, markersize=5, label=f"{compression}, {runtime}",
            )  # fmt: skip
        axes.set_xscale("log", base=2)
        ticks = sorted({at for line in lines.values() for at, _ in line})
        axes.set_xticks(ticks, [str(tick) for tick in ticks])
        axes.minorticks_off()
        axes.set_ylim(bottom=0)
        axes.set_xlabel("requests at once", color=INK)
        axes.set_ylabel("tokens per second", color=INK)
        axes.grid(axis="y", color=FAINT, alpha=0.3, linewidth=0.6)
        axes.legend(frameon=False, labelcolor=INK, ncols=3, loc="upper center", bbox_to_anchor=(0.5, -0.16), fontsize=9)

    return draw_svg(draw, 4.4, "concurrency")


def memory_plot(rows: Sequence[Measured]) -> str:
    told = [one for one in rows if one.row.peak_rss_bytes]
    if not told:
        return ""

    def draw(axes: Any) -> None:
        for number, one in enumerate(told):
            whole, weights = (one.row.peak_rss_bytes or 0) / 1e6, one.row.weights_bytes / 1e6
            axes.barh(number, whole, color=SERIES[0], alpha=0.45, height=0.62)
            axes.barh(number, min(weights, whole), color=SERIES[0], height=0.62)
            axes.annotate(f" {whole:.0f}", (whole, number), va="center", color=INK, fontsize=9)
        axes.set_yticks(range(len(told)), [f"{one.row.compression}, {one.cell.runtime}" for one in told])
        axes.set_ylim(len(told) - 0.4, -0.6)
        axes.margins(x=0.1)
        axes.set_xlabel("megabytes", color=INK)
        axes.grid(axis="x", color=FAINT, alpha=0.3, linewidth=0.6)

    return draw_svg(draw, 0.9 + 0.3 * len(told), "memory")
