from pathlib import Path

import pytest

from sdx_finetune.export.onnx_file import export_onnx
from sdx_finetune.parity.gate import compare
from sdx_finetune.parity.stacks import kind_of
from sdx_finetune.recipe import Quantisation, Recipe
from sdx_finetune.rows import Row

pytest.importorskip("onnxruntime")
pytest.importorskip("onnxscript")


@pytest.mark.parametrize(("kind", "quantisation"), [pytest.param("fp32", "F32", marks=pytest.mark.slow), ("int8", "Q8_0")])
def test_an_onnx_folder_answers_as_trained_and_tells_a_changed_template(
    kind: str, quantisation: Quantisation, model_folder: Path, tmp_path: Path, toy: list[Row], recipe: Recipe
) -> None:
    folder = export_onnx(model_folder, tmp_path / "onnx", kind)  # type: ignore[arg-type]
    chats = [row.turns()[:-1] for row in toy[:2]]
    assert kind_of(folder) == quantisation
    report = compare(model_folder, folder, quantisation, chats, recipe.parity)
    assert not report.faults, report.text()
    template = folder / "chat_template.jinja"
    template.write_text(template.read_text(encoding="utf-8").replace("assistant", "captain"), encoding="utf-8")
    faults = compare(model_folder, folder, quantisation, chats, recipe.parity).faults
    assert any(fault.startswith("chat template differs: at ") for fault in faults), faults


def test_a_model_with_images_is_refused(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text('{"architectures": ["LlavaForConditionalGeneration"], "vision_config": {}}', encoding="utf-8")
    with pytest.raises(ValueError, match="is no plain text decoder"):
        export_onnx(tmp_path, tmp_path / "onnx")
