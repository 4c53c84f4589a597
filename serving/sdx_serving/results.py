"""What was measured of a model on a device: one row each, failures too, kept for the recommender.

Written by `sdx bench serve` and `sdx recommend --verify`, read by the estimator. Start at Results.
"""

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

from pydantic import Field

from sdx_serving.closed import Closed

Way = Literal["in-process", "http", "http-impaired"]
"""How the model is asked: a function call, over loopback, or over a network made worse on purpose."""


class Spread(Closed):
    """Seconds of one thing over all requests."""

    p50: float = Field(ge=0.0)
    p95: float = Field(ge=0.0)
    p99: float = Field(ge=0.0)


class Measurement(Closed):
    """One (device, model, compression, runtime, way, concurrency). With `failure` the figures are absent."""

    device: str
    """Id of a device file, or "this:<fingerprint>" as `sdx probe` names this machine."""
    model: str
    model_sha256: str = ""
    """Of the weights file; of a folder, of its safetensors in order."""
    compression: str
    """F32, F16, Q8_0, Q4_K_M, onnx-int8, pruned-24, ..."""
    runtime: str
    """Engine and version, e.g. "llama.cpp 0.3.36"."""
    way: Way = "http"
    impairment: str = ""
    """Of the network, e.g. "delay 40ms loss 1%"."""
    concurrency: int = Field(1, ge=1)
    threads: int = Field(1, ge=1)
    context_tokens: int = Field(ge=1)
    prompt_tokens: int = Field(0, ge=0)
    """Median of the requests."""
    output_tokens: int = Field(0, ge=0)
    requests: int = Field(0, ge=0)
    ttft_cold_s: Spread | None = None
    """Time to first token, with a prompt whose beginning the engine has not seen."""
    ttft_warm_s: Spread | None = None
    """As cold, but what all prompts share is cached."""
    inter_token_s: Spread | None = None
    request_s: Spread | None = None
    tokens_per_s: float | None = Field(None, ge=0.0)
    """Of all requests together, by the clock."""
    decode_tokens_per_s: float | None = Field(None, ge=0.0)
    """Of one request after its first token."""
    weights_bytes: int = Field(0, ge=0)
    peak_rss_bytes: int | None = Field(None, ge=0)
    energy_j: float | None = Field(None, ge=0.0)
    task: str = ""
    accuracy: float | None = Field(None, ge=0.0, le=1.0)
    """The task's chief metric on its frozen rows, 0..1."""
    failure: str = ""
    """Why there are no figures: "out of memory: ...", "unsupported: ..."."""
    at: str
    """ISO 8601, UTC."""
    commit: str = "unknown"
    seed: int = 0


def results_path() -> Path:
    """$SDX_RESULTS, else ~/.local/share/sdx/results.jsonl."""
    given = os.environ.get("SDX_RESULTS")
    return Path(given) if given else Path.home() / ".local/share/sdx/results.jsonl"


class Results:
    """Measurements in a JSONL file, one line each; a line cut off by a kill is passed over."""

    def __init__(self, path: Path | None = None) -> None:
        self.path = path or results_path()

    def add(self, row: Measurement) -> None:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        torn = self.path.exists() and not self.path.read_bytes().endswith(b"\n") and self.path.stat().st_size > 0
        with self.path.open("a", encoding="utf-8") as file:
            file.write(("\n" if torn else "") + row.model_dump_json() + "\n")
            file.flush()
            os.fsync(file.fileno())

    def __iter__(self) -> Iterator[Measurement]:
        if not self.path.exists():
            return
        for line in self.path.read_text(encoding="utf-8").splitlines():
            try:
                yield Measurement.model_validate(json.loads(line))
            except ValueError:
                continue
