"""Fits the simulator to a house: `python -m sdx_domains.farm.greenhouse.fit TRACE.csv [TRACE.csv ...] --out house.yaml`.

Takes traces of trace.py's columns, at least two days each, and writes a file that Parameters.read() takes by its path.
"""

import argparse
from collections.abc import Callable, Sequence
from math import inf
from pathlib import Path

import numpy as np
import yaml
from numpy.typing import NDArray

from sdx_domains.farm.greenhouse.parameters import Parameters
from sdx_domains.farm.greenhouse.trace import Trace, read_trace, replay

Array = NDArray[np.float64]
RANGES = {
    "roof_tau": (0.85, 1.15), "roof_emissivity": (0.9, 1.12), "cover_inside_w": (0.7, 1.4), "cover_outside_w": (0.7, 1.4),
    "vent_discharge": (0.7, 1.4), "vent_wind": (0.6, 1.6), "leakage": (0.5, 2.0), "thermal_leak": (0.5, 2.0),
    "soil_conduction_w_m_k": (0.6, 1.7), "boiler_w_m2": (0.9, 1.1), "lamp_cooled": (0.7, 1.3), "stomata_min_s_m": (0.7, 1.4),
    "boundary_s_m": (0.7, 1.4), "electrons_per_photon": (0.9, 1.1), "grow_fruit_mg": (0.8, 1.2),
}  # fmt: skip
"""What is fitted, and between which multiples of the published value: beyond these a parameter would stand for something else than it is
named after (measured spreads in Vanthoor 2011a, section 4, and Katzin 2020, section 3; ours where they name none)."""
FITTED = tuple(RANGES)
SCALE = np.array([0.5, 2.5, 30.0, 1.5, 0.3, 500.0, 1.0])
"""What counts as one unit of error, in the order of trace.OBSERVED: K, points, ppm, K, K, mg/m2, K d."""
PRIOR = 0.1
"""Pull to the published values: a parameter that the traces say nothing of stays there. Share of the value that costs as much as one unit
of error everywhere, over the root of the number of values."""
ROUNDS = 12


def fit(traces: Sequence[Trace], base: Parameters, progress: Callable[[str], None] = lambda _: None) -> Parameters:
    """Least squares of the free runs of all traces over FITTED, each within its RANGES of the base's value."""
    from scipy.optimize import least_squares

    if not traces or any(len(trace.weather) < 2 * trace.day_rows for trace in traces):
        raise ValueError("a fit needs traces of two days or more")
    published = np.array([base[name] for name in FITTED])
    count = sum(trace.observed.size for trace in traces)

    best = [inf]

    def error(factors: Array) -> Array:
        trial = base.replaced(**dict(zip(FITTED, (published * factors).tolist(), strict=True)))
        parts = [((replay(trace, trial) - trace.observed) / SCALE).ravel() for trace in traces]
        known = np.concatenate(parts)
        mean = float(np.sqrt(np.nanmean(known**2)))
        if mean < 0.995 * best[0]:
            best[0] = mean
            progress(f"error {mean:.3f}")
        return np.concatenate([np.nan_to_num(known) / np.sqrt(count), PRIOR * (factors - 1.0)])

    found = least_squares(
        error, np.ones(len(FITTED)), bounds=tuple(zip(*RANGES.values(), strict=True)), x_scale=0.1, diff_step=0.01, max_nfev=ROUNDS
    )
    return base.replaced(**dict(zip(FITTED, (published * found.x).tolist(), strict=True)))


def errors(trace: Trace, parameters: Parameters) -> Array:
    """Root mean square of simulation minus record, in the order of trace.OBSERVED, over free runs of a day."""
    squares: Array = np.nanmean((replay(trace, parameters) - trace.observed) ** 2, axis=0)
    return np.sqrt(squares)


def write_fit(path: Path, fitted: Parameters, base: str, traces: Sequence[str]) -> None:
    """As a file over `base`, whole or absent."""
    values = {name: float(f"{fitted[name]:.5g}") for name in FITTED}
    text = yaml.safe_dump({"base": base, "fitted_on": list(traces), "values": values}, sort_keys=False)
    part = path.with_suffix(".part")
    part.write_text("# Written by greenhouse/fit.py: what differs from the base, with names and units as there.\n" + text, encoding="utf-8")
    part.replace(path)


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="fit", description="Fit the greenhouse simulator to recorded runs of a house.")
    parser.add_argument("traces", nargs="+", type=Path, help="CSV files, columns as in greenhouse/trace.py")
    parser.add_argument("--out", type=Path, required=True, help="parameter file to write, .yaml")
    parser.add_argument("--base", default="published", help="parameters to start from and stay near")
    given = parser.parse_args(arguments)
    try:
        traces = [read_trace(path) for path in given.traces]
        fitted = fit(traces, Parameters.read(given.base), lambda text: print(text, flush=True))
        write_fit(given.out, fitted, given.base, [trace.name for trace in traces])
    except (ValueError, TypeError, OSError) as error:
        parser.error(str(error))
    print(f"written to {given.out}")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
