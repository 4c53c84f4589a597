"""An evaluation as one HTML page that needs nothing else: figures, differences, plots, the rows that were lost, how it was made."""

import json
from collections import Counter
from collections.abc import Mapping
from importlib.resources import files
from pathlib import Path
from typing import Any

import yaml
from jinja2 import Environment, StrictUndefined
from markupsafe import Markup

from sdx_finetune.datasets.store import Card
from sdx_finetune.journal import write_whole
from sdx_finetune.measure.report_plots import differences_plot, figures_plot, loss_plot

MOST_POINTS = 1000
"""Of the loss curve."""


def write_report(
    result: Mapping[str, Any],
    target: Path,
    *,
    title: str,
    work: Path | None = None,
    recipe: Mapping[str, Any] | None = None,
    card: Card | None = None,
) -> Path:
    """Render report.html.j2 from what side_by_side.compare() found.

    work: folder of the training; its train.jsonl and parity.json are shown where they are there.
    """
    environment = Environment(undefined=StrictUndefined, autoescape=True, trim_blocks=True, lstrip_blocks=True)
    environment.filters |= {"figure": _number, "signed": lambda value: f"{value:+.3f}"}
    template = environment.from_string(files("sdx_finetune.measure").joinpath("report.html.j2").read_text(encoding="utf-8"))
    page = template.render(
        title=title,
        result=result,
        new=result["models"][-1],
        tally={label: Counter(one["verdict"] for one in found.values()) for label, found in result["differences"].items()},
        figures_svg=Markup(figures_plot(result["models"])),
        differences_svg={label: Markup(differences_plot(found, label)) for label, found in result["differences"].items()},
        loss_svg=Markup(loss_plot(*losses(work / "train.jsonl") if work else ([], []))),
        recipe=yaml.safe_dump(recipe, sort_keys=False, allow_unicode=True) if recipe else "",
        card=card.model_dump() if card else None,
        parity=_parity(work / "parity.json") if work else [],
        origin={name: result[name] for name in ("commit", "machine", "python", "packages")},
    )
    write_whole(target, page.encode())
    return target


def losses(path: Path) -> tuple[list[tuple[float, float]], list[tuple[float, float]]]:
    """(step, loss) while training and on held-out rows, from train.jsonl; a line that a kill cut off is passed over."""
    train: dict[float, float] = {}
    held: dict[float, float] = {}
    for line in path.read_text(encoding="utf-8").splitlines() if path.exists() else ():
        try:
            record = json.loads(line)
        except json.JSONDecodeError:
            continue
        if record.get("loss") is not None:
            train[record["step"]] = record["loss"]
        value = record.get("eval_loss", record.get("held_out_loss"))
        if value is not None and value != next(reversed(held.values()), None):  # the last one is told again with each line
            held[record["step"]] = value
    return _thinned(train), _thinned(held)


def _thinned(found: Mapping[float, float]) -> list[tuple[float, float]]:
    points = sorted(found.items())
    return points[:: max(1, len(points) // MOST_POINTS)]


def _parity(path: Path) -> list[dict[str, Any]]:
    return json.loads(path.read_text(encoding="utf-8"))["reports"] if path.exists() else []


def _number(value: object) -> str:
    return f"{value:.3f}" if isinstance(value, float) else str(value)
