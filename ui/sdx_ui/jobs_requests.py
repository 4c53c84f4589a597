"""What the network may ask for: a recipe within bounds becomes a job. No command, no code and no file of this machine comes from outside.

Start reading at planned(). A recipe file lies below the operator's folder and is trusted as it is; an inline recipe is not.
"""

import re
import shutil
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal
from urllib.parse import urlsplit
from uuid import uuid4

import yaml
from pydantic import BaseModel, Field, model_validator

from sdx_domains.contract import Closed
from sdx_finetune.augment.spec import AugmentSpec
from sdx_finetune.journal import write_whole
from sdx_finetune.prompt.service_fields import RUN as PROMPT_RUN
from sdx_finetune.prompt.service_fields import FewShotRequest, write_spec
from sdx_finetune.prompt.spec import PromptSpec
from sdx_finetune.run import load_recipe
from sdx_finetune.tune.spec import StudySpec
from sdx_ui.envelope import LOOPBACK

Kind = Literal["train", "augment", "prompt", "tune"]
CODE_OF = ("sdx_domains.", "sdx_finetune.measure.text_metrics:")
"""Functions that an inline recipe may name."""
MODEL_FIELDS = ("model", "against", "tracking", "rows")
"""Fields with a word, an address, a data set, a Hugging Face id or a file."""
WORDS = ("embedded", "planner", "base", "local", "none")
TEXT_FIELDS = ("task", "description", "instruction", "licence")
_CODE = re.compile(r"[A-Za-z_][\w.]*:[A-Za-z_]\w*")
_DATASET = re.compile(r"[a-z0-9][a-z0-9._-]{0,63}@[0-9a-f]+")
_HUB_ID = re.compile(r"[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*")
REQUEST = "request.json"


@dataclass(frozen=True, slots=True)
class Bounds:
    """What the operator allows."""

    recipes: Path | None = None
    """Folder of recipe files, and of the files that inline recipes name."""
    hosts: tuple[str, ...] = LOOPBACK
    """Machines whose models may be asked."""
    keys: tuple[str, ...] = ()
    """Environment variables that a recipe may name as a key."""
    most_waiting: int = 100


class Params(Closed):
    """params of POST /run."""

    kind: Kind = "train"
    recipe: dict[str, Any] | None = None
    """The recipe itself, as `sdx finetune schema` has it (augment, prompt: what those commands read)."""
    recipe_file: str | None = Field(None, max_length=400)
    """Or a file below the service's folder."""
    device: str | None = Field(None, pattern=r"^(cpu|cuda:\d{1,2})$")
    sync: bool = False
    """Wait for the result up to the contract's 60 s; then the job's id comes instead."""

    @model_validator(mode="after")
    def _one_recipe(self) -> "Params":
        if (self.recipe is None) == (self.recipe_file is None):
            raise ValueError("give either recipe (the fields themselves) or recipe_file (a path below the service's folder)")
        if self.kind == "tune" and self.recipe is not None:
            raise ValueError("tune takes a recipe_file: it varies another file of the service's folder")
        return self


@dataclass(frozen=True, slots=True)
class Plan:
    """A request that may run."""

    kind: Kind
    argv: list[str]
    work: Path
    device: str | None
    sync: bool
    params: dict[str, Any] = field(default_factory=dict[str, Any])


def planned(params: Mapping[str, Any], home: Path, bounds: Bounds) -> Plan:
    """Validate, and write what is to be run into a folder of its own below `home`. ValueError (pydantic's too) says which field is wrong."""
    work = home / "served" / uuid4().hex[:12]
    try:
        return _few_shot(params, work, bounds) if "llm_url" in params else _recipe(Params.model_validate(dict(params)), work, bounds)
    except BaseException:
        shutil.rmtree(work, ignore_errors=True)
        raise


def _few_shot(params: Mapping[str, Any], work: Path, bounds: Bounds) -> Plan:
    request = FewShotRequest.model_validate(dict(params))
    _address(request.llm_url, "llm_url", bounds)
    path = write_spec(request, work)
    write_whole(work / REQUEST, request.model_dump_json().encode())
    return Plan("prompt", [PROMPT_RUN, str(path), "--work", str(work)], work, "cpu", request.sync)


