"""Behind `sdx bench serve`: tasks of the domains as the experiment asks them, and the embedded model in its compressions."""

import json
from collections.abc import Callable, Sequence
from itertools import islice
from pathlib import Path

from sdx_finetune.compress.plan import settings
from sdx_finetune.rows import Row, check_row, load_function
from sdx_serving.bench.plan import Impairment, ModelFile, ModelSpec, Plan, WaySpec
from sdx_serving.bench.run import WORK
from sdx_serving.bench.task import MakeTask, Question, Turn

Say = Callable[[str], None]
GGUF = ("F32", "F16", "Q8_0", "Q6_K", "Q5_K_M", "Q4_K_M")
ONNX = ("fp32", "int8")
UNPACKED = "sdx-embedded"
"""Folder of the model as transformers knows it."""
RUNTIMES = ("llama.cpp", "onnx")
EMBEDDED_MINUTES, EMBEDDED_REQUESTS = 20.0, 24
"""How many requests of the embedded model fit into how many minutes of two cores, in every cell and round."""
IMPAIRED = Impairment(round_trip_ms=40.0, loss_percent=1.0, rate_mbit=10.0)
"""As a good mobile link is."""


class DomainTask:
    """Rows that a domain makes and judges, as finetune's settings name them; only those that its chief metric speaks of."""

    def __init__(self, name: str, count: int, seed: int) -> None:
        task = settings().tasks[name]
        self.name, self._chief = name, task.metric
        self._score = load_function(task.scorer)
        schema_of = load_function(task.schema_of) if task.schema_of else lambda row: None
        made = load_function(task.generator)(100 * count, task.eval_seed + seed)
        rows = (check_row(raw, f"{task.generator} row {number}") for number, raw in enumerate(made))
        self._rows: list[Row] = list(islice((row for row in rows if self._judged(row, row.messages[-1].content) is not None), count))
        self.questions = [_question(row, schema_of(row)) for row in self._rows]
        self.metric = f"{task.metric.replace('_', ' ')} right"

    def score(self, number: int, answer: str) -> float:
        """See sdx_serving.bench.task.Task.score."""
        return float(self._judged(self._rows[number], answer) or 0.0)

    def _judged(self, row: Row, answer: str) -> float | bool | None:
        return self._score(row, answer).get(self._chief)


def _question(row: Row, schema: dict[str, object] | None) -> Question:
    return Question(messages=tuple(Turn(role=turn.role, content=turn.content) for turn in row.messages[:-1]), json_schema=schema)


def task_maker(prompts: str) -> MakeTask | None:
    """Of a plan's `prompts`; None for a file of rows. ValueError for a task that nobody knows."""
    if prompts.endswith(".jsonl"):
        return None
    if prompts not in settings().tasks:
        raise ValueError(f"prompts: no task {prompts!r}; there are {', '.join(settings().tasks)}; or give a .jsonl file of chat rows")
    return lambda count, seed: DomainTask(prompts, count, seed)


def embedded_plan(out: Path, minutes: float, runtimes: Sequence[str], whole: Path | None, say: Say) -> Plan:
    """The shipped model as GGUF and ONNX in every compression, in five ways.

    Args:
        minutes: the requests of each cell are as many as fit on two cores.
        runtimes: names of engines; with vllm the model is there as safetensors too.
        whole: float32 GGUF of the model; without it the shipped Q8_0 is dequantised, and a note says so.

    Raises:
        ValueError: the packages that make the files are not installed.
    """
    files, notes = embedded_files(out / WORK / "models", whole, say)
    if "vllm" in runtimes:
        files += (ModelFile(compression="safetensors", path=out / WORK / "models" / UNPACKED),)
    http = [WaySpec(way="http", concurrency=many) for many in (1, 4, 16)]
    return Plan(
        models=(ModelSpec(name="sdx-embedded", files=files),),
        runtimes=tuple(runtimes),
        ways=(WaySpec(way="in-process"), *http, WaySpec(way="http-impaired", impairment=IMPAIRED)),
        prompts="ship",
        requests=max(4, round(EMBEDDED_REQUESTS * minutes / EMBEDDED_MINUTES)),
        output_tokens=256,
        minutes=minutes,
        notes=notes,
    )


def embedded_files(folder: Path, whole: Path | None, say: Say) -> tuple[tuple[ModelFile, ...], tuple[str, ...]]:
    """(files, notes); what is there already, made from the same source, is not made again."""
    from sdx_serving.connect import embedded_model_path
    from sdx_serving.weights import weights_sha256

    source = whole or embedded_model_path()
    made = {kind: folder / f"sdx-embedded-{kind}.gguf" for kind in GGUF}
    made |= {f"onnx-{kind}": folder / f"sdx-embedded-onnx-{kind}" for kind in ONNX}
    origin = folder / "origin.json"
    told = {"source": source.name, "sha256": weights_sha256(source)}
    if not (origin.exists() and json.loads(origin.read_text(encoding="utf-8")) == told and all(path.exists() for path in made.values())):
        _make(source, folder, say)
        origin.write_text(json.dumps(told), encoding="utf-8")
    notes = (
        f"All files were made from {source.name} (sha256 {told['sha256'][:12]})."
        + ("" if whole else " It is the shipped Q8_0, dequantised: F32 and F16 are no better than it, and the others lose to it twice."),
    )
    return tuple(ModelFile(compression=kind, path=path) for kind, path in made.items()), notes


def _make(source: Path, folder: Path, say: Say) -> None:
    from sdx_finetune.adapt.unpack_gguf import unpack
    from sdx_finetune.export.files import export_files
    from sdx_finetune.export.gguf_file import Label

    say(f"making {len(GGUF)} GGUF and {len(ONNX)} ONNX files from {source.name}: two minutes or three")
    unpacked = unpack(source, folder / UNPACKED)
    label = Label("sdx-embedded", "Made for a measurement.", "apache-2.0", ("en", "ko"))
    export_files(unpacked, folder, label, GGUF, ONNX, say=say)
