"""What a recipe asks for beside GGUF models: the adapter alone, ONNX, compressed weights; and the proof of each."""

from collections.abc import Iterator
from pathlib import Path

from sdx_finetune.adapt.base import Base
from sdx_finetune.adapt.recipe import AdaptRecipe
from sdx_finetune.export.gguf_file import Label, export_gguf
from sdx_finetune.parity.gate import Report, compare
from sdx_finetune.progress import Say
from sdx_finetune.recipe import Quantisation

Chats = list[list[dict[str, str]]]
ONNX_AS: dict[str, Quantisation] = {"fp32": "F32", "int8": "Q8_0"}
"""Whose agreement an ONNX file must reach; its int8 leaves the layers with outliers in float32."""


def adapter_file(recipe: AdaptRecipe, work: Path) -> Path:
    return work / "gguf" / f"{recipe.name}-lora.gguf"


def onnx_folder(work: Path, kind: str) -> Path:
    return work / "onnx" / kind


def export_others(recipe: AdaptRecipe, base: Base, work: Path, prompts: Chats, say: Say) -> None:
    """Files beside the GGUF models, each in the folder of its kind."""
    from sdx_finetune.export.lora import export_lora
    from sdx_finetune.export.onnx_file import export_onnx

    if recipe.export.adapter:
        label = Label(f"{recipe.name}-lora", recipe.description, recipe.licence, recipe.languages)
        made = export_lora(base.folder, work / "adapter", adapter_file(recipe, work), label)
        say(f"{made.name}: {made.stat().st_size / 1e6:.2f} MB, to be put on {base.source}")
    for kind in recipe.export.onnx:
        onnx_folder(work, kind).parent.mkdir(exist_ok=True)
        made = export_onnx(work / "model", onnx_folder(work, kind), kind)
        say(f"onnx/{kind}: {(made / 'model.onnx').stat().st_size / 1e6:.2f} MB")
    if recipe.export.awq_bits:
        _compress(recipe, work, prompts, say)


def _compress(recipe: AdaptRecipe, work: Path, prompts: Chats, say: Say) -> None:
    from transformers import AutoTokenizer

    from sdx_finetune.compress.awq_gptq import compress

    tokenizer = AutoTokenizer.from_pretrained(work / "model")
    texts = [str(tokenizer.apply_chat_template(chat, tokenize=False, add_generation_prompt=True)) for chat in prompts]
    bits = recipe.export.awq_bits
    assert bits is not None, "asked for"
    scheme = "awq" if bits == 4 else "gptq"
    say(f"{compress(work / 'model', work / scheme, texts, scheme, bits, recipe.train.max_length).name}: {bits} bits")


def prove_others(recipe: AdaptRecipe, base: Base, work: Path, prompts: Chats, say: Say) -> Iterator[Report]:
    """A report for each file of export_others() that runs here."""
    if recipe.export.adapter:
        target = _base_file(recipe, base, work, say)
        yield compare(base.folder, adapter_file(recipe, work), "F32", prompts, recipe.parity, work / "adapter", target)
    for kind in recipe.export.onnx:
        yield compare(work / "model", onnx_folder(work, kind), ONNX_AS[kind], prompts, recipe.parity)


def _base_file(recipe: AdaptRecipe, base: Base, work: Path, say: Say) -> Path:
    """The base in float32, for the adapter's own error to be seen and not the base's quantisation."""
    target = work / "base-F32.gguf"
    if not target.exists():
        say(f"{target.name}: {base.source} in float32, to prove the adapter on")
        export_gguf(base.folder, target, Label(f"{recipe.name}-base", base.source, "as the base", recipe.languages))
    return target
