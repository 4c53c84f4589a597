"""What is measured of this domain beside its suites of scenarios, by name; each loads what it needs when it is asked for."""

from collections.abc import Callable, Mapping
from typing import Any

from sdx_domains.contract import Measuring


def validation(asked: Measuring) -> dict[str, Any]:
    """The greenhouse against recorded traces (folder), each left out in turn. ValueError without a folder."""
    from dataclasses import asdict

    from sdx_domains.farm.greenhouse.parameters import Parameters
    from sdx_domains.farm.greenhouse.validate import BARS, cross_validation, read_traces

    if asked.folder is None:
        raise ValueError("validation needs recorded traces: give their folder with --dir")
    folds = cross_validation(read_traces(asked.folder), Parameters.read(), asked.say)
    return {"folds": [{**asdict(fold), "passed": fold.passed} for fold in folds], "bars_k_points_ppm": list(BARS)}


def motors(asked: Measuring) -> dict[str, Any]:
    """Who foresees the window motors' openings minute by minute."""
    from sdx_domains.farm.motors.bench import measure

    return measure(asked)


def sim(asked: Measuring) -> dict[str, Any]:
    """One-minute steps a second, and the time of a 72-h roll-out of eight plans."""
    from dataclasses import asdict

    from sdx_domains.farm.greenhouse.bench import speed

    return asdict(speed(asked.count or 5))


def irrigation(asked: Measuring) -> dict[str, Any]:
    """Water for full yield on the seasons that nothing was tuned on, against irrigation rules: some minutes."""
    from sdx_domains.farm.field.bench import bench
    from sdx_domains.farm.field.scenarios import HELD_OUT_YEARS

    return bench(HELD_OUT_YEARS[: asked.count], asked.seed, asked.say)


def cited(asked: Measuring) -> dict[str, Any]:
    """Numbers that texts cite against the picture, English and Korean, at `count` moments of simulated seasons."""
    from sdx_domains.farm.cited import SEED, cited

    return cited(asked.count or 40, SEED + asked.seed)


def fuzz(asked: Measuring) -> dict[str, Any]:
    """Hostile commands and plans against the box that the controller must not leave."""
    from dataclasses import asdict

    from sdx_domains.farm.control.fuzz import fuzz

    return asdict(fuzz(asked.count or 1_000_000, asked.seed, asked.say))


MEASURES: Mapping[str, Callable[[Measuring], dict[str, Any]]] = {
    "sim": sim, "validation": validation, "fuzz": fuzz, "irrigation": irrigation, "motors": motors, "citations": cited,
}  # fmt: skip
