"""What ships: encoder.onnx (encoder, calibration and projector in one graph) and decoder.gguf. Start at export_reader().

The encoder stays float32: it is 2 MB, and int8 would have to be learnt of calibration volumes to spare a part of 0.1 s a study.
"""

import json
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from sdx_domains.medicine.evidence import PHANTOMS
from sdx_domains.medicine.labels import labels
from sdx_domains.medicine.slabs import CHANNELS, PIXELS, SLABS
from sdx_finetune.export.onnx_graph import write_graph
from sdx_finetune.journal import making
from sdx_finetune.vision.calibrate import Reader
from sdx_finetune.vision.projector import Projector
from sdx_finetune.vision.recipe import VisionRecipe
from sdx_serving.vision.encoder import INPUT, LABELS, OUTPUTS, TRAINED_ON


class Exported(nn.Module):
    """Slabs of one volume in; probability, maps, visual tokens and distance out, as sdx_serving.vision.encoder has them."""

    def __init__(self, reader: Reader, projector: Projector) -> None:
        super().__init__()
        self.reader, self.projector = reader, projector

    def forward(self, slabs: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        seen = self.reader.encoder(slabs)
        tokens = self.projector(seen.label_tokens, seen.slab_tokens)
        return self.reader.probability(seen), torch.sigmoid(seen.scores), tokens, self.reader.unlike(seen)


def open_exported(recipe: VisionRecipe, reader: Any, model: Path) -> Exported:
    """Reader and trained projector together."""
    projector = Projector(recipe.encoder, len(labels()), recipe.projector_hidden, recipe.model.hidden)
    projector.load_state_dict(torch.load(model / "projector.pt", weights_only=True))
    return Exported(reader, projector.eval()).eval()


def export_reader(exported: Exported, target: Path, name: str) -> Path:
    """Write `target` (.onnx) with the labels' names in its metadata."""
    import onnx

    example = torch.zeros((1, SLABS, CHANNELS, PIXELS, PIXELS), dtype=torch.uint8)
    with making(target) as partial:
        write_graph(exported, (example,), partial, ([INPUT], list(OUTPUTS)), {"slabs": None})
        graph = onnx.load(partial)
        onnx.helper.set_model_props(graph, {LABELS: json.dumps([label.key for label in labels()]), TRAINED_ON: PHANTOMS, "name": name})
        onnx.save(graph, partial)
    return target
