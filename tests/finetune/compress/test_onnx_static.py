from pathlib import Path
from typing import Any

import pytest

from sdx_finetune.compress.onnx_static import quantise_static
from sdx_finetune.parity.gate import compare
from sdx_finetune.parity.stacks import kind_of
from sdx_finetune.recipe import Recipe
from sdx_finetune.rows import Row

onnx: Any = pytest.importorskip("onnx")
pytest.importorskip("onnxruntime")
pytest.importorskip("onnxscript")


def test_activations_are_int8_with_ranges_seen_on_the_rows(
    learnt_folder: Path, tmp_path: Path, token_ids: list[list[int]], toy: list[Row], recipe: Recipe
) -> None:
    folder = quantise_static(learnt_folder, tmp_path / "onnx", token_ids, [(128, 64)])
    graph = onnx.load(folder / "model.onnx").graph
    kinds = [node.op_type for node in graph.node]
    assert kinds.count("QuantizeLinear") >= 12 and "DynamicQuantizeLinear" not in kinds
    kept = [weight.name for weight in graph.initializer if list(weight.dims) == [128, 64] and weight.data_type == onnx.TensorProto.FLOAT]
    assert len(kept) == 2, "the layers behind the gate stay float32"
    assert sorted(path.name for path in folder.glob("*.onnx*")) == ["model.onnx"]
    assert kind_of(folder) == "Q8_0"
    limits = recipe.parity.model_copy(update={"min_top1": {"Q8_0": 0.8}})
    report = compare(learnt_folder, folder, "Q8_0", [row.turns()[:-1] for row in toy[150:153]], limits)
    assert not report.faults, report.text()
