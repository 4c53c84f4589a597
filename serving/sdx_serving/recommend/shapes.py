"""Well-known decoders by name, whose cost is computed from their shape where no file is at hand. Start at named_facts()."""

import re
from collections.abc import Mapping
from difflib import get_close_matches
from functools import cache
from importlib.resources import files

import yaml
from pydantic import Field

from sdx_serving.closed import Closed
from sdx_serving.recommend.facts import BadModel, ModelFacts, windowed


class Shape(Closed):
    """One architecture: gated feed-forward, grouped attention."""

    shape: tuple[int, int, int, int, int, int, int]
    """Layers, hidden, feed-forward, query heads, key-value heads, head size, vocabulary."""
    tied: bool
    """The output multiplies with the input embedding."""
    context: int = Field(ge=1)
    billions: float = Field(gt=0.0)
    """Parameters that the model card states."""
    experts: tuple[int, int] | None = None
    window: tuple[int, int] | None = None
    source: str

    def parameters(self) -> tuple[int, int, int]:
        """Of the attention and norms of all layers, of their feed-forward parts (of one expert each), and of one embedding."""
        layers, hidden, feed, heads, kv_heads, size, words = self.shape
        attention = 2 * hidden * heads * size + 2 * hidden * kv_heads * size + 2 * hidden
        return layers * attention, layers * 3 * hidden * feed, words * hidden


class Quantisation(Closed):
    """Bits of a weight, scales included."""

    layers: float
    embedding: float
    output: float
    kernel: str
    format: str


class Shapes(Closed):
    """The file beside this module."""

    shapes: Mapping[str, Shape]
    quantisations: Mapping[str, Quantisation]
    aliases: Mapping[str, str]


@cache
def shapes() -> Shapes:
    return Shapes.model_validate(yaml.safe_load(files("sdx_serving.recommend").joinpath("shapes.yaml").read_text(encoding="utf-8")))


def quantisation(name: str) -> Quantisation | None:
    """By its name or another one of it; None for one that is not known."""
    known = shapes()
    name = re.sub(r"[-_](g\d+|awq|gptq|gguf)$", "", name, flags=re.IGNORECASE) if name.upper() not in known.quantisations else name
    folded = {key.upper(): key for key in known.quantisations} | {key.upper(): value for key, value in known.aliases.items()}
    return known.quantisations.get(folded.get(name.upper(), ""))


def kernel_of(name: str) -> str:
    """Which kernel multiplies weights so quantised; the name itself says it where the table does not."""
    known = quantisation(name)
    if known:
        return known.kernel
    upper = name.upper()
    return "int8" if "INT8" in upper else "k-quant" if upper.startswith(("Q", "IQ")) else "float"


def named_facts(name: str, how: str = "F16") -> ModelFacts:
    """Of a known decoder so quantised: "qwen3-8b", "Q4_K_M". BadModel suggests what is known."""
    shape = find_shape(name)
    if shape is None:
        near = get_close_matches(name.lower(), list(shapes().shapes), 3, 0.4)
        raise BadModel(
            f"no model {name!r}: give a file, a folder, an address or a known name such as {', '.join(near or sorted(shapes().shapes)[:3])}"
        )
    bits = quantisation(how)
    if bits is None:
        raise BadModel(f"quantisation {how!r} of {name}: known are {', '.join(shapes().quantisations)}")
    return _facts(name, how, shape, bits)


def find_shape(name: str) -> Shape | None:
    """ "Llama-3.1-8B-Instruct" and "meta-llama/Llama-3.1-8B" are llama-3.1-8b."""
    plain = name.lower().rpartition("/")[2].removesuffix(".gguf")
    plain = re.sub(r"-(instruct|chat|it|base|hf|gguf|awq|gptq|\d{4}|f32|f16|bf16|i?q\d\w*|onnx-\w+)(?=-|$)", "", plain)
    return shapes().shapes.get(plain)


def guessed_facts(name: str, billions: float, how: str) -> ModelFacts:
    """A decoder of which only the number of parameters is known, shaped as decoders of its size are. Not exact, and says so.

    Sizes follow the table: layers grow with about the cube root of the parameters, 8 key-value heads of 128.
    """
    bits = quantisation(how)
    if bits is None:
        raise BadModel(f"quantisation {how!r} of {name}: known are {', '.join(shapes().quantisations)}")
    layers = max(8, round(32 * (billions / 7.0) ** 0.33))
    parameters = round(billions * 1e9)
    read = round(parameters * bits.layers / 8)
    return ModelFacts(
        name, bits.format, how, parameters, read, read, layers, 8192, windowed(layers, 2 * 8 * 128, None, 0), parameters, exact=False
    )


def _facts(name: str, how: str, shape: Shape, bits: Quantisation) -> ModelFacts:
    attention, feed, embedding = shape.parameters()
    layers, _, _, _, kv_heads, size, _ = shape.shape
    output = 0 if shape.tied else embedding
    experts, used = shape.experts or (0, 0)
    dense_layers = attention if experts else attention + feed
    window, every = shape.window or (None, 0)
    # A tied embedding is read as output, in the output's type where the format has another for it (llama.cpp).
    embedding_bits = max(bits.embedding, bits.output) if shape.tied else bits.embedding
    expert_bytes = round(feed * experts * bits.layers / 8)
    head_bytes = round(embedding * (embedding_bits if shape.tied else bits.output) / 8)
    layer_bytes = round(dense_layers * bits.layers / 8)
    lookup_bytes = 0 if shape.tied else round(embedding * embedding_bits / 8)
    return ModelFacts(
        name=name,
        format=bits.format,
        quantisation=how,
        parameters=dense_layers + feed * experts + embedding + output,
        weights_bytes=layer_bytes + expert_bytes + head_bytes + lookup_bytes,
        dense_bytes=layer_bytes + head_bytes,
        layers=layers,
        context_tokens=shape.context,
        attention=windowed(layers, 2 * kv_heads * size, window, every),
        dense_parameters=dense_layers + embedding,
        expert_bytes=expert_bytes,
        expert_parameters=feed * experts,
        experts=experts,
        experts_used=used,
    )
