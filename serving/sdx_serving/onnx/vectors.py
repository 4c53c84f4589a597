"""Vectors of texts from a sentence encoder, of images from a vision encoder. Start at TextEncoder.vectors()."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np

from sdx_serving.images import image_of
from sdx_serving.onnx.chat_text import open_tokenizer
from sdx_serving.onnx.folder import ModelError, settings
from sdx_serving.onnx.graph import Graph
from sdx_serving.onnx.preparation import Preparation
from sdx_serving.openai_protocol import EmbeddingRequest, Refusal

BATCH_TOKENS = 4096
"""Padding included, of texts computed together."""
BATCH_IMAGES = 8
_DEFAULT_TOKENS = 512
Pooling = Literal["mean", "cls", "max", "lasttoken"]
_FLAGS = {"mean_tokens": "mean", "cls_token": "cls", "max_tokens": "max"}


@dataclass(frozen=True, slots=True)
class Vector:
    """Of one item of a request."""

    index: int
    values: np.ndarray
    """(dimensions,) float32, of unit length unless the folder says otherwise."""
    tokens: int = 0
    cut: bool = False
    """The text was longer than the model takes, and its end was left out."""
    patches: np.ndarray | None = None
    """(patches, width) float32, of an image, when asked for."""


class TextEncoder:
    """A folder with model.onnx and tokenizer.json; pooling, normalisation and length as sentence-transformers writes them."""

    kind = "text"

    def __init__(self, folder: Path, graph: Graph) -> None:
        self.graph = graph
        self.tokenizer = open_tokenizer(folder)
        if unknown := set(graph.inputs) - {"input_ids", "attention_mask", "token_type_ids"}:
            raise ModelError(
                f"this graph asks for {', '.join(sorted(unknown))}: it is no sentence encoder, nor anything else that is served"
            )
        hidden = _output(graph, 3, "last_hidden_state", "token_embeddings")
        self._given = hidden or _output(graph, 2, "sentence_embedding", "pooler_output") or _none(graph)
        self._pooling: Pooling | None = pooling_of(folder) if hidden else None
        modules = folder / "modules.json"
        self._unit = not modules.is_file() or "Normalize" in modules.read_text(encoding="utf-8")
        self.max_tokens = max_tokens(folder)

    @property
    def about(self) -> dict[str, Any]:
        """For clients."""
        return {"dimensions": self.graph.outputs[self._given].shape[-1], "max_tokens": self.max_tokens, "pooling": self._pooling}

    def vectors(self, request: EmbeddingRequest, cancelled: Callable[[], bool] = lambda: False) -> Iterator[list[Vector]]:
        """Batches of vectors, in any order, until all are made or `cancelled()`. Refusal on an input that cannot be served."""
        texts = request.items()
        if strange := [text for text in texts if not isinstance(text, str)]:
            raise Refusal(f"input: this model takes texts, not parts of type {strange[0].get('type')!r}")
        encoded = [encoding.ids for encoding in self.tokenizer.encode_batch(texts)]  # type: ignore[arg-type]
        limit = self._limit(request.truncate_prompt_tokens)
        _check_lengths([len(ids) for ids in encoded], limit if request.truncate_prompt_tokens is None else None)
        for batch in self.batches([min(len(ids), limit) for ids in encoded]):
            if cancelled():
                return
            cut = [self.shortened(encoded[index], limit) for index in batch]
            yield [
                Vector(index, values, len(ids), cut=len(encoded[index]) > limit)
                for index, ids, values in zip(batch, cut, self.compute(cut), strict=True)
            ]

    def _limit(self, asked: int | None) -> int:
        return self.max_tokens if asked is None or asked == -1 else min(asked, self.max_tokens)

    def shortened(self, ids: list[int], limit: int) -> list[int]:
        """As the tokenizer itself cuts: its end mark, where it has one, stays the last."""
        if len(ids) <= limit:
            return ids
        added = self.tokenizer.num_special_tokens_to_add(False)
        ending = ids[-1:] if added > 1 else []
        return [*ids[: limit - len(ending)], *ending]

    def batches(self, lengths: Sequence[int], most: int = BATCH_TOKENS) -> Iterator[list[int]]:
        """Indices of texts to compute together, of like length. A text alone where rows of a batch change each other.

        Args:
            most: tokens of a batch, padding included; a single text may have more.
        """
        batch: list[int] = []
        for index in sorted(range(len(lengths)), key=lengths.__getitem__):
            if batch and (self.graph.scales_together or (len(batch) + 1) * lengths[index] > most):
                yield batch
                batch = []
            batch.append(index)
        if batch:
            yield batch

    def compute(self, rows: Sequence[Sequence[int]]) -> np.ndarray:
        """(rows, dimensions), of texts in tokens; several threads may ask at once."""
        feeds = self.feeds(rows)
        made = np.asarray(self.graph.session.run([self._given], feeds)[0], np.float32)
        values = pooled(made, feeds["attention_mask"], self._pooling) if self._pooling else made
        return unit(values) if self._unit else values

    def feeds(self, rows: Sequence[Sequence[int]]) -> dict[str, np.ndarray]:
        """What the graph is given for them, each (rows, tokens of the longest)."""
        width = max(map(len, rows))
        ids, mask = np.zeros((len(rows), width), np.int64), np.zeros((len(rows), width), np.int64)
        for at, row in enumerate(rows):
            ids[at, : len(row)], mask[at, : len(row)] = row, 1
        given = {"input_ids": ids, "attention_mask": mask, "token_type_ids": np.zeros_like(ids)}
        return {name: given[name] for name in self.graph.inputs}


class ImageEncoder:
    """A folder with model.onnx (pixel_values in) and preprocessor_config.json."""

    kind = "image"

    def __init__(self, folder: Path, graph: Graph) -> None:
        self.graph = graph
        self._prepare = Preparation.of(settings(folder, "preprocessor_config.json"), folder)
        self._prepare.check_fits(graph.inputs["pixel_values"].shape)
        self._hidden = _output(graph, 3, "last_hidden_state")
        self._pooled = _output(graph, 2, "image_embeds", "pooler_output")
        self._given = self._pooled or self._hidden or _none(graph)

    @property
    def about(self) -> dict[str, Any]:
        """For clients."""
        return {"dimensions": self.graph.outputs[self._given].shape[-1], "image_size": list(self._prepare.shape)}

    def vectors(self, request: EmbeddingRequest, cancelled: Callable[[], bool] = lambda: False) -> Iterator[list[Vector]]:
        """As TextEncoder.vectors, of parts of type image_url whose url is a data: URI."""
        if request.patches and not self._hidden:
            raise Refusal("patches: this model gives one vector for an image; leave it out")
        items = request.items()
        for start in range(0, len(items), BATCH_IMAGES):
            if cancelled():
                return
            batch = items[start : start + BATCH_IMAGES]
            values, patches = self._compute(np.stack([self._prepare.pixels(image_of(_url_of(item))) for item in batch]), request.patches)
            yield [Vector(start + at, row, patches=None if patches is None else patches[at]) for at, row in enumerate(values)]

    def _compute(self, pixels: np.ndarray, want_patches: bool) -> tuple[np.ndarray, np.ndarray | None]:
        """Unit vectors (images, dimensions), and the patches' (images, patches, width), not normalised, where wanted."""
        names = [self._given, *([self._hidden] if want_patches and self._hidden else [])]
        made = [np.asarray(one, np.float32) for one in self.graph.session.run(names, {"pixel_values": pixels})]
        return unit(made[0] if self._pooled else made[0].mean(1)), made[-1] if want_patches else None


