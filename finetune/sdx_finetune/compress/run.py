"""A model in smaller forms, each made, proved, measured and written down; what is done is not done again. Start at compress().

<work>/base/ the uncompressed model, <work>/<method>/ one method with done.json last, <work>/compression.json and README.md the results.
"""

import json
import shutil
import time
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from sdx_domains.contract import digest
from sdx_finetune import progress
from sdx_finetune.adapt.train import alone
from sdx_finetune.compress.agreement import agreement
from sdx_finetune.compress.methods import Made, Setting, make
from sdx_finetune.compress.plan import LEARNT, Plan, folder_name, settings
from sdx_finetune.compress.rows import Rows, gathered
from sdx_finetune.compress.source import Source, find, open_source
from sdx_finetune.compress.table import write_results
from sdx_finetune.journal import write_whole
from sdx_finetune.measure.evaluate import Figure
from sdx_finetune.measure.paired import LEAST_ROWS
from sdx_finetune.measure.side_by_side import Candidate, Measure, candidate, compare
from sdx_finetune.parity.gate import compare as held_against
from sdx_finetune.progress import Say
from sdx_finetune.recipe import ParitySpec
from sdx_serving.registry import Entry, Registry, Score
from sdx_serving.weights import weights_bytes, weights_sha256

UNCOMPRESSED = "uncompressed"
PARITY_PROMPTS, PARITY_TOKENS = 4, 24
TRAINING = {"minutes", "keep", "drop_layers", "importance", "file", "train_rows"}
"""Fields of a plan that methods without training do not depend on."""


def compress(plan: Plan, work: Path, say: Say, registry: Registry | None = None) -> dict[str, Any]:
    """Run every method of the plan in `work`; the same call goes on after a kill. The content of compression.json.

    A method that does not go with the model or the machine becomes a row that says why; the others go on.

    Raises:
        ValueError: model, rows or folder are wrong.
        KeyboardInterrupt: stopped; a training left its checkpoint.
    """
    from transformers.utils.logging import disable_progress_bar

    disable_progress_bar()  # between our lines
    work.mkdir(parents=True, exist_ok=True)
    with alone(work):
        progress.tell(work, "base", 0.0)
        found = find(plan, work, say)
        rows = gathered(plan, work, say)
        source = open_source(plan, found, rows, work, say)
        registry = registry or Registry()
        base = _base(plan, source, rows, work, say)
        registry.record(_entry(source, UNCOMPRESSED, base, plan, work))
        results: list[dict[str, Any]] = []
        for number, method in enumerate(plan.methods):
            progress.tell(work, method, number / len(plan.methods))
            row = _done(plan, source, rows, method, work) or _tried(plan, source, rows, method, work, say)
            if not row["failure"]:
                registry.record(_entry(source, method, row, plan, work))
            results.append(row)
            write_results(plan, source.name, base, results, rows.id, PARITY_PROMPTS, work)
        progress.tell(work, "done", 1.0)
    return json.loads((work / "compression.json").read_text(encoding="utf-8"))


def _identity(plan: Plan, source: Source, rows: Rows, method: str) -> str:
    """What a finished method must share with the call that would make it again."""
    asked = plan.model_dump(mode="json", exclude={"methods", "threads", "model"} | (set() if method in LEARNT else TRAINING))
    learnt = [row.key for row in rows.train] if method in LEARNT else []
    return digest([asked, source.sha256, source.seen.tokens, rows.id, learnt])


def _done(plan: Plan, source: Source, rows: Rows, method: str, work: Path) -> dict[str, Any] | None:
    """The row of a finished method; what another plan left in its folder is taken away."""
    folder = work / folder_name(method)
    mark = folder / "identity"
    identity = _identity(plan, source, rows, method)
    if mark.exists() and mark.read_text() != identity:
        shutil.rmtree(folder)
    folder.mkdir(exist_ok=True)
    write_whole(mark, identity.encode())
    path = folder / "done.json"
    return json.loads(path.read_text(encoding="utf-8")) if path.exists() else None


def _tried(plan: Plan, source: Source, rows: Rows, method: str, work: Path, say: Say) -> dict[str, Any]:
    say(f"{method}: begins")
    try:
        return _one(plan, source, rows, method, work, say)
    except (ValueError, FileNotFoundError, FloatingPointError, RuntimeError, ImportError) as error:
        say(f"{method}: {error}")
        return {"method": method, "failure": str(error) or type(error).__name__, "parity": None, "learnt": None}


def _one(plan: Plan, source: Source, rows: Rows, method: str, work: Path, say: Say) -> dict[str, Any]:
    """Make, prove, compare, measure; done.json last."""
    folder, began = work / folder_name(method), time.monotonic()

    def log(figures: Mapping[str, float], step: int) -> None:
        progress.tell(work, method, figures.get("done", 0.0), **{"step": step, **{k: v for k, v in figures.items() if k != "done"}})

    made = make(method, Setting(plan, source, rows, say, log), folder)
    made_s = time.monotonic() - began
    chats = [row.turns()[:-1] for row in rows.held_out[:PARITY_PROMPTS]]
    proof = held_against(made.folder, made.file, made.kind, chats, _limits(method, made))
    say(proof.text())
    alike = agreement(made.file, source.paths)
    say(f"{method}: first choice as the uncompressed model {alike.top1:.2%}, greedy answers {alike.greedy:.2%}")
    difference, figures = _measured(plan, source, rows, method, made, work, say)
    lost, words, passes = judged(difference, _bar(plan), figures)
    row = {
        "method": method,
        "failure": "",
        "file": str(made.file.relative_to(work)),
        "bytes": weights_bytes(made.file),
        "sha256": weights_sha256(made.file),
        "parameters": parameters_of(made.folder),
        "parity": asdict(proof),
        "agreement": asdict(alike),
        "score": figures,
        "difference": asdict(difference),
        "lost_points": lost,
        "verdict": words if not proof.faults else "not faithful",
        "passes": passes and not proof.faults,
        "learnt": made.learnt,
        "made_s": round(made_s, 1),
    }
    write_whole(folder / "done.json", json.dumps(row, indent=1).encode())
    for rest in ("start", "train"):
        shutil.rmtree(folder / rest, ignore_errors=True)
    say(f"{method}: {row['bytes'] / 1e6:.2f} MB, {row['verdict']}")
    return row


