"""sdx registry: what each model file is and how well it does its tasks."""

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from sdx_serving.registry import Entry

app = typer.Typer(no_args_is_help=True, help="What each model file is, and how well it does its tasks: recommended and allowed by it.")
Name = Annotated[str, typer.Argument(help="an entry's name, its hash or the beginning of it")]
AsJson = Annotated[bool, typer.Option("--json", help="as JSON on standard output")]
File = Annotated[str, typer.Argument(help="embedded, a GGUF file or a model's folder")]
Base = Annotated[str, typer.Option(help="entry of the uncompressed model that it was made from: what is lost is held against it")]


@app.command("list")
def list_entries(as_json: AsJson = False) -> None:
    """All models, those that ship and your own.

    sdx registry list
    """
    from sdx_serving.registry import Registry

    registry = Registry()
    entries = registry.entries().values()
    if as_json:
        print(json.dumps([entry.model_dump(mode="json") for entry in entries], ensure_ascii=False))
        return
    for entry in entries:
        scores = "; ".join(
            f"{task}: {score.metric} {100 * score.value:.1f} % of {score.rows}, {'passed' if score.passed else 'not passed'}"
            for task, score in entry.tasks.items()
        )
        where = "" if registry.path_of(entry) else " (file not here)"
        print(f"{entry.sha256[:12]}  {entry.name:<28}{entry.weights_bytes / 1e6:>9.1f} MB  {scores or 'no task measured'}{where}")


@app.command()
def show(name: Name) -> None:
    """One entry, as JSON.

    sdx registry show sdx-embedded-Q8_0
    """
    from sdx_serving.registry import Registry
    from sdx_ui.task_evaluation import sha256_of

    registry = Registry()
    print(registry.entries()[sha256_of(name, registry)].model_dump_json(indent=1))


@app.command()
def measure(
    model: File,
    task: Annotated[str, typer.Option(help="whose rows are asked")] = "ship",
    rows: Annotated[int, typer.Option(min=1, help="how many; under 100 no task is passed")] = 400,
    base: Base = "",
    out: Annotated[Path | None, typer.Option(help="folder for answers and evaluation.json; used again to go on")] = None,
    threads: Annotated[int, typer.Option(min=1, help="CPU threads")] = 1,
    context: Annotated[int, typer.Option(min=128, help="tokens of question and answer together")] = 2048,
    as_json: AsJson = False,
) -> None:
    """Ask a model the task's unseen rows, and keep the score; the gateway lets it serve the task only if it passed.

    sdx registry measure runs/own/gguf/own-Q4_K_M.gguf --task ship --base own-F16
    """
    from sdx_ui.task_evaluation import measured_entry

    folder = out or Path("runs") / f"registry-{Path(model).stem}-{task}-{rows}"
    entry = measured_entry(model, task, rows, folder, _base(base), threads, context, lambda line: print(line, file=sys.stderr, flush=True))
    _keep(entry, as_json)


@app.command()
def record(
    model: File,
    task: Annotated[str | None, typer.Option(help="with --metric, --value and --rows: a score that was measured elsewhere")] = None,
    metric: Annotated[str, typer.Option(help="what was measured")] = "",
    value: Annotated[float | None, typer.Option(min=0.0, max=1.0, help="0 to 1")] = None,
    rows: Annotated[int, typer.Option(min=0, help="on so many rows")] = 0,
    passed: Annotated[bool, typer.Option("--passed", help="it met the task's bar")] = False,
    report: Annotated[str, typer.Option(help="file or command that shows how")] = "",
    base: Base = "",
    as_json: AsJson = False,
) -> None:
    """Add a model file, so that it is recommended; with a score or without.

    sdx registry record qwen3-4b-Q4_K_M.gguf --task ship --metric turn_side --value 0.91 --rows 300 --report eval.html
    """
    from sdx_serving.registry import Score
    from sdx_ui.task_evaluation import described

    if (task is None) != (value is None) or (task and not (metric and rows)):
        raise ValueError("a score needs all of --task, --metric, --value and --rows")
    entry = described(model, _base(base))
    if task and value is not None:
        score = Score(metric=metric, value=value, rows=rows, passed=passed, report=report)
        entry = entry.model_copy(update={"tasks": {task: score}})
    _keep(entry, as_json)


@app.command()
def remove(name: Name) -> None:
    """Take an entry out of your own registry; the file stays, and so does what ships.

    sdx registry remove own-Q4_K_M
    """
    from sdx_serving.registry import Registry
    from sdx_ui.task_evaluation import sha256_of

    registry = Registry()
    sha256 = sha256_of(name, registry)
    try:
        registry.remove(sha256)
    except KeyError as error:
        raise ValueError(f"{name} ships with SDx, it is not in your own registry {registry.own}") from error
    print(f"{name} is out of {registry.own}")


def _base(name: str) -> str:
    from sdx_serving.registry import Registry
    from sdx_ui.task_evaluation import sha256_of

    return sha256_of(name, Registry()) if name else ""


def _keep(entry: "Entry", as_json: bool) -> None:
    from sdx_serving.registry import Registry

    registry = Registry()
    registry.record(entry)
    kept = registry.entries()[entry.sha256]
    if as_json:
        print(kept.model_dump_json(indent=1))
        return
    print(f"{kept.name} ({kept.sha256[:12]}) is in {registry.own}")
    for task, score in entry.tasks.items():
        print(f"  {task}: {score.metric} {100 * score.value:.1f} % of {score.rows} rows, {'passed' if score.passed else 'not passed'}")
