"""All files that are asked for of one model folder, each whole or not there, and the same bytes when it is done again."""

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from sdx_finetune.progress import Say
from sdx_finetune.recipe import Quantisation

if TYPE_CHECKING:
    from sdx_finetune.export.gguf_file import Label
    from sdx_finetune.export.onnx_file import OnnxKind


def model_folder(given: Path) -> Path:
    """`given` itself, or the finished model in a work folder. ValueError when neither is a usable model."""
    from sdx_finetune.adapt.base import check_folder
    from sdx_finetune.export.onnx_encoder import is_encoder

    folder = given / "model" if (given / "model").is_dir() and not (given / "config.json").exists() else given
    if not is_encoder(folder):
        check_folder(folder)
    return folder


def export_files(
    folder: Path, out: Path, label: "Label", quants: Sequence[Quantisation], onnx: "Sequence[OnnxKind]" = (), adapter: Path | None = None,
    threads: int = 1, say: Say = lambda line: None,
) -> list[Path]:  # fmt: skip
    """`<name>-<QUANT>.gguf`, `<name>-onnx-<KIND>/`, `<name>-lora.gguf` and, of a model with images, `<name>-mmproj.gguf` in `out`."""
    out.mkdir(parents=True, exist_ok=True)
    made: list[Path] = []

    def done(path: Path) -> None:
        made.append(path)
        size = sum(part.stat().st_size for part in (path.rglob("*") if path.is_dir() else [path]))
        say(f"{path}: {size / 1e6:.2f} MB")

    for path in _gguf_files(folder, out, label, quants, threads):
        done(path)
    for kind in onnx:
        from sdx_finetune.export.onnx_file import export_onnx

        say(f"onnx {kind}: the model is traced, which takes a minute or more")
        done(export_onnx(folder, out / f"{label.name}-onnx-{kind}", kind))
    if adapter:
        from sdx_finetune.export.lora import export_lora

        done(export_lora(folder, adapter, out / f"{label.name}-lora.gguf", label))
    return made


def _gguf_files(folder: Path, out: Path, label: "Label", quants: Sequence[Quantisation], threads: int) -> Iterator[Path]:
    from sdx_finetune.export.gguf_file import export_gguf
    from sdx_finetune.export.quantise import quantise
    from sdx_finetune.export.vision import export_vision

    if not quants:
        return
    sees = "vision_config" in json.loads((folder / "config.json").read_text(encoding="utf-8"))
    # Everything is made from float32, which stays only when it was asked for.
    whole = out / (f"{label.name}-F32.gguf" if "F32" in quants else f".{label.name}-F32.gguf")
    try:
        if sees:
            _, mmproj = export_vision(folder, whole, out / f"{label.name}-mmproj.gguf", label)
            yield mmproj
        else:
            export_gguf(folder, whole, label)
        for kind in quants:
            yield whole if kind == "F32" else quantise(whole, out / f"{label.name}-{kind}.gguf", kind, threads)
    finally:
        if "F32" not in quants:
            whole.unlink(missing_ok=True)
