"""How far simulation and record are apart: `python -m sdx_domains.farm.greenhouse.validate --dir FOLDER`.

Each trace in turn is left out, the parameters are fitted to the others, and the left-out one is run free for 24 h from every midnight.
"""

import argparse
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from sdx_domains.farm.greenhouse.fit import errors, fit
from sdx_domains.farm.greenhouse.parameters import Parameters
from sdx_domains.farm.greenhouse.trace import Trace, read_trace

BARS = (1.5, 8.0, 80.0)
"""Largest root mean square error of air temperature K, humidity points, CO2 ppm."""


@dataclass(frozen=True)
class Fold:
    """Errors (root mean square) on one trace by parameters that never saw it."""

    trace: str
    air_temp_k: float
    air_rh_points: float
    co2_ppm: float
    pipe_temp_k: float
    canopy_24h_k: float
    fruit_dry_g_m2: float

    @property
    def passed(self) -> bool:
        return all(found <= bar for found, bar in zip((self.air_temp_k, self.air_rh_points, self.co2_ppm), BARS, strict=True))


def fold(trace: Trace, parameters: Parameters) -> Fold:
    temp, rh, co2, pipe, canopy, fruit, _ = (float(value) for value in errors(trace, parameters))
    return Fold(trace.name, temp, rh, co2, pipe, canopy, 1e-3 * fruit)


def cross_validation(traces: Sequence[Trace], base: Parameters, progress: Callable[[str], None] = lambda _: None) -> list[Fold]:
    """One fold a trace; ValueError below two traces."""
    if len(traces) < 2:
        raise ValueError("cross-validation needs two traces or more")
    found: list[Fold] = []
    for trace in traces:
        progress(f"leaving out {trace.name}")
        found.append(fold(trace, fit([other for other in traces if other is not trace], base)))
    return found


def read_traces(folder: Path) -> list[Trace]:
    """All CSV files of a folder, by name. FileNotFoundError where there is none."""
    paths = sorted(folder.glob("*.csv"))
    if not paths:
        raise FileNotFoundError(f"no traces (*.csv) in {folder}")
    return [read_trace(path) for path in paths]


def table(folds: Sequence[Fold]) -> str:
    """For people: a line a fold and the bars."""
    head = f"{'trace left out':24}{'air K':>8}{'RH pt':>8}{'CO2 ppm':>9}{'pipe K':>8}{'leaf24 K':>10}{'fruit g/m2':>12}  within bars"
    lines = [
        f"{f.trace:24}{f.air_temp_k:8.2f}{f.air_rh_points:8.2f}{f.co2_ppm:9.1f}{f.pipe_temp_k:8.2f}{f.canopy_24h_k:10.2f}"
        f"{f.fruit_dry_g_m2:12.2f}  {'yes' if f.passed else 'no'}"
        for f in folds
    ]
    return "\n".join([head, *lines, f"{'bar':24}{BARS[0]:8.2f}{BARS[1]:8.2f}{BARS[2]:9.1f}"])


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="validate", description="Errors of the greenhouse simulator on recorded runs.")
    parser.add_argument("--dir", type=Path, required=True, help="folder of traces, columns as in greenhouse/trace.py")
    parser.add_argument(
        "--shipped", action="store_true", help="errors of the shipped parameters instead of leaving each trace out of a fit"
    )
    given = parser.parse_args(arguments)
    try:
        traces = read_traces(given.dir)
        if given.shipped:
            folds = [fold(trace, Parameters.read()) for trace in traces]
        else:
            folds = cross_validation(traces, Parameters.read("published"), lambda text: print(text, flush=True))
    except (ValueError, TypeError, OSError) as error:
        parser.error(str(error))
    print(table(folds))
    return 0 if all(one.passed for one in folds) else 1


if __name__ == "__main__":
    raise SystemExit(main())
