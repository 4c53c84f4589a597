import json
from importlib.util import find_spec
from pathlib import Path

import pytest

from sdx_ui.cli import main

pytestmark = pytest.mark.skipif(not all(find_spec(name) for name in ("torch", "gguf", "llama_cpp")), reason="the extra `train`")


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    from sdx_finetune.adapt.base import resolve
    from sdx_finetune.adapt.recipe import BaseSpec

    return resolve(BaseSpec.model_validate({}), cache=tmp_path_factory.mktemp("cache")).folder


def test_files_are_made_and_proven(base: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "files"
    assert main(["finetune", "export", str(base), "--name", "toy", "--quant", "Q4_K_M", "--quant", "F16", "--out", str(out)]) == 0
    files = capsys.readouterr().out.splitlines()
    assert files == [str(out / "toy-Q4_K_M.gguf"), str(out / "toy-F16.gguf")]
    assert sorted(map(str, out.iterdir())) == sorted(files)
    assert main(["finetune", "parity", str(base), files[1], "--prompts", "1", "--tokens", "8", "--json"]) == 0
    (report,) = json.loads(capsys.readouterr().out)
    assert (report["file"], report["quantisation"], report["faults"]) == ("toy-F16.gguf", "F16", [])
    assert report["top1_agreement"] >= 0.995


def test_a_file_of_another_model_fails_with_its_faults(base: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    import shutil

    other = shutil.copytree(base, tmp_path / "other")
    template = other / "chat_template.jinja"
    template.write_text(template.read_text(encoding="utf-8").replace("assistant", "captain"), encoding="utf-8")
    assert main(["finetune", "export", str(other), "--quant", "F16", "--out", str(tmp_path / "files")]) == 0
    file = tmp_path / "files" / "other-F16.gguf"
    assert main(["finetune", "parity", str(base), str(file), "--prompts", "1", "--tokens", "4"]) == 1
    said = capsys.readouterr().out
    assert "FAIL other-F16.gguf" in said
    assert "fault: chat template differs: at " in said


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["export", "{base}", "--out", "{tmp}/out"], "nothing is asked for: give --quant Q8_0"),
        (["export", "{tmp}", "--quant", "F16", "--out", "{tmp}/out"], "config.json is missing: it is no model folder"),
        (["export", "{base}", "--lora", "{base}", "--out", "{tmp}/out"], "it is no adapter folder"),
        (["parity", "{base}", "{tmp}"], "neither a .gguf file, nor a folder with model.onnx or config.json"),
        (["parity", "{base}", "{base}", "--generator", "no.where:rows"], "--generator no.where:rows: there is no such function"),
    ],
)
def test_wrong_input_says_what_to_do(words: list[str], said: str, base: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["finetune", *(word.format(base=base, tmp=tmp_path) for word in words)]) == 1
    assert said in capsys.readouterr().err
