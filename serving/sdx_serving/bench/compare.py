"""Two experiments side by side, e.g. two machines or two commits: what became faster, slower, better, worse. Start at compare()."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Literal

from sdx_serving.closed import Closed
from sdx_serving.results import Measurement, Results

Verdict = Literal["better", "worse", "as before"]
FIGURES = ("accuracy", "request p50 s", "request p95 s", "first token warm s", "tokens/s", "memory bytes", "energy J")
MORE_IS_BETTER = frozenset({"accuracy", "tokens/s"})


class Change(Closed):
    """One figure of one cell in both."""

    cell: str
    figure: str
    before: float
    after: float
    verdict: Verdict

    @property
    def ratio(self) -> float | None:
        """None where there was nothing before."""
        return self.after / self.before if self.before else None


class Comparison(Closed):
    """All of them, and what only one of the two has."""

    changes: tuple[Change, ...]
    only_before: tuple[str, ...]
    only_after: tuple[str, ...]
    failed: tuple[str, ...]
    """Measured in the first, failed in the second, with the reason."""


def read_rows(path: Path) -> list[Measurement]:
    """ValueError when the file holds none."""
    rows = list(Results(path))
    if not rows:
        raise ValueError(f"{path}: no measurement in it: give the results.jsonl of `sdx bench serve`")
    return rows


def compare(before: Sequence[Measurement], after: Sequence[Measurement], noise: float = 0.1) -> Comparison:
    """Cells are the same by model, compression, engine, way and concurrency, whatever the machine, version or commit.

    Args:
        noise: share by which a figure may differ and count as it was before; of accuracy, in whole points that share's tenth.
    """
    old, new = ({_cell(row): row for row in rows} for rows in (before, after))
    both = [name for name in old if name in new]
    fine = [name for name in both if not old[name].failure and not new[name].failure]
    changes = [change for name in fine for change in _changes(name, old[name], new[name], noise)]
    failed = [f"{name}: {new[name].failure}" for name in both if new[name].failure and not old[name].failure]
    return Comparison(
        changes=tuple(changes),
        only_before=tuple(name for name in old if name not in new),
        only_after=tuple(name for name in new if name not in old),
        failed=tuple(failed),
    )


def _cell(row: Measurement) -> str:
    way = "in-process" if row.way == "in-process" else f"http x{row.concurrency}"
    return f"{row.model} {row.compression}, {row.runtime.split(' ')[0]}, {way}" + (f", {row.impairment}" if row.impairment else "")


def _changes(name: str, old: Measurement, new: Measurement, noise: float) -> Iterator[Change]:
    for figure, before, after in zip(FIGURES, _figures(old), _figures(new), strict=True):
        if before is None or after is None:
            continue
        small = noise / 10 if figure == "accuracy" else noise * before
        step = after - before if figure in MORE_IS_BETTER else before - after
        verdict: Verdict = "as before" if abs(step) <= small else "better" if step > 0 else "worse"
        yield Change(cell=name, figure=figure, before=before, after=after, verdict=verdict)


def _figures(row: Measurement) -> tuple[float | None, ...]:
    request, warm = row.request_s, row.ttft_warm_s
    return (
        row.accuracy,
        request.p50 if request else None,
        request.p95 if request else None,
        warm.p50 if warm else None,
        row.tokens_per_s,
        row.peak_rss_bytes,
        row.energy_j,
    )
