"""What a compiled TensorRT engine was built for: it runs there and nowhere else. Start at check()."""

import hashlib
from pathlib import Path

from pydantic import ValidationError

from sdx_serving.closed import Closed

FILE = "sdx-engine.json"
"""Lies beside the engine's own files."""


class EngineRecord(Closed):
    """The key of an engine: each value decides whether it runs, or what it answers."""

    model_sha256: str
    sm: str
    """Compute capability of the GPU, e.g. "8.7"."""
    tensorrt: str
    """Version of TensorRT, or of the package that brings its own."""
    jetpack: str = ""
    """"" off a Jetson."""
    max_tokens: int
    """Longest prompt and answer together."""
    precision: str
    """E.g. "bfloat16", "INT4_AWQ"."""

    def key(self) -> str:
        """A short name of all values, for a folder."""
        return hashlib.sha256(self.model_dump_json().encode()).hexdigest()[:16]

    def write(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        partial = folder / f".{FILE}.partial"
        partial.write_text(self.model_dump_json(indent=1), encoding="utf-8")
        partial.replace(folder / FILE)


def check(folder: Path, here: EngineRecord) -> str | None:
    """Why the engine in a folder is not for this machine and model; None when it is, or when nothing is recorded."""
    if not (folder / FILE).is_file():
        return None
    try:
        built = EngineRecord.model_validate_json((folder / FILE).read_text(encoding="utf-8"))
    except ValidationError as error:
        return f"{folder / FILE} cannot be read ({error.error_count()} errors): build the engine again"
    names = EngineRecord.model_fields
    differ = [
        f"{name} {getattr(built, name) or 'none'}, here {getattr(here, name) or 'none'}"
        for name in names
        if getattr(built, name) != getattr(here, name)
    ]
    return f"the engine in {folder} was built for {'; '.join(differ)}: build it again, engines cannot be copied" if differ else None
