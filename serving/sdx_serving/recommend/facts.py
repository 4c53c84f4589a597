"""What a model's header says of its cost: bytes read for a token, operations, bytes kept for the context. Start at ModelFacts."""

from collections.abc import Sequence
from dataclasses import dataclass

KV_BYTES = 2
"""Of one kept number: all runtimes keep keys and values in 16 bits unless told otherwise."""


class BadModel(ValueError):
    """The file is no model that can be read; the message says where and why."""


@dataclass(frozen=True, slots=True)
class Attention:
    """Layers that keep keys and values alike."""

    layers: int
    numbers_per_token: int
    """Kept for one token by one layer: 2 x key-value heads x head size; compressed attention keeps fewer."""
    window: int | None = None
    """Tokens that are kept at most; None keeps all."""


@dataclass(frozen=True, slots=True)
class ModelFacts:
    """One file of weights. Counts are of the language model; a projector is extra memory and is not read for text."""

    name: str
    format: str
    """As engines name it (gguf, safetensors, onnx), or as a runtime that we do not start does (rkllm, mlc, pte)."""
    quantisation: str
    parameters: int
    weights_bytes: int
    """In memory: all tensors."""
    dense_bytes: int
    """Read for every token: all weights but the input embedding (one row is looked up) and the experts."""
    layers: int
    context_tokens: int
    attention: tuple[Attention, ...]
    dense_parameters: int
    """Multiplied for every token."""
    expert_bytes: int = 0
    """Of all experts together."""
    expert_parameters: int = 0
    experts: int = 0
    experts_used: int = 0
    projector_bytes: int = 0
    exact: bool = True
    """False when the shape was guessed from the number of parameters."""

    def read_bytes(self, sequences: int = 1) -> float:
        """Weights read for one step of so many sequences: experts that any of them is sent to are read once."""
        return self.dense_bytes + self.expert_bytes * self._experts_met(sequences)

    def flops_per_token(self) -> float:
        """A multiplication and an addition for each weight that the token meets; attention's own share is left out."""
        used = self.experts_used / self.experts if self.experts else 0.0
        return 2.0 * (self.dense_parameters + self.expert_parameters * used)

    def kv_bytes(self, tokens: int) -> int:
        """Keys and values kept of one sequence of so many tokens."""
        return sum(
            part.layers * part.numbers_per_token * KV_BYTES * (min(tokens, part.window) if part.window else tokens)
            for part in self.attention
        )

    def _experts_met(self, sequences: int) -> float:
        if not self.experts:
            return 0.0
        return 1.0 - (1.0 - self.experts_used / self.experts) ** sequences


def windowed(layers: int, numbers_per_token: int, window: int | None, every: int) -> tuple[Attention, ...]:
    """Attention of a model whose layers keep a window but each `every`-th, which keeps all; 0 or no window means one kind.

    windowed(26, 2048, 4096, 2): 13 layers with the window, 13 without.
    """
    if not window:
        return (Attention(layers, numbers_per_token),)
    whole = layers // every if every else 0
    kinds = (Attention(layers - whole, numbers_per_token, window), Attention(whole, numbers_per_token))
    return tuple(kind for kind in kinds if kind.layers)


@dataclass(frozen=True, slots=True)
class Tensor:
    """One entry of a header."""

    name: str
    shape: tuple[int, ...]
    kind: str
    """Its type as the format writes it, e.g. "Q4_K", "BF16"."""
    bytes: int
    parameters: int
    """Weights that it stands for: packed formats hold several in one number."""


def commonest_kind(tensors: Sequence[Tensor]) -> str:
    """The type that most parameters have."""
    counts: dict[str, int] = {}
    for tensor in tensors:
        counts[tensor.kind] = counts.get(tensor.kind, 0) + tensor.parameters
    return max(counts, key=lambda kind: counts[kind], default="")
