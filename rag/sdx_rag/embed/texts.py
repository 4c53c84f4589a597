"""Vectors from a folder with an ONNX sentence encoder, on the CPU. Start at OnnxTexts."""

from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from hashlib import sha256
from pathlib import Path
from typing import TypeVar
from weakref import WeakValueDictionary

import numpy as np

from sdx_rag.borders import EmbeddingError
from sdx_serving.devices.hardware import Root, processor
from sdx_serving.onnx.folder import ModelError, graph_file, home_of
from sdx_serving.onnx.graph import Graph, Hardware, open_graph
from sdx_serving.onnx.vectors import TextEncoder

BATCH_TOKENS = 512
"""Computed together, padding included. More of them fall out of a core's cache: 2048 gave 0.85 of the rate, 4096 gave 0.7 (MiniLM, EPYC)."""

Part = TypeVar("Part")
Result = TypeVar("Result")


class OnnxTexts:
    """See embedder.Encoder. Batches are computed by `threads` callers of one session that has one thread itself.

    On two cores that is 1.6 times as fast as one caller of a session with two threads, which wait for each other at every node.

    Args:
        threads: 0: one for each core.
        max_tokens: fewer than the folder says, if not None.

    Raises:
        EmbeddingError: the folder holds no sentence encoder.
    """

    def __init__(self, folder: Path, threads: int = 0, max_tokens: int | None = None, name: str = "") -> None:
        home, graph = opened(folder)
        try:
            self.model = TextEncoder(home, graph)
        except ModelError as error:
            raise EmbeddingError(str(error)) from error
        self.name = name or home.resolve().name
        self.threads = threads or cores()
        self.max_tokens = min(max_tokens or self.model.max_tokens, self.model.max_tokens)
        tokenizer = sha256((home / "tokenizer.json").read_bytes()).hexdigest()
        self.weights = f"{graph.sha256} {tokenizer} {self.model.about['pooling']}"
        self.length = len(self.vectors(["a"])[0])

    def count(self, texts: Sequence[str]) -> list[int]:
        return [len(encoding.ids) for encoding in self.model.tokenizer.encode_batch(list(texts))]

    def vectors(self, texts: Sequence[str]) -> np.ndarray:
        batches, rows = self.batched(texts)
        made = in_parallel(self.model.compute, rows, self.threads)
        vectors = np.concatenate(made)
        order = np.concatenate(batches)
        vectors[order] = vectors.copy()
        return vectors

    def batched(self, texts: Sequence[str]) -> tuple[list[list[int]], list[list[list[int]]]]:
        """Indices of the texts of each batch, and their tokens; the longest first, so that no thread is left with one at the end."""
        tokens = [self.model.shortened(encoding.ids, self.max_tokens) for encoding in self.model.tokenizer.encode_batch(list(texts))]
        batches = list(self.model.batches([len(ids) for ids in tokens], BATCH_TOKENS))[::-1]
        return batches, [[tokens[index] for index in batch] for batch in batches]


_open: WeakValueDictionary[tuple[Path, int, int | None], OnnxTexts] = WeakValueDictionary()


def shared_texts(folder: Path, threads: int = 0, max_tokens: int | None = None, name: str = "") -> OnnxTexts:
    """One for all libraries of this process that are open: its weights take memory once. Raises EmbeddingError."""
    key = (folder.resolve(), threads, max_tokens)
    if (found := _open.get(key)) is None:
        found = _open[key] = OnnxTexts(folder, threads, max_tokens, name)
    return found


def opened(folder: Path) -> tuple[Path, Graph]:
    """Where a graph's tokenizer lies, and the graph."""
    if not folder.exists():
        raise EmbeddingError(f"{folder} is not there: give a folder with model.onnx and tokenizer.json")
    try:
        path = graph_file(folder)
        return home_of(path), open_graph(path, Hardware(threads=1))
    except ModelError as error:
        raise EmbeddingError(str(error)) from error


def in_parallel(work: Callable[[Part], Result], parts: Iterable[Part], threads: int) -> list[Result]:
    """In the order of `parts`; a single one is done in this thread."""
    parts = list(parts)
    if threads == 1 or len(parts) == 1:
        return [work(part) for part in parts]
    with ThreadPoolExecutor(threads) as pool:
        return list(pool.map(work, parts))


def cores() -> int:
    """That this process may use, by its affinity and its container's quota."""
    return processor(Root()).cores
