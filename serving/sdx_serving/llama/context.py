"""What a model's context holds, position by position, so that a prompt is only computed from where it differs. Start at Context."""

import importlib
from collections.abc import Callable, Sequence
from itertools import chain
from typing import Any

import numpy as np

from sdx_serving.llama.images import Seen, Sight

Part = Sequence[int] | Seen
"""Of a prompt: tokens, or an image between them."""


def cells_of(part: Part) -> Sequence[int]:
    return part.cells if isinstance(part, Seen) else part


def length_of(parts: Sequence[Part]) -> int:
    """Tokens that the parts take in the context."""
    return sum(part.tokens if isinstance(part, Seen) else len(part) for part in parts)


class Context:
    """The key-value cache of one loaded model: sequence 0, in one thread.

    Args:
        llama: an open llama_cpp.Llama.
        eyes: for prompts with images.
    """

    def __init__(self, llama: Any, eyes: Sight | None) -> None:
        self._lib: Any = importlib.import_module("llama_cpp")
        self._llama, self._eyes = llama, eyes
        self.c = llama.ctx
        """llama.cpp's own."""
        self._n_batch = int(llama.n_batch)
        self._held: list[int] = []
        batch = llama._batch.batch
        self._batch, size = batch, (self._n_batch,)
        self._tokens, self._positions = (np.ctypeslib.as_array(array, size) for array in (batch.token, batch.pos))
        self._wanted = np.ctypeslib.as_array(batch.logits, size)
        np.ctypeslib.as_array(batch.n_seq_id, size)[:] = 1
        self._wanted[:] = 0
        for at in range(self._n_batch):
            batch.seq_id[at][0] = 0

    def forget(self) -> None:
        """As after loading: what is held was computed with other weights."""
        self._held.clear()
        self._lib.llama_memory_clear(self._lib.llama_get_memory(self.c), True)

    def read_in(self, parts: Sequence[Part], kept: int, cancelled: Callable[[], bool]) -> bool:
        """Hold exactly these parts, of which `kept` cells are held already (see keep()). False when cancelled on the way."""
        begin = 0
        for part in parts:
            cells = cells_of(part)
            rest = cells[max(kept - begin, 0) :]
            if isinstance(part, Seen) and rest:
                self._look(part)
            else:
                for at in range(0, len(rest), self._n_batch):
                    if cancelled():
                        return False
                    self.append(rest[at : at + self._n_batch])
            begin += len(cells)
        return True

    def keep(self, parts: Sequence[Part]) -> int:
        """How many cells of the prompt stay from before; the others are dropped. At least the last token is computed anew."""
        wanted = list(chain.from_iterable(map(cells_of, parts)))
        most = min(len(wanted) - 1, len(self._held))
        kept = most if wanted[:most] == self._held[:most] else next(at for at in range(most) if wanted[at] != self._held[at])
        begin = 0
        for part in parts:  # an image is read in whole
            if isinstance(part, Seen) and begin < kept < begin + len(part.cells):
                kept = begin
            begin += len(cells_of(part))
        if kept < len(self._held) and not self._lib.llama_memory_seq_rm(self._lib.llama_get_memory(self.c), 0, kept, -1):
            self.forget()  # a model without an attention cache cannot go back
            return 0
        del self._held[kept:]
        return kept

    def append(self, tokens: Sequence[int]) -> None:
        """At most a batch of tokens; the logits after the last are those that are sampled from."""
        count, past = len(tokens), len(self._held)
        self._tokens[:count] = tokens
        self._positions[:count] = np.arange(past, past + count)
        self._wanted[count - 1] = 1
        self._batch.n_tokens = count
        code = self._lib.llama_decode(self.c, self._batch)
        self._wanted[count - 1] = 0
        if code:
            self.forget()
            raise RuntimeError(f"llama.cpp could not compute {count} tokens after {past} (code {code})")
        self._held.extend(tokens)

    def _look(self, part: Seen) -> None:
        assert self._eyes
        after = self._eyes.read_in(part, self.c, len(self._held), self._n_batch)
        self._held.extend(part.cells)
        if after != len(self._held):
            raise RuntimeError(f"an image of {len(part.cells)} positions ended at {after}, not {len(self._held)}")