def _url_of(part: str | Mapping[str, Any]) -> str:
    given = part.get("image_url") if isinstance(part, Mapping) else None
    url = given.get("url") if isinstance(given, Mapping) else given
    if not isinstance(url, str):
        raise Refusal('input: this model takes images: {"type": "image_url", "image_url": {"url": "data:image/png;base64,..."}}')
    return url


def pooling_of(folder: Path) -> Pooling:
    """Of 1_Pooling/config.json, in its older form (a flag for each) or its newer one (a name); mean without that file."""
    told = settings(folder, "1_Pooling/config.json")
    flagged = [key.removeprefix("pooling_mode_") for key, value in told.items() if key.startswith("pooling_mode_") and value]
    named = [told["pooling_mode"]] if "pooling_mode" in told else [_FLAGS.get(key, key) for key in flagged]
    if not told:
        return "mean"
    found: Pooling | None = next((pooling for pooling in get_args(Pooling) if named == [pooling]), None)
    if not found:
        said = ", ".join(map(str, named)) or "none"
        raise ModelError(f"{folder / '1_Pooling/config.json'}: pooling {said} is not served, only {', '.join(get_args(Pooling))}")
    return found


def pooled(hidden: np.ndarray, mask: np.ndarray, pooling: Pooling) -> np.ndarray:
    """One vector a row, (rows, width), from those of its tokens; padding counts for nothing.

    Args:
        hidden: (rows, tokens, width).
        mask: (rows, tokens), 1 where there is a token; padding is on the right.
    """
    rows = np.arange(len(hidden))
    if pooling == "cls":
        return hidden[:, 0]
    if pooling == "lasttoken":
        return hidden[rows, mask.sum(1) - 1]
    there = mask[:, :, None] == 1
    if pooling == "max":
        return np.where(there, hidden, -np.inf).max(1)
    return np.where(there, hidden, 0.0).sum(1, dtype=np.float32) / mask.sum(1, keepdims=True).astype(np.float32)


def unit(values: np.ndarray) -> np.ndarray:
    """Rows of length one; a row of zeros stays as it is."""
    length = np.linalg.norm(values, axis=1, keepdims=True)
    return values / np.where(length > 0, length, 1.0)


def _check_lengths(lengths: Sequence[int], limit: int | None) -> None:
    """Refusal on an empty input, and where there is a limit on a longer one."""
    for index, length in enumerate(lengths):
        if limit is not None and length > limit:
            raise Refusal(
                f"input {index} takes {length} tokens, the model {limit}: shorten it, or send truncate_prompt_tokens=-1 to cut it",
                "context_length_exceeded",
            )
        if not length:
            raise Refusal(f"input {index} is empty: leave it out")


def max_tokens(folder: Path) -> int:
    """That a text may have: the least of what the folder's files say. Positions alone would not do: XLM-R has two that no token takes."""
    told = [
        settings(folder, "sentence_bert_config.json").get("max_seq_length"),
        settings(folder, "tokenizer_config.json").get("model_max_length"),
        settings(folder, "config.json").get("max_position_embeddings"),
    ]
    return min((found for found in told if isinstance(found, int)), default=_DEFAULT_TOKENS)


def _output(graph: Graph, rank: int, *names: str) -> str | None:
    """The first of `names` that the graph gives, else its only output of that rank."""
    known = [name for name in names if name in graph.outputs]
    alike = [name for name, node in graph.outputs.items() if len(node.shape) == rank]
    return known[0] if known else alike[0] if len(alike) == 1 else None


def _none(graph: Graph) -> str:
    raise ModelError(f"this graph gives {', '.join(graph.outputs)}; wanted is last_hidden_state, or one vector for each input")