def _recipe(asked: Params, work: Path, bounds: Bounds) -> Plan:
    path = _inline(asked, work, bounds) if asked.recipe is not None else _below(asked.recipe_file or "", "recipe_file", bounds)
    try:
        _load(asked.kind, path)
    except ValueError as error:
        raise ValueError(str(error).replace(str(path), asked.recipe_file or "recipe")) from error
    work.mkdir(parents=True, exist_ok=True)
    argv = {
        "train": ["sdx_finetune.run", str(path), "--work", str(work)],
        "augment": ["sdx_ui.cli", "finetune", "augment", str(path), "--work", str(work)],
        "prompt": [PROMPT_RUN, str(path), "--work", str(work)],
        "tune": ["sdx_ui.cli", "finetune", "tune", str(path), "--work", str(work)],
    }[asked.kind]
    return Plan(asked.kind, argv, work, asked.device, asked.sync, {"recipe_file": asked.recipe_file})


def _load(kind: Kind, path: Path) -> BaseModel:
    """ValueError names the wrong field."""
    if kind == "train":
        return load_recipe(path)
    specs: dict[str, type[AugmentSpec | PromptSpec | StudySpec]] = {"augment": AugmentSpec, "prompt": PromptSpec, "tune": StudySpec}
    return specs[kind].load(path)


def _inline(asked: Params, work: Path, bounds: Bounds) -> Path:
    """Write an inline recipe, its files as full paths. First it is checked where it harms nobody: loading reads no file but itself."""
    path = work / "recipe.yaml"
    bounded = {name: _bounded(name, value, bounds) for name, value in (asked.recipe or {}).items()}
    work.mkdir(parents=True)
    write_whole(path, yaml.safe_dump(bounded, allow_unicode=True, sort_keys=False).encode())
    return path


def _bounded(name: str, value: Any, bounds: Bounds) -> Any:
    """A value with every string in it held to the bounds; `name` is its dotted field."""
    if isinstance(value, dict):
        return {key: _bounded(f"{name}.{key}", each, bounds) for key, each in value.items()}
    if isinstance(value, list):
        return [_bounded(name, each, bounds) for each in value]
    return _string(name, value, bounds) if isinstance(value, str) else value


def _string(name: str, value: str, bounds: Bounds) -> str:
    last = name.rpartition(".")[2]
    if _CODE.fullmatch(value) and not value.startswith(CODE_OF):
        raise ValueError(f"{name}: functions that a request may name begin with {' or '.join(CODE_OF)} (given: {value!r:.100})")
    if last.endswith("_env") and value not in bounds.keys:
        raise ValueError(f"{name}: the service was not started with --allow-key {value!r:.60}")
    if last in ("examples", "prompt", "answer_schema"):
        return str(_below(value, name, bounds))
    if ".arguments." in f".{name}." and re.search(r"[/\\~]|\.\.", value):
        raise ValueError(f"{name}: paths are not taken from a request (given: {value!r:.100})")
    if last in MODEL_FIELDS:
        return _model(name, value, bounds)
    if last not in TEXT_FIELDS and (value.startswith(("/", "~")) or ".." in value):
        raise ValueError(f"{name}: paths are not taken from a request (given: {value!r:.100})")
    return value


def _model(name: str, value: str, bounds: Bounds) -> str:
    """A word, an address on an allowed machine, a data set, a hub id, or a file of the folder."""
    if "://" in value:
        _address(value, name, bounds)
        return value
    if value in WORDS or _DATASET.fullmatch(value):
        return value
    if bounds.recipes is not None and (bounds.recipes / value).exists() or not _HUB_ID.fullmatch(value):
        return str(_below(value, name, bounds))
    return value


def _address(value: str, name: str, bounds: Bounds) -> None:
    """ValueError unless it leads by http to an allowed machine: else a request could reach what only this machine reaches."""
    parts = urlsplit(value)
    if parts.scheme not in ("http", "https") or parts.hostname not in bounds.hosts or parts.username is not None:
        host = (parts.hostname or value)[:100]
        raise ValueError(f"{name}: {host} is not among the machines that may be asked; --allow-host adds one")


def _below(value: str, name: str, bounds: Bounds) -> Path:
    """A file of the operator's folder. What lies elsewhere and what is missing are told alike."""
    if bounds.recipes is None:
        raise ValueError(f"{name}: the service was started without --recipes FOLDER and takes no files (given: {value!r:.100})")
    folder = bounds.recipes.resolve()
    path = (folder / value).resolve() if "\0" not in value else folder
    if not path.is_relative_to(folder) or not path.is_file():
        raise ValueError(f"{name}: there is no file {value!r:.100} below the service's folder")
    return path
