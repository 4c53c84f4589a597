"""Write a bundle: model, service definitions, checksums, signature, in one folder that is whole or not there. Start at write().

Bundles of `here` and `systemd` are run by the project's tests; containers, Kubernetes and Jetson are not: their files are
checked against schemas and by `bash -n`, no more.
"""

import hashlib
import os
import platform
import shutil
from collections.abc import Callable, Iterator
from contextlib import suppress
from datetime import datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from sdx_serving.deploy import signature
from sdx_serving.deploy.choice import Choice, check, engine_of, parts_of, slug, table
from sdx_serving.deploy.manifest import MANIFEST, SIGNATURE, BundledModel, BundleError, Health, Manifest, StoredFile, inside
from sdx_serving.deploy.texts import texts
from sdx_serving.engine import EngineError
from sdx_serving.engines.choose import ENGINES
from sdx_serving.engines.formats import format_of
from sdx_serving.provenance import commit
from sdx_serving.recommend.facts import BadModel
from sdx_serving.recommend.headers import facts_of

Say = Callable[[str], None]

WEIGHTS = (".gguf", ".safetensors", ".onnx", ".onnx_data", ".engine", ".plan")
_CHUNK_BYTES = 1 << 22
_READS_FILES_ONLY = ("llama.cpp", "onnx")
"""Engines whose objections come from the model's files alone, not from the machine."""
_RUNTIME_BYTES = 300_000_000
"""Of an engine's process besides weights and cache, where nobody measured it."""
_PACKAGES = ("sdx", "llama-cpp-python", "onnxruntime", "vllm", "tensorrt-llm")


def write(choice: Choice, out: Path, now: datetime, key: Path | None = None, say: Say = print) -> Manifest:
    """Write the bundle to `out`, which must not exist or be empty.

    It is made beside `out` and renamed, so `out` is never half a bundle; what a killed run left is made anew.

    Args:
        now: its time, with a time zone.
        key: private key that signs it; None leaves it unsigned.
        say: takes lines of progress.

    Raises:
        BundleError: the choice cannot be deployed, or the folder is taken.
    """
    check(choice)
    engine = engine_of(choice)
    _refuse_wrong(choice, engine)
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise BundleError(f"{out} is there already and not empty: choose another folder, or remove it")
    partial = out.with_name(f".{out.name}.partial")
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)
    manifest = _filled(choice, engine, partial, now, signature.signer(key) if key else "", say)
    content = (manifest.model_dump_json(indent=1) + "\n").encode()
    _put(partial / MANIFEST, content)
    if key:
        _put(partial / SIGNATURE, signature.sign(content, key))
    _readable(partial, manifest)
    if out.exists():
        out.rmdir()
    partial.replace(out)
    return manifest


def _refuse_wrong(choice: Choice, engine: str) -> None:
    """What the engine says against this model, before gigabytes are copied; of another machine's GPU nothing can be said here."""
    kind = ENGINES[engine](choice.serving)
    try:
        if choice.to == "here":
            reason = kind.why_not()
        else:
            reason = kind.cannot() if engine in _READS_FILES_ONLY else None
    except EngineError as error:
        reason = str(error)
    if reason:
        raise BundleError(f"{engine} cannot serve {choice.model}: {reason}")


def _filled(choice: Choice, engine: str, folder: Path, now: datetime, signed_by: str, say: Say) -> Manifest:
    stored: list[StoredFile] = []
    model, copied_bytes = _model(choice, folder, stored, say)
    if choice.wheels:
        _wheels(choice.wheels, folder, stored)
    task = table("parts").get(choice.task, {})
    parts = tuple(part.name for part in parts_of(choice))
    name = slug(model.name)
    manifest = Manifest(
        id=f"{name}-{now:%Y%m%d-%H%M%S}-{model.sha256[:8]}",
        name=name,
        target=choice.to,
        model=model,
        engine=engine,
        flags=choice.flags,
        context_tokens=choice.context_tokens,
        parallel=choice.parallel,
        threads=choice.threads,
        embeddings=choice.embeddings,
        port=choice.port,
        gateway_port=choice.gateway_port,
        device=choice.device,
        task=choice.task,
        domain=task.get("domain", ""),
        guard=task.get("guard") in parts,
        parts=parts,
        root=choice.root or ("" if choice.to == "here" else "/opt/sdx"),
        needs_bytes=choice.needs_bytes or _needs_bytes(choice, copied_bytes, say),
        health=Health(path=ENGINES[engine].health_path, start_s=choice.start_s or 2 * ENGINES[engine].start_s, chat=not choice.embeddings),
        versions=_versions(),
        commit=commit(),
        created=now.isoformat(timespec="seconds"),
        signer=signed_by,
        files=tuple(stored),
    )
    for path, text, executable in texts(manifest, choice):
        _put(folder / path, text.encode())
        stored.append(_stored(folder, path, hashlib.sha256(text.encode()).hexdigest(), executable))
    return Manifest.model_validate(manifest.model_dump() | {"files": stored})


