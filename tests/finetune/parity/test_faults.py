import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import gguf
import pytest

from sdx_finetune.export.gguf_file import Label, export_gguf
from sdx_finetune.parity.gate import Report, compare
from sdx_finetune.recipe import Recipe
from sdx_finetune.rows import Row

LABEL = Label("toy", "Says which ship passes nearest.", "apache-2.0", ("en", "ko"))


@pytest.fixture
def faults_of(model_folder: Path, toy: list[Row], recipe: Recipe) -> Callable[..., tuple[str, ...]]:
    """Faults of a file, held against the trained folder or a changed copy of it."""

    def found(file: Path, folder: Path = model_folder) -> tuple[str, ...]:
        report: Report = compare(folder, file, "F32", [toy[0].turns()[:-1]], recipe.parity)
        assert report.text().startswith("FAIL" if report.faults else "PASS")
        return report.faults

    return found


@pytest.fixture
def copy(model_folder: Path, tmp_path: Path) -> Path:
    return shutil.copytree(model_folder, tmp_path / "copy")


def changed_json(path: Path, change: Callable[[Any], Any]) -> None:
    path.write_text(json.dumps(change(json.loads(path.read_text(encoding="utf-8")))), encoding="utf-8")


def test_another_rope_theta_is_named(copy: Path, faults_of: Callable[..., tuple[str, ...]]) -> None:
    changed_json(copy / "config.json", lambda config: config | {"rope_parameters": {"rope_type": "default", "rope_theta": 500.0}})
    faults = faults_of(export_gguf(copy, copy / "planted.gguf", LABEL))
    assert "qwen3.rope.freq_base is 500.0 in the file, 10000.0 in training" in faults
    assert any(fault.startswith("logits differ by up to") for fault in faults)


def test_swapped_token_ids_are_named(copy: Path, faults_of: Callable[..., tuple[str, ...]]) -> None:
    def swap(core: Any) -> Any:
        vocab = core["model"]["vocab"]
        vocab["a"], vocab["e"] = vocab["e"], vocab["a"]
        return core

    changed_json(copy / "tokenizer.json", swap)
    faults = faults_of(export_gguf(copy, copy / "planted.gguf", LABEL))
    assert any(fault.endswith("(2 differ): ids mean other text") and "'e' in the file, 'a' in training" in fault for fault in faults), (
        faults
    )
    assert any(fault.startswith("token ids differ for ") for fault in faults)


@pytest.mark.parametrize("value", [float("nan"), 3.0])
def test_a_damaged_weight_is_named_even_where_no_prompt_meets_it(
    value: float, copy: Path, faults_of: Callable[..., tuple[str, ...]]
) -> None:
    file = export_gguf(copy, copy / "planted.gguf", LABEL)
    reader = gguf.GGUFReader(file, "r+")
    tensor = next(tensor for tensor in reader.tensors if tensor.name == "token_embd.weight")
    tensor.data[300, 7] = value
    tensor.data.base.flush() if hasattr(tensor.data.base, "flush") else reader.data.flush()
    assert any(fault.startswith("weight row 300 of token_embd.weight differs by ") for fault in faults_of(file))


def test_another_split_is_named(copy: Path, faults_of: Callable[..., tuple[str, ...]], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gguf.GGUFWriter, "add_tokenizer_pre", lambda self, _: self.add_string("tokenizer.ggml.pre", "gpt-2"))
    assert "tokenizer.ggml.pre is 'gpt-2' in the file, 'qwen2' in training" in faults_of(export_gguf(copy, copy / "planted.gguf", LABEL))


def test_a_folder_that_does_not_stop_where_its_template_ends_is_named(copy: Path, faults_of: Callable[..., tuple[str, ...]]) -> None:
    file = export_gguf(copy, copy / "planted.gguf", LABEL)
    assert faults_of(file, copy) == ()
    changed_json(copy / "generation_config.json", lambda config: config | {"eos_token_id": 0})
    faults = faults_of(file, copy)
    assert len(faults) == 1
    assert faults[0].startswith("generation_config.json: eos_token_id is [0], but the template ends an answer with <|im_end|> (2)")
