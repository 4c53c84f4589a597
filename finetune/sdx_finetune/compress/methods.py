"""Each method of `sdx compress` as what it makes: a file to be served, and the weights that it was made from. Start at make().

What a kill left half done is made again or gone on with; whole files are kept.
"""

import json
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

from sdx_finetune.compress import activations
from sdx_finetune.compress.activations import importance
from sdx_finetune.compress.plan import GPU, LEARNT, ONNX, PLAIN, ROUNDED, WEIGHED, Plan, folder_name, settings
from sdx_finetune.compress.rows import Rows
from sdx_finetune.compress.source import Source
from sdx_finetune.export.gguf_file import export_gguf
from sdx_finetune.export.quantise import quantise
from sdx_finetune.journal import write_whole
from sdx_finetune.progress import Say
from sdx_finetune.recipe import Quantisation

Log = Callable[[Any, int], None]


@dataclass(frozen=True, slots=True)
class Setting:
    """What all methods of a call share."""

    plan: Plan
    source: Source
    rows: Rows
    say: Say
    log: Log
    """Told of a training's figures and step."""


@dataclass(frozen=True, slots=True)
class Made:
    """A method's outcome."""

    file: Path
    """A GGUF file, or a folder."""
    kind: Quantisation
    """By whose limits the file is held against its weights."""
    folder: Path
    """Those weights, in Hugging Face's layout."""
    learnt: dict[str, Any] | None = None
    """Of a method that trains: steps, minutes, losses."""


def make(method: str, setting: Setting, folder: Path) -> Made:
    """Make the method's file in `folder`.

    Raises:
        ValueError: the method does not go with this model or this machine.
        KeyboardInterrupt: a training stopped with a checkpoint.
    """
    if method in LEARNT:
        return _learnt(method, setting, folder)
    if method in ONNX:
        return _onnx(method, setting, folder)
    if method in GPU:
        return _on_gpu(method, setting, folder)
    return _gguf(method, setting, folder)


def _gguf(method: str, setting: Setting, folder: Path) -> Made:
    kind = ROUNDED[method]
    source, target = setting.source, folder / f"{setting.source.name}-{method}.gguf"
    if not target.exists():
        weighed = kind in WEIGHED and method not in PLAIN
        quantise(source.whole, target, kind, setting.plan.threads, importance(source.seen, source.config) if weighed else None)
    return Made(target, kind, source.folder)


def _onnx(method: str, setting: Setting, folder: Path) -> Made:
    from sdx_finetune.export.onnx_file import export_onnx

    source, target = setting.source, folder / f"{setting.source.name}-{method}"
    kind: Quantisation = "F32" if method == "onnx-fp32" else "Q8_0"
    if not target.exists():
        setting.say(f"{method}: the model is traced, which takes a minute or more")
        if method == "onnx-int8-static":
            from sdx_finetune.compress.onnx_static import quantise_static

            # Behind the gate a few values are so large that one scale loses all others; export_onnx spares the same layers.
            spared = (source.config["intermediate_size"], source.config["hidden_size"])
            quantise_static(source.folder, target, source.calibration, [spared])
        else:
            export_onnx(source.folder, target, "fp32" if method == "onnx-fp32" else "int8")
    return Made(target, kind, source.folder)


def _learnt(method: str, setting: Setting, folder: Path) -> Made:
    """Cut, learn again, export."""
    from sdx_finetune.compress.recover import Start, recover

    plan, source = setting.plan, setting.source
    begin, model, record = folder / "start", folder / "model", folder / "learnt.json"
    if not record.exists():
        if not begin.exists():
            _cut(method, setting, begin)
        start = Start(begin, method == "pruned-2:4", source.folder if method == "distilled" else None)
        facts = recover(start, setting.rows, plan, folder / "train", model, setting.say, setting.log)
        write_whole(record, json.dumps(facts).encode())
    target = folder / f"{source.name}-{folder_name(method)}-{plan.file}.gguf"
    if not target.exists():
        _export(model, target, setting)
    return Made(target, plan.file, model, json.loads(record.read_text(encoding="utf-8")))


def _cut(method: str, setting: Setting, target: Path) -> None:
    from sdx_finetune.compress.smaller import shrink
    from sdx_finetune.compress.sparse import prune

    plan, source = setting.plan, setting.source
    layers = int(source.config["num_hidden_layers"])
    match method:
        case "pruned-2:4":
            prune(source.folder, target, source.seen if plan.importance == "wanda" else None)
        case "pruned-structured":
            shrink(source.folder, target, source.seen, plan.keep, layers - plan.drop_layers)
        case _:
            student = settings().distillation
            shrink(source.folder, target, source.seen, student.keep, max(1, round(student.layers * layers)))


def _export(model: Path, target: Path, setting: Setting) -> None:
    """From float32; kinds that an importance matrix helps get one of the new weights."""
    plan, source = setting.plan, setting.source
    whole = export_gguf(model, target.with_name(f".{target.stem}-F32.gguf"), replace(source.label, name=target.stem))
    weights = None
    if plan.file in WEIGHED:
        config = json.loads((model / "config.json").read_text(encoding="utf-8"))
        weights = importance(activations.seen_on(model, source.calibration, plan.threads, setting.say), config)
    if plan.file == "F32":
        whole.replace(target)
    else:
        quantise(whole, target, plan.file, plan.threads, weights)
        whole.unlink()


def _on_gpu(method: str, setting: Setting, folder: Path) -> Made:
    from transformers import PreTrainedTokenizerFast

    from sdx_finetune.compress.awq_gptq import compress

    source, target = setting.source, folder / f"{setting.source.name}-{method}"
    scheme: Literal["awq", "gptq"] = "awq" if method == "awq" else "gptq"
    if not target.exists():
        tokenizer = PreTrainedTokenizerFast.from_pretrained(source.folder)
        texts = [str(tokenizer.decode(ids)) for ids in source.calibration]
        compress(source.folder, target, texts, scheme, length=max(map(len, source.calibration)))
    return Made(target, "Q4_K_M", source.folder)
