import errno
import json
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from huggingface_hub import constants

from sdx_finetune.adapt.base import Base, resolve, weights_sha256
from sdx_finetune.adapt.recipe import BaseSpec

sys.path.insert(0, str(Path(__file__).parent))
from fake_hub import Hub, running

MODEL = "sea/toy"


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    with running() as hub:
        monkeypatch.setenv("HF_ENDPOINT", hub.url)
        monkeypatch.setenv("HF_HUB_OFFLINE", "0")
        monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
        monkeypatch.delenv("HF_TOKEN", raising=False)
        yield hub


@pytest.fixture
def files(model_folder: Path) -> dict[str, bytes]:
    held = {path.name: path.read_bytes() for path in model_folder.iterdir() if path.is_file()}
    return held | {"pytorch_model.bin": b"runs code", "onnx/model.safetensors": b"not wanted", "README.md": b"x"}


def spec(model: str, **more: str) -> BaseSpec:
    return BaseSpec.model_validate({"model": model, **more})


def test_a_download_is_whole_pinned_and_takes_no_pickle(hub: Hub, files: dict[str, bytes], tmp_path: Path, model_folder: Path) -> None:
    commit = hub.add(MODEL, files)
    base = resolve(spec(MODEL), cache=tmp_path)
    assert (base.source, base.revision, base.sha256) == (MODEL, commit, weights_sha256(model_folder))
    assert {path.name for path in base.folder.rglob("*")} == {path.name for path in model_folder.iterdir()}
    assert not hub.fetched("pytorch_model.bin")


def test_a_revision_is_kept_when_a_newer_one_exists(hub: Hub, files: dict[str, bytes], tmp_path: Path) -> None:
    first = hub.add(MODEL, files)
    newer = hub.add(MODEL, files | {"chat_template.jinja": b"changed"})
    assert resolve(spec(MODEL, revision=first), cache=tmp_path).revision == first
    base = resolve(spec(MODEL), cache=tmp_path)
    assert (base.revision, (base.folder / "chat_template.jinja").read_bytes()) == (newer, b"changed")
    with pytest.raises(ValueError, match="has no revision 'v9'"):
        resolve(spec(MODEL, revision="v9"), cache=tmp_path)


def test_a_download_that_breaks_goes_on_where_it_broke(
    hub: Hub, files: dict[str, bytes], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(constants, "DOWNLOAD_CHUNK_SIZE", 4096)
    hub.add(MODEL, files)
    hub.break_at["model.safetensors"] = 100_000
    base = resolve(spec(MODEL), cache=tmp_path)
    whole, rest = hub.fetched("model.safetensors")
    assert whole is None
    assert rest is not None
    assert 90_000 < int(rest.removeprefix("bytes=").rstrip("-")) <= 100_000
    assert (base.folder / "model.safetensors").read_bytes() == files["model.safetensors"]


def test_what_was_downloaded_serves_without_a_network(
    hub: Hub, files: dict[str, bytes], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    hub.add(MODEL, files)
    with_network = resolve(spec(MODEL), cache=tmp_path)
    asked = len(hub.asked)
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    assert resolve(spec(MODEL), cache=tmp_path) == with_network
    with pytest.raises(FileNotFoundError, match="HF_HUB_OFFLINE is set: unset it and run once with a network"):
        resolve(spec("sea/other"), cache=tmp_path)
    assert len(hub.asked) == asked


def test_a_gated_model_names_its_page_and_the_variable(
    hub: Hub, files: dict[str, bytes], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    hub.add(MODEL, files)
    hub.gated[MODEL] = "secret"
    with pytest.raises(ValueError, match=f"gated and SEA_TOKEN is not set: accept its terms at {hub.url}/{MODEL}.*put it into SEA_TOKEN"):
        resolve(spec(MODEL, token_env="SEA_TOKEN"), cache=tmp_path)
    monkeypatch.setenv("SEA_TOKEN", "wrong")
    with pytest.raises(ValueError, match="SEA_TOKEN is set, but its token may not read it"):
        resolve(spec(MODEL, token_env="SEA_TOKEN"), cache=tmp_path)
    monkeypatch.setenv("SEA_TOKEN", "secret")
    assert resolve(spec(MODEL, token_env="SEA_TOKEN"), cache=tmp_path).source == MODEL


def test_an_unknown_id_a_wrong_name_and_no_network_say_what_to_do(hub: Hub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ValueError, match="sea/nothing is not at .*: check the spelling"):
        resolve(spec("sea/nothing"), cache=tmp_path)
    with pytest.raises(ValueError, match=r"no folder on this disk, no \.gguf file and no Hugging Face id"):
        resolve(spec("/no/such/folder"), cache=tmp_path)
    with pytest.raises(FileNotFoundError, match="there is no such file"):
        resolve(spec("no.gguf"), cache=tmp_path)
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    with pytest.raises(ConnectionError, match="could not be taken from http://127.0.0.1:9 .*: try again, what has arrived is kept"):
        resolve(spec(MODEL), cache=tmp_path)


def test_a_full_disk_is_told_as_such(hub: Hub, files: dict[str, bytes], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(source: str, target: str) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    hub.add(MODEL, files)
    monkeypatch.setattr("huggingface_hub.file_download._chmod_and_move", full)
    with pytest.raises(OSError, match="No space left on device") as told:
        resolve(spec(MODEL), cache=tmp_path)
    assert told.value.errno == errno.ENOSPC


def test_a_folder_is_used_in_place(model_folder: Path, tmp_path: Path) -> None:
    assert resolve(spec(str(model_folder)), cache=tmp_path) == Base(model_folder, str(model_folder), None, weights_sha256(model_folder))


@pytest.mark.parametrize(
    ("missing", "said"),
    [
        ("config.json", "config.json is missing: it is no model folder"),
        ("model.safetensors", "no safetensors file: weights are missing"),
        ("tokenizer.json", "no tokenizer"),
        ("chat_template.jinja", "no chat template"),
    ],
)
def test_a_folder_that_lacks_something_is_refused(model_folder: Path, tmp_path: Path, missing: str, said: str) -> None:
    folder = shutil.copytree(model_folder, tmp_path / "model")
    (folder / missing).unlink()
    with pytest.raises(ValueError, match=said):
        resolve(spec(str(folder)))


def test_pickles_adapters_and_damaged_weights_are_refused(model_folder: Path, tmp_path: Path) -> None:
    folder = shutil.copytree(model_folder, tmp_path / "model")
    weights = folder / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-100])
    with pytest.raises(ValueError, match=r"model\.safetensors is cut off or damaged"):
        resolve(spec(str(folder)))
    weights.rename(folder / "pytorch_model.bin")
    with pytest.raises(ValueError, match=r"pytorch_model\.bin may run code when it is opened"):
        resolve(spec(str(folder)))
    (folder / "config.json").rename(folder / "adapter_config.json")
    with pytest.raises(ValueError, match="an adapter alone; give the model it was made from"):
        resolve(spec(str(folder)))
    (folder / "config.json").write_text("{}", encoding="utf-8")
    with pytest.raises(ValueError, match="without model_type"):
        resolve(spec(str(folder)))
    (folder / "config.json").write_text(json.dumps({"model_type": "qwen3"}), encoding="utf-8")
    (folder / "model.safetensors.index.json").write_text(json.dumps({"weight_map": {"a": "1.safetensors"}}), encoding="utf-8")
    with pytest.raises(ValueError, match=r"1 of 1 weight files are missing, first 1\.safetensors"):
        resolve(spec(str(folder)))
