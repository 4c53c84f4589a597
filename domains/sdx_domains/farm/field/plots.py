"""A season as a picture file: rain and irrigation, depletion of the root zone, canopy."""

from pathlib import Path

from matplotlib.figure import Figure

from sdx_domains.farm.field.plant import FieldPlant


def draw(plant: FieldPlant, path: Path, title: str) -> Path:
    """Written as the suffix of `path` says. ValueError when no day is over yet."""
    if not plant.log:
        raise ValueError("no day of the season is over; step the plant before drawing")
    days = [row["day"] for row in plant.log]
    figure = Figure(figsize=(8.0, 5.0), layout="constrained")
    water, soil = figure.subplots(2, 1, sharex=True)
    water.bar(days, [row["rain_mm"] for row in plant.log], color="#8c8c8c", label="rain, mm")
    water.bar(days, [row["meter_mm"] for row in plant.log], color="#1f4e79", label="irrigation, mm")
    soil.plot(days, [row["depletion_pct"] for row in plant.log], color="#c44e52", label="depletion, % of available water")
    soil.plot(days, [100.0 * row["canopy"] for row in plant.log], color="#55a868", label="canopy, %")
    soil.set_xlabel("days after planting")
    for axes in (water, soil):
        axes.grid(linewidth=0.3)
        axes.legend(fontsize=8)
    water.set_title(title)
    figure.savefig(path, dpi=120)
    return path
