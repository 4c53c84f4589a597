"""The model to begin with, as a Hugging Face folder on this disk: unpacked from GGUF, checked in place, or downloaded."""

import hashlib
import json
import os
import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path

from sdx_finetune.adapt.recipe import EMBEDDED, BaseSpec
from sdx_finetune.progress import Say
from sdx_serving.weights import sha256_of

WANTED = ("*.safetensors", "*.json", "*.txt", "*.jinja", "*.model")
UNWANTED = ("*/*", "consolidated*")
_EDITION = 1  # of what `unpack` writes


@dataclass(frozen=True, slots=True)
class Base:
    """Where it lies and what it is."""

    folder: Path
    source: str
    """As the recipe calls it."""
    revision: str | None
    """Commit of a Hugging Face id."""
    sha256: str
    """Of the GGUF file, or of the folder's safetensors files one after the other, by name."""


def resolve(spec: BaseSpec, say: Say = lambda line: None, cache: Path | None = None) -> Base:
    """Make the base ready. `cache`: where unpacked and downloaded models are kept, else SDX_CACHE and Hugging Face's own.

    Raises:
        ValueError: the model is not there, not allowed or not usable; the message says what to do.
        OSError: network or disk.
    """
    if spec.model == EMBEDDED:
        from sdx_serving.connect import embedded_model_path

        return _unpacked(embedded_model_path(), spec, say, cache)
    path = Path(spec.model).expanduser()
    if path.suffix == ".gguf":
        if not path.is_file():
            raise FileNotFoundError(f"base.model {spec.model}: there is no such file")
        return _unpacked(path, spec, say, cache)
    if path.is_dir():
        check_folder(path)
        return Base(path, spec.model, None, weights_sha256(path))
    return _downloaded(spec, say, cache)


def cache_folder() -> Path:
    """SDX_CACHE, else $XDG_CACHE_HOME/sdx (~/.cache/sdx)."""
    given = os.environ.get("SDX_CACHE")
    return Path(given).expanduser() if given else Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "sdx"


def check_folder(folder: Path) -> None:
    """ValueError when something that training or export needs is missing."""
    if not (folder / "config.json").is_file():
        adapter = " (adapter_config.json is there: an adapter alone; give the model it was made from)" if _adapter(folder) else ""
        raise ValueError(f"{folder}: config.json is missing: it is no model folder{adapter}")
    try:
        kind = json.loads((folder / "config.json").read_text(encoding="utf-8"))["model_type"]
    except (ValueError, KeyError, TypeError) as error:
        raise ValueError(f"{folder / 'config.json'}: not readable, or without model_type ({error!r})") from error
    _check_weights(folder)
    if not any((folder / name).is_file() for name in ("tokenizer.json", "tokenizer.model", "vocab.json")):
        raise ValueError(f"{folder}: no tokenizer (tokenizer.json): save the tokenizer of this {kind} beside it")
    if not _has_template(folder):
        raise ValueError(
            f"{folder}: no chat template (chat_template.jinja): take the instruct edition, or save the template it is asked with"
        )


def weights_sha256(folder: Path) -> str:
    """Over the contents of all safetensors files, by name."""
    found = hashlib.sha256()
    for path in sorted(folder.glob("*.safetensors")):
        found.update(sha256_of(path).encode())
    return found.hexdigest()


def _adapter(folder: Path) -> bool:
    return (folder / "adapter_config.json").is_file()


def _check_weights(folder: Path) -> None:
    from safetensors import SafetensorError, safe_open

    index = folder / "model.safetensors.index.json"
    if index.is_file():
        names = sorted(set(json.loads(index.read_text(encoding="utf-8"))["weight_map"].values()))
        if missing := [name for name in names if not (folder / name).is_file()]:
            raise ValueError(
                f"{folder}: {len(missing)} of {len(names)} weight files are missing, first {missing[0]}: copy or download them"
            )
    else:
        names = sorted(path.name for path in folder.glob("*.safetensors"))
    if not names:
        pickled = next((path.name for path in [*folder.glob("*.bin"), *folder.glob("*.pt*")]), None)
        why = f"{pickled} may run code when it is opened; save it again with safetensors" if pickled else "weights are missing"
        raise ValueError(f"{folder}: no safetensors file: {why}")
    for name in names:
        try:
            with safe_open(folder / name, "numpy") as file:
                file.keys()
        except (SafetensorError, OSError) as error:
            raise ValueError(f"{folder / name} is cut off or damaged ({error}): copy or download it again") from error


