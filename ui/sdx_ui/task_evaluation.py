"""A model on a task's unseen rows, as the registry keeps it. Start at measured_entry()."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from sdx_serving.registry import Entry, Registry, Score

if TYPE_CHECKING:
    from sdx_finetune.measure.evaluate import Answerer

Say = Callable[[str], None]
LEAST_ROWS = 100
"""A model that was seen on fewer rows passes no task."""


def measured_entry(
    model: str, task: str, count: int, out: Path, base: str = "", threads: int = 1, context: int = 2048, say: Say = lambda line: None
) -> Entry:
    """Ask the model `count` rows of the task, and put down what it is and how well it did.

    Args:
        out: folder for answers and evaluation.json; used again to go on.
        base: sha256 of the uncompressed model that it was made from.

    Raises:
        ValueError: no such task, or no row that its chief metric speaks of.
        EngineError: nothing here serves the model.
    """
    from sdx_finetune.compress.plan import settings
    from sdx_finetune.measure.evaluate import evaluate
    from sdx_finetune.rows import check_row, load_function

    if task not in settings().tasks:
        raise ValueError(f"no task {task!r}: known are {', '.join(settings().tasks)}")
    wanted = settings().tasks[task]
    say(f"making {count} rows of {task} from seed {wanted.eval_seed}")
    rows = [check_row(raw, f"row {number}") for number, raw in enumerate(load_function(wanted.generator)(count, wanted.eval_seed))]
    schema_of = load_function(wanted.schema_of) if wanted.schema_of else lambda row: None
    with _answerer(model, threads, context) as answerer:
        scorer = load_function(wanted.scorer)
        result = evaluate(rows, answerer, scorer, out / "evaluation.json", schema_of=schema_of, say=say, seed=wanted.eval_seed)
    if wanted.metric not in result["figures"]:
        raise ValueError(f"{task}: none of {count} rows speaks of {wanted.metric}: ask for more")
    figures = result["figures"][wanted.metric]
    score = Score(
        metric=wanted.metric,
        value=figures["mean"],
        low=figures["low"],
        high=figures["high"],
        rows=figures["rows"],
        passed=figures["rows"] >= LEAST_ROWS and figures["mean"] >= wanted.bar,
        report=str((out / "evaluation.json").absolute()),
    )
    return described(model, base).model_copy(update={"tasks": {task: score}})


def described(model: str, base: str = "") -> Entry:
    """What a model is, without any score. BadModel when it cannot be read."""
    from sdx_serving.recommend.headers import facts_of
    from sdx_serving.weights import weights_sha256

    path = _path(model)
    facts = facts_of(str(path))
    return Entry(
        name=facts.name.removesuffix(".gguf"),
        sha256=weights_sha256(path),
        compression=facts.quantisation,
        base_sha256=base,
        parameters=facts.parameters,
        weights_bytes=facts.weights_bytes,
        context_tokens=facts.context_tokens,
        path=str(path.absolute()),
    )


def sha256_of(name: str, registry: Registry) -> str:
    """Of an entry, by its name, its hash or the beginning of it. KeyError names what there is."""
    entries = registry.entries()
    found = [key for key, entry in entries.items() if name == entry.name or (len(name) >= 6 and key.startswith(name))]
    if len(found) != 1:
        known = ", ".join(f"{entry.name} ({key[:12]})" for key, entry in entries.items()) or "none"
        raise KeyError(f"{'no' if not found else 'more than one'} model {name!r} in the registry; there are: {known}")
    return found[0]


def _path(model: str) -> Path:
    from sdx_serving.connect import named

    return Path(named(model)).expanduser()


@contextmanager
def _answerer(model: str, threads: int, context: int) -> "Iterator[Answerer]":
    """The file in this process where it is GGUF, else through its engine."""
    from sdx_finetune.measure.evaluate import EndpointAnswerer, LocalAnswerer
    from sdx_serving.connect import open_chat

    path = _path(model)
    if path.suffix == ".gguf" and path.is_file():
        local = LocalAnswerer(path, context, threads)
        try:
            yield local
        finally:
            local.model.close()
        return
    with open_chat(str(path), context, threads) as chat:
        yield EndpointAnswerer(chat, path.name, concurrency=1)
