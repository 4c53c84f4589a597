"""Measurements that need more than one folder, behind `sdx bench sim`, `model`, `data` and `augment`."""

import json
import os
import random
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from importlib import import_module
from itertools import islice
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from sdx_domains.contract import load_domain

if TYPE_CHECKING:
    from sdx_finetune.augment.spec import AugmentSpec
    from sdx_serving.client import ChatClient


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


def model_quality(domain: str, gguf: Path | None, count: int, seed: int, out: Path, say: Callable[[str], None]) -> dict[str, Any]:
    """The figures of sdx_finetune.measure.evaluate over `count` rows that the domain makes from `seed`.

    ValueError: the domain makes no rows or grades none (it has no examples.py and grading.py beside its domain.py).
    """
    examples, grading = _beside(domain, "examples"), _beside(domain, "grading")
    from sdx_finetune.measure.evaluate import LocalAnswerer, evaluate
    from sdx_finetune.rows import check_row
    from sdx_serving.connect import embedded_model_path

    say(f"making {count} rows from seed {seed}")
    made = [check_row(raw, f"row {number}") for number, raw in enumerate(examples.rows(count, seed))]
    answerer = LocalAnswerer(gguf or embedded_model_path())
    return evaluate(made, answerer, grading.grade, out, schema_of=grading.schema_of, group_by=("language", "task"), say=say, seed=seed)


def _beside(domain: str, name: str) -> Any:
    """A module of the package that the domain's entry point lies in."""
    package = type(load_domain(domain)).__module__.rpartition(".")[0]
    try:
        return import_module(f"{package}.{name}")
    except ModuleNotFoundError as error:
        raise ValueError(f"domain {domain!r} has no {package}.{name}: its model cannot be measured on rows of its own") from error


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


def augmentation_speed(path: Path, model: str | None, count: int, say: Callable[[str], None]) -> dict[str, Any]:
    """Answers per second of an augmentation of `path`, beside its teacher asked by bare threads; `model` instead of its own teacher.

    The bare threads are measured before and after, with other seeds: what else the machine does hits both. ValueError for the planner.
    """
    from sdx_finetune.augment.spec import PLANNER, AugmentSpec
    from sdx_serving.connect import open_chat

    spec = AugmentSpec.load(path)
    teacher = spec.teacher.model_copy(update={"model": model or spec.teacher.model})
    if teacher.model == PLANNER:
        raise ValueError("teacher.model: the planner is no server; give one with --model, e.g. embedded or http://127.0.0.1:8000/v1")
    rows = count * (spec.per_request if spec.examples else 1)
    spec = spec.model_copy(update={"teacher": teacher, "rows": rows, "most_requests": count})
    seeds = [spec.model_copy(update={"seed": spec.seed + i * 10_000_000}) for i in range(3)]
    key = os.environ.get(teacher.api_key_env) if teacher.api_key_env else None
    with open_chat(teacher.model, n_ctx=4096, api_key=key) as client:
        say(f"the server alone: {count} requests, {teacher.concurrency} at once")
        before = _bare_answers_per_s(seeds[0], client, count)
        say("an augmentation")
        made = _augmented_answers_per_s(seeds[1], client)
        say("the server alone, again")
        after = _bare_answers_per_s(seeds[2], client, count)
    figures = {"augment_answers_per_s": round(made, 3), "server_answers_per_s": [round(before, 3), round(after, 3)]}
    ratio = round(2 * made / (before + after), 3)
    return {"model": teacher.model, "requests": count, "concurrency": teacher.concurrency, **figures, "ratio": ratio}


def _bare_answers_per_s(spec: "AugmentSpec", client: "ChatClient", count: int) -> float:
    """Prompts are made before the clock starts."""
    from sdx_finetune.augment.requests import Request, requests
    from sdx_finetune.datasets.gather import gather

    asked = list(islice(requests(spec, gather([spec.examples]).rows if spec.examples else [], 0), count))
    teacher = spec.teacher

    def ask(request: Request) -> None:
        client.complete(request.messages, request.schema, teacher.max_tokens, request.temperature, teacher.deadline_s)

    began = time.perf_counter()
    with ThreadPoolExecutor(teacher.concurrency) as pool:
        list(pool.map(ask, asked))
    return count / (time.perf_counter() - began)


def _augmented_answers_per_s(spec: "AugmentSpec", client: "ChatClient") -> float:
    """All answers that came, those asked ahead included."""
    from sdx_finetune.augment.run import augment

    with TemporaryDirectory() as folder:
        began = time.perf_counter()
        augment(spec, client, Path(folder), lambda line: None)
        seconds = time.perf_counter() - began
        return (Path(folder) / "answers.jsonl").read_bytes().count(b"\n") / seconds