def _has_template(folder: Path) -> bool:
    if any((folder / name).is_file() for name in ("chat_template.jinja", "chat_template.json")):
        return True
    config = folder / "tokenizer_config.json"
    return config.is_file() and bool(json.loads(config.read_text(encoding="utf-8")).get("chat_template"))


def _unpacked(path: Path, spec: BaseSpec, say: Say, cache: Path | None) -> Base:
    """Once per file content. The folder appears whole or not at all, whoever else unpacks the same."""
    sha = sha256_of(path)
    folder = (cache or cache_folder()) / "bases" / f"{sha}-{_EDITION}"
    if not folder.is_dir():
        from sdx_finetune.adapt.unpack_gguf import unpack

        say(f"unpacking {path.name} into {folder}")
        folder.parent.mkdir(parents=True, exist_ok=True)
        partial = Path(tempfile.mkdtemp(prefix=".", suffix=".partial", dir=folder.parent))
        try:
            partial.chmod(0o755)
            unpack(path, partial)
            check_folder(partial)
            partial.rename(folder)
        except OSError:
            if not folder.is_dir():  # else another process was first
                raise
        finally:
            shutil.rmtree(partial, ignore_errors=True)
    return Base(folder, spec.model, None, sha)


def _downloaded(spec: BaseSpec, say: Say, cache: Path | None) -> Base:
    """Through the hub's own cache: what is there is not taken again, what was broken off goes on."""
    from httpx2 import HTTPError
    from huggingface_hub import constants, snapshot_download
    from huggingface_hub.errors import HFValidationError

    endpoint = os.environ.get("HF_ENDPOINT") or constants.ENDPOINT
    offline = constants.HF_HUB_OFFLINE or os.environ.get("HF_HUB_OFFLINE", "").upper() in constants.ENV_VARS_TRUE_VALUES
    say(f"{spec.model}: {'looking into the cache' if offline else f'from {endpoint}'}")
    try:
        found = snapshot_download(
            spec.model, revision=spec.revision, endpoint=endpoint, token=os.environ.get(spec.token_env) or None, max_workers=2,
            cache_dir=cache / "hub" if cache else None, allow_patterns=list(WANTED), ignore_patterns=list(UNWANTED), local_files_only=offline,
        )  # fmt: skip
    except HFValidationError as error:
        raise ValueError(f"base.model {spec.model!r} is no folder on this disk, no .gguf file and no Hugging Face id ({error})") from error
    except (OSError, HTTPError) as error:
        raise _explained(error, spec, endpoint, offline) from error
    folder = Path(found)
    check_folder(folder)
    say(f"{spec.model} at {folder.name}")
    return Base(folder, spec.model, folder.name, weights_sha256(folder))


def _explained(error: Exception, spec: BaseSpec, endpoint: str, offline: bool) -> Exception:
    """The hub's error in words that say what to do."""
    from huggingface_hub import errors

    name, variable = spec.model, spec.token_env
    token = f"{variable} is set, but its token may not read it" if os.environ.get(variable) else f"{variable} is not set"
    disk = isinstance(error, OSError) and error.errno is not None and not isinstance(error, ConnectionError | TimeoutError)
    match error:
        case errors.GatedRepoError():
            return ValueError(
                f"{name} is gated and {token}: accept its terms at {endpoint}/{name}, make an access token there, put it into {variable}"
            )
        case errors.RepositoryNotFoundError():
            return ValueError(
                f"{name} is not at {endpoint}, nor a folder here: check the spelling; if it is private, put a token into {variable} ({token})"
            )
        case errors.RevisionNotFoundError():
            return ValueError(f"{name} has no revision {spec.revision!r}: see {endpoint}/{name}/commits/main, or leave base.revision out")
        case errors.LocalEntryNotFoundError() if offline:
            return FileNotFoundError(
                f"{name} is not whole in the cache and HF_HUB_OFFLINE is set: unset it and run once with a network, or give a folder"
            )
        case _ if disk:
            return error
        case _:
            said = f"{type(error).__name__}: {error}".splitlines()[0]
            return ConnectionError(
                f"{name} could not be taken from {endpoint} ({said}): try again, what has arrived is kept; "
                "without a network give a folder or a GGUF file"
            )
