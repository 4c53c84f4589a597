"""The encoder: one ONNX graph that turns a volume's slabs into label probabilities, maps and visual tokens. Start at Encoder."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from sdx_serving.onnx.folder import ModelError
from sdx_serving.onnx.graph import Hardware, open_graph
from sdx_serving.openai_protocol import Refusal

INPUT = "slabs"
OUTPUTS = ("probability", "maps", "tokens", "unlike_training")
"""(1, labels), (1, labels, slabs, rows, columns), (1, tokens, width of the decoder), (1,); all float32."""
LABELS = "labels"
"""Key of the graph's metadata: JSON list of the labels' names, in the order of the outputs."""
TRAINED_ON = "trained_on"
"""Another: "phantoms" where the model never saw a patient; absent where nothing is said."""
HANDLE_DIGITS = 32


@dataclass(frozen=True, slots=True)
class Sight:
    """What the encoder made of one volume."""

    handle: str
    probability: Mapping[str, float]
    """By label, 0..1."""
    maps: NDArray[np.float32]
    """(labels, slabs, rows, columns), 0..1: how much each cell speaks for the label."""
    tokens: NDArray[np.float32]
    """(tokens, width): what stands for the volume in a prompt."""
    unlike_training: float
    """Distance from what it was trained on; above 1 the volume is unlike that."""


class Encoder:
    """An open graph. Not thread-safe.

    Raises:
        ModelError: the file is no such graph.
    """

    def __init__(self, path: Path, threads: int = 1) -> None:
        self.graph = open_graph(path, Hardware("cpu", threads))
        if set(self.graph.inputs) != {INPUT} or not set(OUTPUTS) <= set(self.graph.outputs):
            told = f"inputs {', '.join(self.graph.inputs)}; outputs {', '.join(self.graph.outputs)}"
            raise ModelError(f"{path} is no encoder of volumes ({told}): export one with a recipe of method vision")
        shapes = {name: node.shape for name, node in {**self.graph.inputs, **self.graph.outputs}.items()}
        if any(not isinstance(size, int) for name in (INPUT, *OUTPUTS) for size in shapes[name]):
            raise ModelError(f"{path} leaves sizes open ({shapes}): export it for one volume at a time")
        self.shape: tuple[int, ...] = tuple(shapes[INPUT][1:])
        """Of one volume: (slabs, channels, rows, columns), uint8."""
        self.tokens, self.width = shapes["tokens"][1:]
        self.labels = self._labels(path, shapes["probability"][1])
        self.trained_on = self.graph.session.get_modelmeta().custom_metadata_map.get(TRAINED_ON, "")

    def _labels(self, path: Path, count: int) -> tuple[str, ...]:
        told = self.graph.session.get_modelmeta().custom_metadata_map.get(LABELS, "[]")
        labels = tuple(map(str, json.loads(told)))
        if len(labels) != count:
            raise ModelError(f"{path} gives {count} probabilities and names {len(labels)} labels: export it again")
        return labels

    def handle_of(self, slabs: NDArray[np.uint8]) -> str:
        """Content hash of the input and of the weights that look at it."""
        digest = hashlib.sha256(self.graph.sha256.encode())
        digest.update(np.ascontiguousarray(slabs).tobytes())
        return digest.hexdigest()[:HANDLE_DIGITS]

    def look(self, slabs: NDArray[np.uint8]) -> Sight:
        """Refusal for an array of another shape or kind."""
        if slabs.dtype != np.uint8 or slabs.shape != self.shape:
            raise Refusal(f"slabs are {slabs.dtype} {slabs.shape}, this encoder takes uint8 {self.shape}: prepare them as its card says")
        made = self.graph.session.run(OUTPUTS, {INPUT: np.ascontiguousarray(slabs)[None]})
        probability, maps, tokens, unlike = (np.asarray(one, np.float32)[0] for one in made)
        if not all(np.isfinite(one).all() for one in (probability, maps, tokens, unlike)):
            raise RuntimeError("the encoder gave numbers that are not finite: its file is broken, export it again")
        named = dict(zip(self.labels, probability.astype(float).tolist(), strict=True))
        return Sight(self.handle_of(slabs), named, maps, tokens, float(unlike))
