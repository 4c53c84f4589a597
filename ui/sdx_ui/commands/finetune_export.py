"""sdx finetune export and parity: files to be served, and the proof that they answer as the trained model does."""

import json
import sys
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from sdx_finetune.rows import Row

SHIP = "sdx_domains.ship.examples:rows"


class Quant(StrEnum):
    """Of GGUF files, from whole to small."""

    F32 = "F32"
    F16 = "F16"
    Q8_0 = "Q8_0"
    Q6_K = "Q6_K"
    Q5_K_M = "Q5_K_M"
    Q4_K_M = "Q4_K_M"


class Onnx(StrEnum):
    """Of ONNX files."""

    fp32 = "fp32"
    int8 = "int8"


def export(
    folder: Annotated[Path, typer.Argument(exists=True, file_okay=False, help="a model folder, or the work folder of `sdx finetune run`")],
    out: Annotated[Path, typer.Option(help="folder for the files")],
    quant: Annotated[list[Quant] | None, typer.Option(help="GGUF at this quantisation; give it once for each")] = None,
    onnx: Annotated[list[Onnx] | None, typer.Option(help="ONNX with this precision")] = None,
    lora: Annotated[Path | None, typer.Option(exists=True, file_okay=False, help="an adapter folder: a GGUF LoRA for this model")] = None,
    name: Annotated[str | None, typer.Option(help="of the files; the folder's name")] = None,
    licence: Annotated[str, typer.Option(help="what the files say of their licence")] = "apache-2.0",
    language: Annotated[list[str] | None, typer.Option(help="language codes that the files name; en and ko")] = None,
    threads: Annotated[int, typer.Option(min=1)] = 1,
) -> None:
    """Write a model as GGUF (F32 to Q4_K_M), ONNX or GGUF LoRA, with its tokenizer and chat template inside.

    A file is whole or not there: after a kill the same command ends with the same bytes.

    sdx finetune export runs/port-watch --quant Q8_0 --quant F16 --out files

    sdx finetune export BASE --lora runs/port-watch/adapter --out files
    """
    from sdx_finetune.export.files import export_files, model_folder
    from sdx_finetune.export.gguf_file import Label

    if not (quant or onnx or lora):
        raise ValueError("nothing is asked for: give --quant Q8_0, --onnx int8 or --lora ADAPTER")
    model = model_folder(folder)
    label = Label(name or folder.resolve().name, f"Exported from {folder.resolve().name}.", licence, tuple(language or ("en", "ko")))
    kinds = [kind.value for kind in quant or ()]
    made = export_files(model, out, label, kinds, [kind.value for kind in onnx or ()], lora, threads, _say)  # type: ignore[arg-type]
    for path in made:
        print(path)


def parity(
    folder: Annotated[Path, typer.Argument(exists=True, file_okay=False, help="the trained model's folder, or a work folder")],
    files: Annotated[list[Path], typer.Argument(exists=True, help=".gguf files, folders with model.onnx, folders for vLLM")],
    dataset: Annotated[str | None, typer.Option(help="NAME@VERSION: prompts from its held-out rows")] = None,
    generator: Annotated[str, typer.Option(help="without a data set: dotted name of rows(count, seed)")] = SHIP,
    seed: Annotated[int, typer.Option(min=0, help="of the generator; none that was trained on")] = 900_000_000,
    prompts: Annotated[int, typer.Option(min=1, help="how many")] = 8,
    tokens: Annotated[int, typer.Option(min=1, help="greedy tokens after each prompt")] = 48,
    lora: Annotated[Path | None, typer.Option(exists=True, file_okay=False, help="for a GGUF LoRA: the adapter it was made from")] = None,
    base_file: Annotated[Path | None, typer.Option(exists=True, dir_okay=False, help="for a GGUF LoRA: the GGUF file it is put on")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="the reports as JSON on standard output")] = False,
) -> None:
    """Hold files against the model they were made from: template, token ids, end marks, weights, first choices, greedy answers.

    Ends with 1 when a file fails; the report names each fault.

    sdx finetune parity runs/port-watch files/port-watch-Q8_0.gguf --dataset port-watch@1a2b3c

    sdx finetune parity BASE files/port-watch-lora.gguf --lora runs/port-watch/adapter --base-file files/base-F32.gguf
    """
    from dataclasses import asdict

    from sdx_finetune.export.files import model_folder
    from sdx_finetune.parity.gate import compare
    from sdx_finetune.parity.stacks import kind_of
    from sdx_finetune.recipe import ParitySpec, Quantisation

    model = model_folder(folder)
    spec = ParitySpec.model_validate({"prompts": prompts, "greedy_tokens": tokens})
    kinds: list[Quantisation] = [kind_of(path) for path in files]  # before minutes are spent
    chats = [row.turns()[:-1] for row in _held_out(dataset, generator, seed, prompts)]
    reports = []
    for path, kind in zip(files, kinds, strict=True):
        reports.append(compare(model, path, kind, chats, spec, lora, base_file))
        if not as_json:
            print(reports[-1].text())
    if as_json:
        print(json.dumps([asdict(report) for report in reports], indent=1))
    raise typer.Exit(1 if any(report.faults for report in reports) else 0)


def _held_out(dataset: str | None, generator: str, seed: int, count: int) -> "list[Row]":
    from importlib import import_module
    from itertools import islice

    from sdx_finetune.datasets.store import Store
    from sdx_finetune.rows import check_row, read_rows

    if dataset:
        paths = Store().files(dataset)
        if "eval" not in paths:
            raise ValueError(f"data set {dataset} has no split 'eval', only {', '.join(paths)}: sdx data split {dataset.split('@')[0]}")
        return list(islice(read_rows([paths["eval"]]), count))
    module, _, function = generator.partition(":")
    try:
        rows = getattr(import_module(module), function)
    except (ImportError, AttributeError, ValueError) as error:
        raise ValueError(f"--generator {generator}: there is no such function ({error}); write package.module:function") from error
    return [check_row(row, generator) for row in islice(rows(count, seed), count)]


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)
