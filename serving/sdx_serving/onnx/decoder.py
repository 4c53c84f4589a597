"""A small decoder with a key-value cache: chat in, text pieces out, held to a JSON schema. Not thread-safe. Start at Decoder.answer()."""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from onnxruntime import OrtValue

from sdx_serving.onnx.chat_text import ChatText
from sdx_serving.onnx.folder import ModelError, settings
from sdx_serving.onnx.graph import Graph
from sdx_serving.onnx.schema import Follower, Schemas
from sdx_serving.openai_protocol import Answer, Refusal, Sampling, until_stop

CHUNK = 128
"""Tokens of a prompt that are read at once."""
_PAST = re.compile(r"past_key_values\.(\d+)\.(key|value)")
Past = Mapping[str, OrtValue]
"""What was read so far, by the graph's input names; each (1, heads, tokens, head size)."""


class CachedGraph:
    """input_ids and past_key_values.N.key/value in, logits and present.N.key/value out, as exporters commonly name them."""

    def __init__(self, graph: Graph) -> None:
        self.graph = graph
        self._past = [name for name in graph.inputs if _PAST.fullmatch(name)]
        self._outputs = ["logits", *(name.replace("past_key_values", "present") for name in self._past)]
        unknown = set(graph.inputs) - {*self._past, "input_ids", "attention_mask", "position_ids"}
        missing = set(self._outputs) - set(graph.outputs)
        if not self._past or unknown or missing:
            told = f"inputs {', '.join(graph.inputs)}; outputs {', '.join(graph.outputs)}"
            raise ModelError(
                f"this graph is no decoder with a key-value cache ({told}): export it again with `sdx finetune export --onnx fp32`"
            )

    @property
    def width(self) -> int | None:
        """Rows of the vocabulary; None where the graph leaves it open."""
        size = self.graph.outputs["logits"].shape[-1]
        return size if isinstance(size, int) else None

    def nothing(self) -> Past:
        """Before the first token."""
        return {name: self._empty(name) for name in self._past}

    def read(self, ids: Sequence[int], past: Past) -> tuple[np.ndarray, Past]:
        """Logits (len(ids), vocabulary) after each of `ids`, which follow on `past`, and what is past then."""
        before = length_of(past)
        given = {
            "input_ids": np.array([ids], np.int64),
            "attention_mask": np.ones((1, before + len(ids)), np.int64),
            "position_ids": np.arange(before, before + len(ids), dtype=np.int64)[None],
        }
        feeds = {name: OrtValue.ortvalue_from_numpy(value) for name, value in given.items() if name in self.graph.inputs}
        logits, *present = self.graph.session.run_with_ort_values(self._outputs, {**feeds, **past})
        return logits.numpy()[0].astype(np.float32, copy=False), dict(zip(self._past, present, strict=True))

    def _empty(self, name: str) -> OrtValue:
        node = self.graph.inputs[name]
        _, heads, _, size = node.shape
        if not isinstance(heads, int) or not isinstance(size, int):
            raise ModelError(f"the graph leaves the shape of {name} open ({node.shape}): export it with its heads and head size")
        return OrtValue.ortvalue_from_numpy(np.zeros((1, heads, 0, size), np.float16 if "float16" in node.type else np.float32))


def length_of(past: Past) -> int:
    """Tokens read so far."""
    return int(next(iter(past.values())).shape()[2])


def shortened(past: Past, length: int) -> Past:
    """The first `length` tokens of it."""
    return {name: OrtValue.ortvalue_from_numpy(np.ascontiguousarray(value.numpy()[:, :, :length])) for name, value in past.items()}


@dataclass(frozen=True, slots=True)
class _Kept:
    """The last prompt as far as it was read in whole chunks."""

    ids: Sequence[int] = ()
    past: Past | None = None