def _limits(method: str, made: Made) -> ParitySpec:
    spec: dict[str, Any] = {"prompts": PARITY_PROMPTS, "greedy_tokens": PARITY_TOKENS}
    if method in settings().min_top1:
        spec["min_top1"] = {made.kind: settings().min_top1[method]}
    return ParitySpec.model_validate(spec)


def _how(plan: Plan, source: Source) -> Measure:
    scorer, schema_of, _ = plan.judged_by
    return Measure(scorer, schema_of, (), plan.max_tokens, int(source.config["max_position_embeddings"]), plan.threads)


def _base(plan: Plan, source: Source, rows: Rows, work: Path, say: Say) -> dict[str, Any]:
    """The uncompressed model's own row."""
    found = compare(rows.held_out, [candidate(UNCOMPRESSED, str(source.whole), _how(plan, source))], _how(plan, source), work, say)
    (work / "evaluation.json").replace(work / "base" / "evaluation.json")
    figures = _figure(found, plan)
    return {
        "method": UNCOMPRESSED, "file": str(source.whole.relative_to(work)), "bytes": source.whole.stat().st_size, "sha256": source.sha256,
        "parameters": parameters_of(source.folder), "score": figures,
        "passes": figures["rows"] >= settings().least_rows and figures["mean"] >= _bar(plan),
    }  # fmt: skip


def _measured(plan: Plan, source: Source, rows: Rows, method: str, made: Made, work: Path, say: Say) -> tuple[Figure, dict[str, Any]]:
    """(paired difference to the uncompressed model, own figure) of the task's metric on the held-out rows."""
    how = _how(plan, source)
    base = candidate(UNCOMPRESSED, str(source.whole), how)
    found = compare(rows.held_out, [base, _candidate(method, made, how)], how, work, say)
    (work / "evaluation.json").replace(work / folder_name(method) / "evaluation.json")
    metric = plan.judged_by[2]
    difference = found["differences"][UNCOMPRESSED].get(metric)
    if difference is None:
        raise ValueError(
            f"{method}: no row has the metric {metric!r} on both sides; there are {', '.join(found['differences'][UNCOMPRESSED])}"
        )
    return Figure(*(difference[name] for name in ("mean", "low", "high", "rows"))), _figure(found, plan)


def _figure(found: Mapping[str, Any], plan: Plan) -> dict[str, Any]:
    figures, metric = found["models"][-1]["figures"], plan.judged_by[2]
    if metric not in figures:
        raise ValueError(f"the scorer {plan.judged_by[0]} has no metric {metric!r} on these rows; there are {', '.join(figures)}")
    return {"metric": metric, **figures[metric]}


def _candidate(method: str, made: Made, how: Measure) -> Candidate:
    if made.file.suffix == ".gguf":
        return candidate(method, str(made.file), how)

    from sdx_finetune.compress.answers import answering

    return Candidate(method, lambda: answering(made.file, how))


def _bar(plan: Plan) -> float:
    """Least score that may serve; a scorer of one's own has none."""
    return plan.held_to.bar if plan.held_to and not plan.scorer else 0.0


def judged(difference: Figure, bar: float, figures: Mapping[str, Any]) -> tuple[float, str, bool]:
    """(points lost, verdict, whether it may serve the task) by settings.yaml."""
    lost, worst = 0 - 100 * difference.mean, 0 - 100 * difference.low
    if difference.rows < LEAST_ROWS:
        return round(lost, 2), "too few rows", False
    found = next((one for one in settings().verdicts if lost <= one.lost and worst <= one.worst), settings().verdicts[-1])
    enough = difference.rows >= settings().least_rows
    return round(lost, 2), found.words, found.passes and enough and figures["mean"] >= bar


def parameters_of(folder: Path) -> int:
    """Of all weights in a folder's safetensors."""
    from math import prod

    from safetensors import safe_open

    total = 0
    for path in folder.glob("*.safetensors"):
        with safe_open(path, "numpy") as file:
            total += sum(prod(file.get_slice(name).get_shape()) for name in file.keys())  # noqa: SIM118
    return total


def _entry(source: Source, method: str, row: Mapping[str, Any], plan: Plan, work: Path) -> Entry:
    figures = row["score"]
    score = Score(
        metric=figures["metric"], value=figures["mean"], low=figures["low"], high=figures["high"], rows=figures["rows"],
        passed=row["passes"], report=str((work / "README.md").absolute()),
    )  # fmt: skip
    base = method == UNCOMPRESSED
    form = "F32" if base else folder_name(method)
    return Entry(
        name=f"{source.name}-{form}", sha256=row["sha256"], compression=form, base_sha256="" if base else source.sha256,
        parameters=row["parameters"], weights_bytes=row["bytes"], context_tokens=int(source.config["max_position_embeddings"]),
        licence=source.label.licence, path=str((work / row["file"]).absolute()), tasks={plan.subject: score},
    )  # fmt: skip