def _needs_bytes(choice: Choice, copied_bytes: int, say: Say) -> int:
    """Memory of the engine: weights and context by the model's header, else twice its files; and the engine itself."""
    try:
        facts = facts_of(str(choice.model))
    except BadModel as error:
        say(f"memory is estimated from the files' size: {error}")
        return 2 * copied_bytes + _RUNTIME_BYTES
    return facts.weights_bytes + choice.parallel * facts.kv_bytes(choice.context_tokens) + _RUNTIME_BYTES


def _model(choice: Choice, folder: Path, stored: list[StoredFile], say: Say) -> tuple[BundledModel, int]:
    """Copies model, projector and adapters; and how many bytes they have."""
    weights = hashlib.sha256()

    def copy(source: Path, place: str, of_model: bool = False) -> str:
        for file, path in _plain_files(source, place):
            stored.append(_copied(file, folder, path, weights if of_model and _is_weights(file, source) else None))
            say(f"{path}: {stored[-1].size_bytes / 1e6:.1f} MB")
        return place

    path = copy(choice.model, f"model/{choice.model.resolve().name}", of_model=True)
    projector = copy(choice.projector, f"projector/{choice.projector.name}") if choice.projector else None
    adapters = {name: copy(source, f"adapters/{index}/{source.name}") for index, (name, source) in enumerate(choice.adapters.items())}
    found = BundledModel(
        name=choice.serving.alias,
        path=path,
        sha256=weights.hexdigest(),
        format=format_of(str(choice.model)),
        projector=projector,
        adapters=adapters,
    )
    return found, sum(file.size_bytes for file in stored)


def _is_weights(file: Path, source: Path) -> bool:
    return source.is_file() or file.suffix in WEIGHTS


def _plain_files(source: Path, place: str) -> Iterator[tuple[Path, str]]:
    """Files of a model with their paths in the bundle, in order; hidden ones stay behind, links are followed (a hub's cache has them)."""
    if source.is_file():
        yield source, _inside(place)
        return
    if not source.is_dir():
        raise BundleError(f"{source}: no such file or folder")
    for file in sorted(source.rglob("*")):
        name = file.relative_to(source)
        if file.is_file() and not any(part.startswith(".") for part in name.parts):
            yield file, _inside(f"{place}/{name.as_posix()}")


def _inside(path: str) -> str:
    try:
        return inside(path)
    except ValueError as error:
        raise BundleError(str(error)) from error


def _copied(source: Path, folder: Path, path: str, also: "hashlib._Hash | None" = None) -> StoredFile:
    """Copies and hashes in one pass; `also` is fed the same bytes."""
    target, digest = folder / path, hashlib.sha256()
    target.parent.mkdir(parents=True, exist_ok=True)
    with source.open("rb") as reader, target.open("wb") as writer:
        while chunk := reader.read(_CHUNK_BYTES):
            writer.write(chunk)
            digest.update(chunk)
            if also is not None:
                also.update(chunk)
        writer.flush()
        os.fsync(writer.fileno())
    return _stored(folder, path, digest.hexdigest())


def _wheels(source: Path, folder: Path, stored: list[StoredFile]) -> None:
    found = sorted(source.glob("*.whl")) if source.is_dir() else []
    if not any(file.name.startswith("sdx-") for file in found):
        raise BundleError(f"{source}: no sdx-*.whl in it: make the wheels with `pip wheel . -w {source}`")
    stored.extend(_copied(file, folder, _inside(f"wheels/{file.name}")) for file in found)


def _put(path: Path, content: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())


def _readable(folder: Path, manifest: Manifest) -> None:
    """Services run as users of their own: whatever the writer's umask, they must be able to read."""
    scripts = {folder / file.path for file in manifest.files if file.executable}
    for path in [folder, *folder.rglob("*")]:
        path.chmod(0o755 if path.is_dir() or path in scripts else 0o644)


def _stored(folder: Path, path: str, sha256: str, executable: bool = False) -> StoredFile:
    return StoredFile(path=path, size_bytes=(folder / path).stat().st_size, sha256=sha256, executable=executable)


def _versions() -> dict[str, str]:
    """Of what is installed where the bundle was written."""
    found: dict[str, str] = {"python": platform.python_version()}
    for name in _PACKAGES:
        with suppress(PackageNotFoundError):
            found[name] = version(name)
    return found