class Decoder:
    """A folder with model.onnx, its tokenizer and chat template.

    A prompt that begins as the last one did is read from the first chunk that differs; chunks begin at multiples of CHUNK whatever
    was asked before, so that the same question has the same answer, also where activations are quantised chunk by chunk.
    """

    kind = "decoder"

    def __init__(self, folder: Path, graph: Graph, context_tokens: int = 2048) -> None:
        self.graph, self._cached = graph, CachedGraph(graph)
        self.text = ChatText(folder)
        trained = settings(folder, "config.json").get("max_position_embeddings")
        self.context_tokens = min(context_tokens, trained) if isinstance(trained, int) else context_tokens
        self._schemas: Schemas | None = None
        self._kept = _Kept()

    @property
    def about(self) -> dict[str, int]:
        """For clients."""
        return {"n_ctx": self.context_tokens, "n_vocab": self._cached.width or self.text.size}

    def answer(
        self, prompt: Sequence[int], sampling: Sampling, told: Answer, cancelled: Callable[[], bool] = lambda: False
    ) -> Iterator[str]:
        """Text pieces until the end, a stop string, the token limit, or `cancelled()`.

        Args:
            prompt: of text.chat_ids or text.text_ids.
            told: filled while the answer is made.

        Raises:
            Refusal: the prompt does not fit the context, or the schema has no grammar.
        """
        told.prompt_tokens = len(prompt)
        room = self.context_tokens - len(prompt)
        if room < 1:
            raise Refusal(
                f"the request takes {len(prompt)} tokens, the context has {self.context_tokens}: shorten it or serve with a larger --context",
                "context_length_exceeded",
            )
        if not prompt:
            raise Refusal("the prompt is empty: send at least one token")
        follower = self._follower(sampling.schema) if sampling.schema is not None else None
        limit = min(sampling.max_tokens or room, room)
        yield from until_stop(self.text.pieces(self._tokens(prompt, sampling, follower, limit, told, cancelled)), sampling.stop, told)

    def _follower(self, schema: str) -> Follower:
        if self._schemas is None:
            try:
                self._schemas = Schemas(self.text.tokenizer, self.text.ends)
            except ModuleNotFoundError as error:
                raise Refusal("response_format: this server has no grammars: type `pip install llguidance` where it runs") from error
        return self._schemas.begin(schema)

    def _tokens(
        self,
        prompt: Sequence[int],
        sampling: Sampling,
        follower: Follower | None,
        limit: int,
        told: Answer,
        cancelled: Callable[[], bool],
    ) -> Iterator[int]:
        rng, said = np.random.default_rng(abs(sampling.seed)), np.zeros(self.text.size, np.float32)
        logits, past = self._read_prompt(prompt, told, cancelled)
        while not cancelled():
            known = logits[: self.text.size] - sampling.frequency_penalty * said - sampling.presence_penalty * (said > 0)
            token = choose(follower.mask(known) if follower else known, sampling, rng)
            if token in self.text.ends:
                return
            told.completion_tokens += 1
            said[token] += 1
            yield token
            if follower and not follower.take(token):
                return
            if told.completion_tokens >= limit:
                told.finish_reason = "length"
                return
            rows, past = self._cached.read([token], past)
            logits = rows[-1]

    def _read_prompt(self, prompt: Sequence[int], told: Answer, cancelled: Callable[[], bool]) -> tuple[np.ndarray, Past]:
        """Logits after the prompt's last token. When cancelled they are of an earlier one."""
        past = self._known_part(prompt)
        told.cached_tokens = length_of(past)
        rows = np.zeros((1, self.text.size), np.float32)
        for start in range(told.cached_tokens, len(prompt), CHUNK):
            if cancelled():
                break
            chunk = prompt[start : start + CHUNK]
            rows, past = self._cached.read(chunk, past)
            if len(chunk) == CHUNK:
                self._kept = _Kept(prompt[: start + CHUNK], past)
        return rows[-1], past

    def _known_part(self, prompt: Sequence[int]) -> Past:
        """What need not be read again: whole chunks that the last prompt began with too, but for the last token."""
        kept = self._kept
        same = next((at for at, (a, b) in enumerate(zip(kept.ids, prompt, strict=False)) if a != b), min(len(kept.ids), len(prompt)))
        length = min(same, len(prompt) - 1) // CHUNK * CHUNK
        if kept.past is None or not length:
            return self._cached.nothing()
        return kept.past if length == length_of(kept.past) else shortened(kept.past, length)


def choose(logits: np.ndarray, sampling: Sampling, rng: np.random.Generator) -> int:
    """The next token: the likeliest at temperature 0, else drawn from the likeliest that together reach top_p.

    Args:
        logits: (vocabulary,), -inf where a token may not come.
    """
    best = int(np.argmax(logits))
    if sampling.temperature == 0.0:
        return best
    with np.errstate(over="ignore"):
        chance = np.exp((logits.astype(np.float64) - logits[best]) / sampling.temperature)
    order = np.argsort(-chance, kind="stable")
    ranked = chance[order] / chance.sum()
    nucleus = order[np.cumsum(ranked) - ranked < sampling.top_p]
    return int(rng.choice(nucleus, p=chance[nucleus] / chance[nucleus].sum()))
