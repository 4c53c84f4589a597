import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import gguf
import pytest

from sdx_finetune.export.gguf_file import Label, export_gguf
from sdx_finetune.export.quantise import quantise
from sdx_finetune.parity.gate import Report, compare
from sdx_finetune.recipe import Recipe
from sdx_finetune.rows import Row

LABEL = Label("toy", "Says which ship passes nearest.", "apache-2.0", ("en", "ko"))


@pytest.fixture(scope="module")
def whole(model_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return export_gguf(model_folder, tmp_path_factory.mktemp("gguf") / "toy-F32.gguf", LABEL)


@pytest.fixture(scope="module")
def check(model_folder: Path, toy: list[Row], recipe: Recipe) -> Callable[..., Report]:
    chats = [row.turns()[:-1] for row in toy[:2]]
    return lambda path, kind="F32": compare(model_folder, path, kind, chats, recipe.parity)


def text_of(path: Path, key: str) -> Any:
    return gguf.GGUFReader(path).fields[key].contents()


def test_the_file_says_what_it_is(whole: Path, tokenizer: Any) -> None:
    assert text_of(whole, "general.architecture") == "qwen3"
    assert text_of(whole, "general.license") == "apache-2.0"
    assert text_of(whole, "general.languages") == ["en", "ko"]
    assert text_of(whole, "tokenizer.ggml.pre") == "qwen2"
    assert text_of(whole, "tokenizer.ggml.add_bos_token") is False
    assert text_of(whole, "tokenizer.chat_template") == tokenizer.chat_template
    types = text_of(whole, "tokenizer.ggml.token_type")
    assert [i for i, kind in enumerate(types) if kind == gguf.TokenType.CONTROL] == [0, 1, 2]


def test_float32_answers_as_training_does(whole: Path, check: Callable[..., Report]) -> None:
    report = check(whole)
    assert not report.faults, report.text()
    assert (report.template_equal, report.tokens_equal, report.greedy_agreement) == (True, True, 1.0)
    assert (report.max_logit_difference or 0.0) < 1e-3
    assert report.text().startswith("PASS toy-F32.gguf (F32, ")


def test_float16_and_quantised_files_pass_and_are_smaller(whole: Path, check: Callable[..., Report], tmp_path: Path) -> None:
    half = quantise(whole, tmp_path / "toy-F16.gguf", "F16")
    small = quantise(whole, tmp_path / "toy-Q8_0.gguf", "Q8_0")
    assert small.stat().st_size < half.stat().st_size < whole.stat().st_size
    assert not check(small, "Q8_0").faults


def planted(folder: Path, target: Path, change: Callable[[Path], None]) -> Path:
    """A file exported from a changed copy of the model folder."""
    shutil.copytree(folder, target)
    change(target)
    return export_gguf(target, target / "planted.gguf", LABEL)


def change_template(folder: Path) -> None:
    path = folder / "chat_template.jinja"
    path.write_text(path.read_text(encoding="utf-8").replace("<|im_end|>' + '\\n'", "<|im_end|>'"), encoding="utf-8")


def change_eos(folder: Path) -> None:
    path = folder / "tokenizer_config.json"
    config = json.loads(path.read_text(encoding="utf-8"))
    path.write_text(json.dumps(config | {"eos_token": "<|endoftext|>"}), encoding="utf-8")


def change_merges(folder: Path) -> None:
    path = folder / "tokenizer.json"
    core = json.loads(path.read_text(encoding="utf-8"))
    core["model"]["merges"] = core["model"]["merges"][::-1]
    path.write_text(json.dumps(core), encoding="utf-8")


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (change_template, "chat template differs: at "),
        (change_eos, "answers would not end"),
        (change_merges, "token ids differ for "),
    ],
)
def test_a_planted_fault_of_the_tokenizer_is_caught(
    model_folder: Path, tmp_path: Path, check: Callable[..., Report], change: Callable[[Path], None], said: str
) -> None:
    report = check(planted(model_folder, tmp_path / "planted", change))
    assert any(said in fault for fault in report.faults), report.text()
    assert report.text().startswith("FAIL")


def test_a_beginning_token_that_training_did_not_have_is_caught(
    model_folder: Path, tmp_path: Path, check: Callable[..., Report], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(gguf.GGUFWriter, "add_add_bos_token", lambda self, _: self.add_bool("tokenizer.ggml.add_bos_token", True))
    report = check(export_gguf(model_folder, tmp_path / "bos.gguf", LABEL))
    assert any(fault.startswith("BOS: the file adds 1 token(s)") for fault in report.faults), report.text()


def test_changed_weights_are_caught(model_folder: Path, tmp_path: Path, check: Callable[..., Report]) -> None:
    import torch
    from transformers import Qwen3ForCausalLM

    def change(folder: Path) -> None:
        model = Qwen3ForCausalLM.from_pretrained(folder)
        with torch.no_grad():
            model.model.layers[0].self_attn.q_norm.weight.mul_(3.0)
            model.model.layers[1].mlp.down_proj.weight.mul_(-5.0)
        model.save_pretrained(folder)

    report = check(planted(model_folder, tmp_path / "planted", change))
    assert any(fault.startswith("logits differ by up to") for fault in report.faults), report.text()


def test_a_file_that_is_no_model_cannot_be_quantised(tmp_path: Path) -> None:
    (tmp_path / "no.gguf").write_bytes(b"GGUF but not really")
    with pytest.raises(RuntimeError, match="could not quantise"):
        quantise(tmp_path / "no.gguf", tmp_path / "out.gguf", "Q8_0")
