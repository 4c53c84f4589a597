"""2:4 sparsity: of each four weights side by side two are kept, which GPUs from Ampere on compute at twice the speed.

Which two: by |weight| times the size of what meets it (Wanda, arXiv 2306.11695), or by |weight| alone. A GGUF file of such a model is
no smaller and no faster on a CPU: llama.cpp has no kernel for it. Start at prune().
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from sdx_finetune.adapt.merge import copy_tokenizer, open_model
from sdx_finetune.compress.activations import Activations
from sdx_finetune.journal import making

GROUP, KEPT = 4, 2


def layer_weights(model: Any) -> Iterator[tuple[str, Any]]:
    """(name, matrix) of every linear layer inside the decoder layers: embedding and output stay whole."""
    import torch

    for name, module in model.model.layers.named_modules():
        if isinstance(module, torch.nn.Linear):
            yield f"model.layers.{name}", module.weight


def prune(folder: Path, target: Path, seen: Activations | None) -> Path:
    """Write `target` with two of each four weights at zero. seen: what meets the weights; None: by magnitude alone.

    Raises:
        ValueError: a layer whose input channels are no multiple of four.
    """
    import torch

    model = open_model(folder)
    with torch.no_grad():
        for name, weight in layer_weights(model):
            rows, columns = weight.shape
            if columns % GROUP:
                raise ValueError(f"{folder}: layer {name} has {columns} input channels, no multiple of {GROUP}: 2:4 needs groups of four")
            size = weight.abs() if seen is None else weight.abs() * torch.from_numpy(seen.squares[name]).sqrt()
            kept = size.view(rows, columns // GROUP, GROUP).topk(KEPT, -1).indices
            mask = torch.zeros(rows, columns // GROUP, GROUP).scatter_(-1, kept, 1.0).view(rows, columns)
            weight.mul_(mask)
    with making(target) as partial:
        model.save_pretrained(partial)
        copy_tokenizer(folder, partial)
    return target


def masks(model: Any) -> dict[str, Any]:
    """1 where a layer's weight is not zero, by the parameter's name: what training must not fill again."""
    return {f"{name}.weight": (weight != 0).to(weight.dtype) for name, weight in layer_weights(model)}
