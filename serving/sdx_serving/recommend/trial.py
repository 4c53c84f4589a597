"""How good the estimator is: on published rows of devices that it was not fitted to, and on this machine. Start at published_trial(), here_trial().

sdx bench estimator              published rows, each device left out in turn
sdx bench estimator --here       this machine: each file from the measurements of the other files
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from sdx_serving.devices.device import Device
from sdx_serving.recommend.constants import Constants, Priors
from sdx_serving.recommend.estimate import Asked, Knowledge, estimate
from sdx_serving.recommend.fit import left_out
from sdx_serving.recommend.own import Seen
from sdx_serving.recommend.rows import Row, read_rows
from sdx_serving.recommend.timing import Load, tokens_per_s


def published_trial(path: Path, known: Mapping[str, Device], priors: Priors, shipped: Constants | None = None) -> dict[str, Any]:
    """Each row of the file against an estimate that no row of its device has touched; or against one by constants that are given."""
    rows = read_rows(path, known, priors)
    if shipped is None:
        return _summary(left_out(rows, priors))
    return _summary([(row, tokens_per_s(row.facts, row.place, row.load, shipped, row.with_prefill)) for row in rows])


def _summary(estimated: Sequence[tuple[Row, float]]) -> dict[str, Any]:
    ratios = np.array([estimate_tok_s / row.tokens_per_s for row, estimate_tok_s in estimated])
    factors = np.maximum(ratios, 1 / ratios)
    rows = [
        {"row": row.label, "measured": row.tokens_per_s, "estimated": round(value, 2), "ratio": round(value / row.tokens_per_s, 3)}
        for row, value in estimated
    ]
    return {
        "rows": rows,
        "devices": len({row.place.device for row, _ in estimated}),
        "median_error": round(float(np.median(np.abs(ratios - 1))), 4),
        "within_1_5": round(float(np.mean(factors <= 1.5)), 4),
        "worst_factor": round(float(factors.max()), 3),
    }


def here_trial(device: Device, measured: Sequence[Seen], known: Knowledge) -> dict[str, Any]:
    """Each measurement against an estimate from the others on this device: its own model in its own form is left out.

    Errors are of tokens a second, of the first token cold, and of the most memory held.
    """
    rows = [row for seen in measured if (row := _against_others(seen, device, measured, known))]
    if not rows:
        raise ValueError("an estimate from the others wants two measurements of a runtime at least")
    worst = {what: max(abs(row[what]) for row in rows) for what in ("decode_error", "memory_error")}
    return {"device": device.id, "rows": rows, **{f"worst_{what}": round(value, 4) for what, value in worst.items()}}


def _against_others(seen: Seen, device: Device, measured: Sequence[Seen], known: Knowledge) -> dict[str, Any] | None:
    row = seen.row
    others = [other for other in measured if other.row.runtime == row.runtime and other.facts != seen.facts]
    runtime = device.runtime(row.runtime.split(" ")[0])
    if not others or runtime is None or row.decode_tokens_per_s is None:
        return None
    asked = Asked(Load(row.prompt_tokens, row.output_tokens, row.concurrency), row.context_tokens, row.threads)
    guess = estimate(seen.facts, device, runtime, asked, Knowledge(known.constants, known.fitted, others))
    rate, cold = guess.tokens_per_s.middle or 0.0, guess.ttft_cold_s
    rss = row.peak_rss_bytes or 0
    return {
        "model": row.model,
        "quantisation": row.compression,
        "runtime": row.runtime,
        "from": len(others),
        "measured_tok_s": round(row.decode_tokens_per_s, 1),
        "estimated_tok_s": round(rate, 1),
        "decode_error": round(rate / row.decode_tokens_per_s - 1, 4),
        "measured_ttft_s": round(row.ttft_cold_s.p50, 4) if row.ttft_cold_s else None,
        "estimated_ttft_s": round(cold.middle, 4) if cold and cold.middle else None,
        "measured_mb": round(rss / 1e6, 1),
        "estimated_mb": round(guess.memory.total / 1e6, 1),
        "memory_error": round(guess.memory.total / rss - 1, 4) if rss else 0.0,
    }
