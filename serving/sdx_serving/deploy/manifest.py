"""What a bundle says of itself: manifest.json, closed, and the only list of its files. Start at Manifest."""

import unicodedata
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Literal

from pydantic import AfterValidator, Field, ValidationError, model_validator

from sdx_serving.closed import Closed
from sdx_serving.engine import Format, Serving

Target = Literal["here", "compose", "systemd", "kserve", "kuberay", "jetson"]

MANIFEST = "manifest.json"
SIGNATURE = "manifest.sig"
MAX_MANIFEST_BYTES = 4_000_000
_MAX_PART_BYTES = 255
"""A file name longer than this cannot be made on the common file systems."""


class BundleError(RuntimeError):
    """A bundle cannot be written, read or run; the message names the file and says what to do."""


def inside(path: str) -> str:
    """`path` if it stays in the folder and can be shown and stored anywhere; ValueError says why it does not."""
    parts = path.split("/")
    if not path or path.startswith("/") or "\\" in path or any(part in ("", ".", "..") for part in parts):
        raise ValueError(f"{path!r} is not a path inside the folder: no leading /, no .., no backslash")
    if not path.isprintable():
        raise ValueError(f"{path!r} has characters that cannot be shown: rename the file")
    if any(len(part.encode()) > _MAX_PART_BYTES for part in parts):
        raise ValueError(f"{path[:40]!r}...: a name longer than {_MAX_PART_BYTES} bytes: rename the file")
    return path


Inside = Annotated[str, AfterValidator(inside)]
Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
Slug = Annotated[str, Field(pattern=r"^[a-z0-9]([a-z0-9-]{0,38}[a-z0-9])?$")]
"""A name that services, containers and Kubernetes objects may bear."""


class StoredFile(Closed):
    path: Inside
    size_bytes: int = Field(ge=0)
    sha256: Sha256
    executable: bool = False


class BundledModel(Closed):
    """The model, by paths inside the bundle."""

    name: str = Field(min_length=1, max_length=200)
    """For clients."""
    path: Inside
    sha256: Sha256
    """Of the weights file; of a folder, of its weights files in the order of their paths."""
    format: Format
    projector: Inside | None = None
    adapters: Mapping[str, Inside] = Field(default_factory=dict)


class Health(Closed):
    """When it counts as up: the path answers 200, and, where it can chat, a question is answered."""

    path: str = "/health"
    start_s: float = Field(gt=0.0)
    """From the start until it must be up; a new release that is not is switched back."""
    chat: bool = True


class Manifest(Closed):
    """All facts of one bundle."""

    layout: Literal[1] = 1
    id: Annotated[str, Field(pattern=r"^[a-z0-9-]{1,80}$")]
    """Name, time and model; the folder's name where it is installed."""
    name: Slug
    target: Target
    model: BundledModel
    engine: str
    flags: tuple[str, ...] = ()
    context_tokens: int = Field(ge=1)
    parallel: int = Field(1, ge=1)
    threads: int = Field(1, ge=1)
    embeddings: bool = False
    port: int = Field(ge=1, le=65535)
    """Of the engine, on this machine only."""
    gateway_port: int = Field(ge=1, le=65535)
    """Of the gateway: the address that clients are told."""
    device: str
    task: str = ""
    domain: str = ""
    guard: bool = False
    """Whether the domain's guard comes with it."""
    parts: tuple[str, ...] = ()
    """Processes beside engine and gateway, e.g. "guard"."""
    root: str = ""
    """Where releases are installed; "" for the user's own folder."""
    needs_bytes: int = Field(ge=1)
    """Memory of the engine: weights, cache, runtime."""
    health: Health
    versions: Mapping[str, str]
    commit: str
    created: str
    """ISO 8601, UTC."""
    signer: str = ""
    """Fingerprint of the key that signed; "" for an unsigned bundle."""
    files: tuple[StoredFile, ...]

    @model_validator(mode="after")
    def _consistent(self) -> "Manifest":
        seen: set[str] = {MANIFEST, SIGNATURE}
        for file in self.files:
            same = unicodedata.normalize("NFC", file.path).casefold()
            if same in seen:
                raise ValueError(f"files: {file.path!r} is there twice (names that differ only in case or accents' spelling count as one)")
            seen.add(same)
        paths = [file.path for file in self.files]
        named = [self.model.path, *([self.model.projector] if self.model.projector else []), *self.model.adapters.values()]
        for path in named:
            if not any(file == path or file.startswith(f"{path}/") for file in paths):
                raise ValueError(f"model: {path!r} is not among the files")
        return self

    def serving(self, folder: Path) -> Serving:
        """What the engine is asked to serve, of the bundle that lies at `folder`."""
        model = self.model
        return Serving(
            str(folder / model.path),
            name=model.name,
            context_tokens=self.context_tokens,
            parallel=self.parallel,
            threads=self.threads,
            projector=folder / model.projector if model.projector else None,
            adapters={name: folder / path for name, path in model.adapters.items()},
            embeddings=self.embeddings,
            flags=self.flags,
        )


def read(folder: Path) -> tuple[Manifest, bytes]:
    """The manifest of a bundle and its bytes as they were signed. BundleError names what is wrong with it."""
    path = folder / MANIFEST
    if path.is_symlink() or not path.is_file():
        raise BundleError(f"{folder} is not a bundle: it has no {MANIFEST}; write one with `sdx deploy --to ... --out {folder}`")
    if path.stat().st_size > MAX_MANIFEST_BYTES:
        raise BundleError(f"{path}: larger than {MAX_MANIFEST_BYTES} bytes, so no manifest: fetch the bundle again")
    content = path.read_bytes()
    try:
        return Manifest.model_validate_json(content), content
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        where = ".".join(str(part) for part in first["loc"]) or "content"
        raise BundleError(f"{path}: {where}: {first['msg']}; fetch or write the bundle again") from error
