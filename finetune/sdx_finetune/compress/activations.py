"""What meets each weight of a model on rows of its task: the ground of importance matrices and of pruning. Start at seen_on()."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import gguf
import numpy as np

from sdx_finetune.export.families import family_of
from sdx_finetune.journal import making
from sdx_finetune.progress import Say


@dataclass(frozen=True, slots=True)
class Activations:
    """Sums over all tokens of some rows."""

    squares: Mapping[str, np.ndarray]
    """(in,) float32 mean square of what meets each input channel, by the linear layer's name in transformers."""
    influence: np.ndarray
    """(layers,) mean of 1 - cosine between what enters a decoder layer and what leaves it (arXiv 2403.03853)."""
    tokens: int
    rows: int


def seen_on(folder: Path, ids: Sequence[Sequence[int]], threads: int = 1, say: Say = lambda line: None) -> Activations:
    """Run the model over rows of token ids, one by one, and sum up."""
    import torch

    from sdx_finetune.adapt.merge import open_model

    torch.set_num_threads(threads)
    model = open_model(folder)
    sums: dict[str, torch.Tensor] = {}
    turned = [0.0] * len(model.model.layers)

    def watch(name: str) -> Any:
        def hook(_: Any, given: tuple[torch.Tensor, ...]) -> None:
            sums[name] = sums.get(name, 0) + given[0].double().square().flatten(0, -2).sum(0)  # type: ignore[operator]

        return hook

    def compare(number: int) -> Any:
        def hook(_: Any, given: tuple[Any, ...], named: dict[str, Any], left: Any) -> None:
            entered, left = given[0] if given else named["hidden_states"], left[0] if isinstance(left, tuple) else left
            turned[number] += float((1 - torch.cosine_similarity(entered.float(), left.float(), dim=-1)).sum())

        return hook

    for name, module in model.named_modules():
        if isinstance(module, torch.nn.Linear):
            module.register_forward_pre_hook(watch(name))
    for number, layer in enumerate(model.model.layers):
        layer.register_forward_hook(compare(number), with_kwargs=True)
    tokens = sum(map(len, ids))
    with torch.no_grad():
        for row in ids:
            model(input_ids=torch.tensor([list(row)]), use_cache=False)
    say(f"looked at {tokens} tokens of {len(ids)} rows")
    means = {name: (total / tokens).float().numpy() for name, total in sums.items()}
    return Activations(means, np.asarray(turned) / tokens, tokens, len(ids))


def save(seen: Activations, path: Path) -> None:
    with making(path) as partial, partial.open("wb") as file:
        facts = {"influence": seen.influence, "tokens": np.asarray(seen.tokens), "rows": np.asarray(seen.rows)}
        np.savez(file, **{f"squares.{name}": one for name, one in seen.squares.items()}, **facts)  # type: ignore[arg-type]


def load(path: Path) -> Activations:
    with np.load(path) as file:
        squares = {name.removeprefix("squares."): file[name] for name in file.files if name.startswith("squares.")}
        return Activations(squares, file["influence"], int(file["tokens"]), int(file["rows"]))


def importance(seen: Activations, config: Mapping[str, Any]) -> dict[str, np.ndarray]:
    """Mean squares by the tensors' names in a GGUF file, as its quantiser wants them. config: the model's config.json.

    The order of input channels is the same on both sides: only rows of q and k are turned. A tied output is the embedding's tensor.
    """
    family = family_of(config.get("model_type", ""), "config.json")
    names = gguf.get_tensor_name_map(family.arch, int(config["num_hidden_layers"]))
    tied = bool(config.get("tie_word_embeddings", False))
    found: dict[str, np.ndarray] = {}
    for name, squares in seen.squares.items():
        shown = "model.embed_tokens" if tied and name == "lm_head" else name
        target = names.get_name(f"{shown}.weight", try_suffixes=(".weight",))
        if target is None:
            raise ValueError(f"layer {name} has no GGUF name in {family.name}")
        found[target] = squares
    return found


def write_imatrix(seen: Activations, config: Mapping[str, Any], path: Path, source: str) -> Path:
    """As llama.cpp's own imatrix tool writes it, so that any llama-quantize can use it: sums of squares and counts for each tensor."""
    with making(path) as partial:
        writer = gguf.GGUFWriter(partial, "imatrix")
        writer.add_type("imatrix")
        writer.add_array("imatrix.datasets", [source])
        writer.add_uint32("imatrix.chunk_count", seen.rows)
        writer.add_uint32("imatrix.chunk_size", max(1, seen.tokens // seen.rows))
        for name, squares in sorted(importance(seen, config).items()):
            writer.add_tensor(f"{name}.in_sum2", (squares * seen.tokens).astype(np.float32)[None])
            writer.add_tensor(f"{name}.counts", np.full((1, 1), seen.tokens, np.float32))
        writer.write_header_to_file()
        writer.write_kv_data_to_file()
        writer.write_tensors_to_file()
        writer.close()
    return path
