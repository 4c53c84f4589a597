"""sdx compress: a model in smaller forms, each proved and measured."""

import json
import os
import sys
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer

from sdx_ui.commands.detach import Detach, hand_over

GENERIC = "none"


class Importance(StrEnum):
    """What decides which weights are cut."""

    wanda = "wanda"
    magnitude = "magnitude"


def compress(
    model: Annotated[str, typer.Argument(help="embedded, a GGUF file, a model folder, or a Hugging Face id")],
    to: Annotated[
        list[str],
        typer.Option(
            help="F16, Q8_0, Q6_K, Q5_K_M, Q4_K_M, IQ4_XS, Q3_K_M, Q2_K (with -plain: no importance matrix); onnx-fp32, onnx-int8, "
            "onnx-int8-static; pruned-2:4, pruned-structured, distilled; awq, gptq. Once for each, or with commas"
        ),
    ],
    work: Annotated[Path, typer.Option(help="folder for everything made; used again it goes on")],
    task: Annotated[str, typer.Option(help="what the result is measured on; `none`: on --rows alone, by words alike")] = "ship",
    rows: Annotated[str | None, typer.Option(help="NAME@VERSION, or a file of rows; without it the task makes its own")] = None,
    scorer: Annotated[str | None, typer.Option(help="package.module:function of (row, answer), instead of the task's")] = None,
    answer_schema: Annotated[str | None, typer.Option("--schema", help="package.module:function of (row), instead of the task's")] = None,
    metric: Annotated[str | None, typer.Option(help="figure of the scorer that counts")] = None,
    eval_rows: Annotated[int, typer.Option(min=1, help="held-out rows that are asked")] = 200,
    calibration_rows: Annotated[int, typer.Option(min=1, help="rows that importance and ranges are taken from")] = 64,
    train_rows: Annotated[int, typer.Option(min=8, help="rows that pruned and distilled models learn from")] = 1000,
    max_tokens: Annotated[int, typer.Option(min=1, help="of an answer")] = 256,
    minutes: Annotated[float, typer.Option(min=0.01, help="of training, for each method that trains")] = 5.0,
    keep: Annotated[float, typer.Option(min=0.05, max=0.99, help="share of channels and heads that structured pruning leaves")] = 0.75,
    drop_layers: Annotated[int, typer.Option(min=0, help="layers that structured pruning takes away")] = 0,
    importance: Annotated[Importance, typer.Option(help="what decides which weights are cut by 2:4 pruning")] = Importance.wanda,
    file: Annotated[str, typer.Option(help="GGUF kind of pruned and distilled models")] = "Q8_0",
    threads: Annotated[int, typer.Option(min=1)] = min(2, os.cpu_count() or 1),
    seed: Annotated[int, typer.Option(min=0)] = 0,
    as_json: Annotated[bool, typer.Option("--json", help="the results as JSON on standard output")] = False,
    detach: Detach = False,
) -> None:
    """Make a model smaller, in several ways at once, and say what each costs: bytes, agreement, points of the task.

    sdx compress embedded --to Q4_K_M,onnx-int8,pruned-2:4 --work runs/small

    sdx compress runs/own/model --to Q4_K_M --to distilled --task none --rows port-watch@4c2fa71d9b03 --work runs/own-small

    Every file is held against the weights it was made from (the parity gate) and against the uncompressed model, and enters the registry
    that `sdx recommend` reads. Ends with 1 when a method could not be made or its file is not faithful.
    """
    from pydantic import ValidationError

    from sdx_finetune.compress.plan import Plan

    methods = [method for word in to for method in word.split(",") if method]
    asked: dict[str, Any] = {
        "model": _absolute(model), "methods": list(dict.fromkeys(methods)), "task": None if task == GENERIC else task,
        "rows": rows and _absolute(rows), "scorer": scorer, "schema_of": answer_schema, "metric": metric, "eval_rows": eval_rows,
        "calibration_rows": calibration_rows, "train_rows": train_rows, "max_tokens": max_tokens, "minutes": minutes, "keep": keep,
        "drop_layers": drop_layers, "importance": importance.value, "file": file, "threads": threads, "seed": seed,
    }  # fmt: skip
    try:
        plan = Plan.model_validate(asked)
    except ValidationError as error:
        first = error.errors()[0]
        field = ".".join(map(str, first["loc"]))
        raise ValueError(f"{field}: {first['msg']}" if field else first["msg"].removeprefix("Value error, ")) from error
    folder = work.absolute()
    if detach:
        hand_over(
            "compress", ["sdx_ui.cli", "compress", *_words(plan.model_dump(mode="json")), "--work", str(folder)], folder, as_json=as_json
        )
    from sdx_finetune.compress.run import compress as run

    result = run(plan, folder, _say)
    print(json.dumps(result, ensure_ascii=False, indent=1)) if as_json else _show(result, folder)
    raise typer.Exit(1 if any(row["failure"] or row["parity"]["faults"] for row in result["results"]) else 0)


def _absolute(given: str) -> str:
    """A file or folder from where the job will be; names stay."""
    path = Path(given).expanduser()
    return str(path.absolute()) if path.exists() else given


def _words(plan: dict[str, Any]) -> list[str]:
    """The same call as arguments."""
    named = {"methods": "to", "schema_of": "schema"}
    model, methods, task = plan.pop("model"), plan.pop("methods"), plan.pop("task") or GENERIC
    rest = [word for key, value in plan.items() if value is not None for word in (f"--{named.get(key, key).replace('_', '-')}", str(value))]
    return [model, *(word for method in methods for word in ("--to", method)), "--task", task, *rest]


def _show(result: dict[str, Any], work: Path) -> None:
    from rich.console import Console
    from rich.table import Table

    base = result["base"]
    metric = base["score"]["metric"]
    table = Table(title=f"{result['name']}, {base['bytes'] / 1e6:.2f} MB in float32: {metric} {100 * base['score']['mean']:.1f}")
    for column in ("method", "MB", "parity", "same first choice", f"{metric}, points", "points lost (95 %)", "verdict"):
        table.add_column(column, justify="left" if column in ("method", "verdict") else "right")
    for row in result["results"]:
        table.add_row(*_cells(row))
    console = Console(width=max(130, Console().width))
    console.print(table, markup=False)
    console.print(f"card: {work / 'README.md'}", highlight=False, markup=False, soft_wrap=True)


def _cells(row: dict[str, Any]) -> list[str]:
    if row["failure"]:
        return [row["method"], "", "", "", "", "", row["failure"]]
    lost = row["difference"]
    return [
        row["method"],
        f"{row['bytes'] / 1e6:.2f}",
        "failed" if row["parity"]["faults"] else f"{100 * row['parity']['top1_agreement']:.2f} %",
        f"{100 * row['agreement']['top1']:.2f} %",
        f"{100 * row['score']['mean']:.1f}",
        f"{row['lost_points']:+.2f} ({0 - 100 * lost['high']:+.2f} to {0 - 100 * lost['low']:+.2f})",
        row["verdict"],
    ]


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)
