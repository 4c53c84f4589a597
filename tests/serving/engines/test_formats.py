"""What a model is, told by its files."""

from pathlib import Path

import pytest

from sdx_serving.engine import EngineError
from sdx_serving.engines.formats import folder_of, format_of, takes_tools, weights_sha256


def lay(folder: Path, *names: str) -> Path:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text("{}")
    return folder


@pytest.mark.parametrize(
    ("names", "form"),
    [
        (("config.json", "model.safetensors"), "safetensors"),
        (("config.json", "model-00001-of-00002.safetensors", "onnx/model.onnx"), "safetensors"),
        (("config.json", "model.onnx"), "onnx"),
        (("config.json", "onnx/decoder.onnx"), "onnx"),
        (("config.json", "rank0.engine"), "trt-engine"),
    ],
)
def test_a_folder_is_what_its_files_are(tmp_path: Path, names: tuple[str, ...], form: str) -> None:
    assert format_of(str(lay(tmp_path, *names))) == form


def test_a_file_is_what_it_begins_with_or_is_called(tmp_path: Path, tiny_model: Path) -> None:
    renamed = tmp_path / "weights.bin"
    renamed.write_bytes(tiny_model.read_bytes()[:64])
    assert format_of(str(renamed)) == "gguf"
    lay(tmp_path, "encoder.onnx", "llm.engine")
    assert (format_of(str(tmp_path / "encoder.onnx")), format_of(str(tmp_path / "llm.engine"))) == ("onnx", "trt-engine")


def test_an_id_of_the_hub_is_not_looked_for_on_the_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert format_of("Qwen/Qwen3-4B") == "safetensors"
    (tmp_path / "Qwen").mkdir()
    with pytest.raises(EngineError, match="no model 'Qwen/Qwen3-4B'"):
        format_of("Qwen/Qwen3-4B")


@pytest.mark.parametrize(
    ("make", "model", "says"),
    [
        (("a.gguf",), "", "give one of its GGUF files, e.g. .*a.gguf"),
        (("notes.txt",), "", "holds no model"),
        (("notes.txt",), "notes.txt", "neither GGUF"),
        (("model.safetensors",), "model.safetensors", "give the folder"),
        ((), "absent", "no such file or folder"),
    ],
)
def test_what_is_no_model_says_what_to_give(tmp_path: Path, make: tuple[str, ...], model: str, says: str) -> None:
    lay(tmp_path, *make)
    with pytest.raises(EngineError, match=says):
        format_of(str(tmp_path / model))


def test_a_fetched_model_is_found_in_the_hub_s_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path))
    assert folder_of("Qwen/Qwen3-4B") is None
    snapshot = lay(tmp_path / "models--Qwen--Qwen3-4B/snapshots/abc", "config.json")
    assert folder_of("Qwen/Qwen3-4B") == snapshot


def test_tools_need_a_place_in_the_template(tmp_path: Path) -> None:
    assert not takes_tools(None)
    (tmp_path / "tokenizer_config.json").write_text('{"chat_template": "{{ messages }}"}')
    assert not takes_tools(tmp_path)
    (tmp_path / "tokenizer_config.json").write_text('{"chat_template": "{% if tools %}{{ tools }}{% endif %}"}')
    assert takes_tools(tmp_path)
    (tmp_path / "tokenizer_config.json").write_text("{")
    with pytest.raises(EngineError, match=r"tokenizer_config\.json cannot be read"):
        takes_tools(tmp_path)


def test_weights_have_one_name_whatever_else_lies_there(tmp_path: Path) -> None:
    lay(tmp_path, "b.safetensors", "config.json")
    before = weights_sha256(tmp_path)
    lay(tmp_path, "README.md")
    assert weights_sha256(tmp_path) == before
    lay(tmp_path, "a.safetensors")
    assert weights_sha256(tmp_path) != before
