"""What each model file is and how well it does its tasks, by the hash of its weights.

Two files: the one beside the embedded model ships with it; the user's own ($SDX_REGISTRY, else
~/.local/share/sdx/registry.json) is written by evaluations and compressions, and wins. Start at Registry.
"""

import json
import os
from collections.abc import Mapping
from importlib.resources import files
from pathlib import Path

from pydantic import Field

from sdx_serving.closed import Closed


class Score(Closed):
    """One task on its frozen rows."""

    metric: str
    """E.g. "accepted", "role"."""
    value: float = Field(ge=0.0, le=1.0)
    low: float | None = None
    high: float | None = None
    """95 % interval."""
    rows: int = Field(ge=1)
    passed: bool
    """Whether it met the bar of the task's release."""
    report: str = ""
    """File, or command, that shows how it was measured."""


class Entry(Closed):
    """One file of weights."""

    name: str
    sha256: str
    compression: str
    """Q8_0, F16, onnx-int8, ..."""
    base_sha256: str = ""
    """Of the uncompressed model that it was made from; its scores are what compression is held against."""
    parameters: int = Field(ge=0)
    weights_bytes: int = Field(ge=0)
    context_tokens: int = Field(ge=1)
    licence: str = ""
    path: str = ""
    """Where the file or folder lies, relative to the registry's own folder; "" when it is kept nowhere."""
    tasks: Mapping[str, Score] = Field(default_factory=dict)
    """By the task's name, e.g. "ship"."""


def shipped_path() -> Path:
    return Path(str(files("sdx_serving").joinpath("models"))) / "registry.json"


def own_path() -> Path:
    given = os.environ.get("SDX_REGISTRY")
    return Path(given) if given else Path.home() / ".local/share/sdx/registry.json"


class Registry:
    """Entries of both files. ValueError names a file that cannot be read."""

    def __init__(self, shipped: Path | None = None, own: Path | None = None) -> None:
        self.shipped, self.own = shipped or shipped_path(), own or own_path()

    def entries(self) -> dict[str, Entry]:
        """By sha256."""
        return _read(self.shipped) | _read(self.own)

    def path_of(self, entry: Entry) -> Path | None:
        """The entry's file or folder, where it is still there."""
        for registry in (self.own, self.shipped):
            path = registry.parent / Path(entry.path).expanduser()
            if entry.path and path.exists():
                return path
        return None

    def find(self, sha256: str) -> Entry | None:
        return self.entries().get(sha256)

    def passed(self, sha256: str, task: str) -> bool:
        """False also where nobody has measured it."""
        entry = self.find(sha256)
        return entry is not None and task in entry.tasks and entry.tasks[task].passed

    def record(self, entry: Entry) -> None:
        """Add to the user's own file; scores of other tasks of the same weights stay."""
        held = _read(self.own)
        before = held.get(entry.sha256)
        tasks = {**(before.tasks if before else {}), **entry.tasks}
        held[entry.sha256] = entry.model_copy(update={"tasks": tasks})
        self._write(held)

    def remove(self, sha256: str) -> None:
        """From the user's own file. KeyError when it is not there."""
        held = _read(self.own)
        del held[sha256]
        self._write(held)

    def _write(self, held: Mapping[str, Entry]) -> None:
        text = json.dumps([entry.model_dump(mode="json") for entry in held.values()], ensure_ascii=False, indent=1)
        self.own.parent.mkdir(parents=True, exist_ok=True)
        partial = self.own.with_name(f".{self.own.name}.{os.getpid()}.partial")
        partial.write_text(text, encoding="utf-8")
        partial.replace(self.own)


def _read(path: Path) -> dict[str, Entry]:
    if not path.exists():
        return {}
    try:
        found = [Entry.model_validate(item) for item in json.loads(path.read_text(encoding="utf-8"))]
    except ValueError as error:
        raise ValueError(f"{path}: not a registry of models ({error}): mend it or move it away") from error
    return {entry.sha256: entry for entry in found}
