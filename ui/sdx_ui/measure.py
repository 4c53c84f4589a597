"""Measurements that need more than one folder, behind `sdx bench sim`, `model` and `data`."""

import json
import os
import random
import time
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from sdx_domains.contract import load_domain


def simulator_speed(scenario: str, steps: int, seed: int) -> dict[str, Any]:
    """Steps of one second, sensors read after each, per second of this thread and of the clock.

    The run begins anew when the scenario is over.
    """
    domain: Any = load_domain("ship")
    plant = domain.plant(scenario, seed)
    targets = len(plant.scenario.targets)
    began_cpu, began = time.thread_time(), time.perf_counter()
    for _ in range(steps):
        if plant.done:
            plant = domain.plant(scenario, seed)
        plant.step(1.0)
        plant.readings()
    cpu_s, wall_s = time.thread_time() - began_cpu, time.perf_counter() - began
    figures = {"steps_per_s": round(steps / cpu_s), "steps_per_wall_s": round(steps / wall_s)}
    return {"scenario": scenario, "targets": targets, "steps": steps, **figures, "cores": os.cpu_count()}


def model_quality(gguf: Path | None, count: int, seed: int, out: Path, say: Callable[[str], None]) -> dict[str, Any]:
    """The figures of sdx_finetune.evaluate over `count` rows that the ship domain makes from `seed`."""
    from sdx_domains.ship.examples import rows
    from sdx_domains.ship.grading import grade, schema_of
    from sdx_finetune.evaluate import LocalAnswerer, evaluate
    from sdx_finetune.rows import check_row
    from sdx_serving.llama_cpp import embedded_model_path

    say(f"making {count} rows from seed {seed}")
    made = [check_row(raw, f"row {number}") for number, raw in enumerate(rows(count, seed))]
    answerer = LocalAnswerer(gguf or embedded_model_path())
    return evaluate(made, answerer, grade, out, schema_of=schema_of, group_by=("language", "task"), say=say, seed=seed)


def checker_speed(rows: int, seed: int) -> dict[str, Any]:
    """Rows per second of each part of the data checker on chat JSONL, in a temporary file."""
    from sdx_finetune.datasets.check import check
    from sdx_finetune.datasets.gather import gather
    from sdx_finetune.datasets.vocabulary import open_vocabulary

    rng = random.Random(seed)
    words = [f"word{number}" for number in range(5000)]
    with TemporaryDirectory() as folder:
        path = Path(folder) / "rows.jsonl"
        with path.open("w", encoding="utf-8") as file:
            for _ in range(rows):
                said = (" ".join(rng.choices(words, k=30)) for _ in range(2))
                turns = [{"role": role, "content": text} for role, text in zip(("user", "assistant"), said, strict=True)]
                file.write(json.dumps({"messages": turns}) + "\n")
        began = time.perf_counter()
        found = gather([path])
        read = time.perf_counter()
        check(found, None, 512)
        compared = time.perf_counter()
        vocabulary = open_vocabulary("embedded")
        vocabulary.lengths([row["messages"][0]["content"] + row["messages"][1]["content"] for row in found.rows])
        counted = time.perf_counter()
    return {
        "rows": rows,
        "seed": seed,
        "check_rows_per_s": round(rows / (compared - began)),
        "read_rows_per_s": round(rows / (read - began)),
        "near_duplicates_rows_per_s": round(rows / (compared - read)),
        "count_tokens_rows_per_s": round(rows / (counted - compared)),
    }
