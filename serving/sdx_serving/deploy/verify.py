"""Is a bundle whole, from whom it should be, and can this machine run it? Each fault names its file. Start at verify()."""

import hashlib
import os
import shutil
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from sdx_serving.deploy import signature
from sdx_serving.deploy.manifest import MANIFEST, SIGNATURE, BundleError, Manifest, StoredFile, inside, read
from sdx_serving.engines.choose import ENGINES
from sdx_serving.ports import port_is_free

_CHUNK_BYTES = 1 << 20
_MAX_SIGNATURE_BYTES = 1024
_RUN_BYTES = 200_000_000
"""Free disk for logs and state."""


@dataclass(frozen=True, slots=True)
class Fault:
    """One thing that is wrong."""

    where: str
    """A file of the bundle, or "engine", "memory", "disk", "port"."""
    what: str

    def __str__(self) -> str:
        return f"{self.where}: {self.what}"


def verify(folder: Path, public_key: Path | None = None) -> list[Fault]:
    """Faults of the bundle itself; none when every file is as its writer left it. Reads every byte.

    Args:
        public_key: whose signature it must bear. Without one a signature is not looked at: anybody could have made it.
    """
    try:
        manifest, content = read(folder)
    except BundleError as error:
        return [Fault(MANIFEST, str(error))]
    return [*_signed(folder, manifest, content, public_key), *_files(folder, manifest)]


def checked(folder: Path, public_key: Path | None = None) -> Manifest:
    """The manifest of a bundle without faults. BundleError lists them all."""
    if faults := verify(folder, public_key):
        raise BundleError("\n".join([f"{folder} is refused:", *(f"  {fault}" for fault in faults)]))
    return read(folder)[0]


def machine_faults(manifest: Manifest, place: Path, host: str = "127.0.0.1") -> list[Fault]:
    """Why this machine cannot run it now: engine not installed, too little free memory or disk, port taken.

    Args:
        place: folder on whose disk it will lie and log.
    """
    return [*engine_faults(manifest), *_memory(manifest), *_disk(place), *_ports(manifest, host)]


def sha256_of(path: Path) -> str:
    """Of a plain file; OSError for a symbolic link."""
    digest = hashlib.sha256()
    with os.fdopen(os.open(path, os.O_RDONLY | os.O_NOFOLLOW), "rb") as file:
        while chunk := file.read(_CHUNK_BYTES):
            digest.update(chunk)
    return digest.hexdigest()


def _signed(folder: Path, manifest: Manifest, content: bytes, public_key: Path | None) -> Iterator[Fault]:
    path = folder / SIGNATURE
    there = path.is_file() and not path.is_symlink()
    if manifest.signer and not there:
        yield Fault(SIGNATURE, "missing, though the manifest says that it is signed: fetch the bundle again")
    elif public_key is None:
        return
    elif not there:
        yield Fault(SIGNATURE, f"missing: the bundle is not signed, and {public_key} was asked for")
    elif path.stat().st_size > _MAX_SIGNATURE_BYTES:
        yield Fault(SIGNATURE, "too large for a signature: fetch the bundle again")
    elif reason := signature.check(content, path.read_bytes(), public_key, manifest.signer):
        yield Fault(SIGNATURE, reason)


def _files(folder: Path, manifest: Manifest) -> Iterator[Fault]:
    listed = {file.path: file for file in manifest.files}
    found: set[str] = set()
    for path, status in _walk(folder):
        name = path.relative_to(folder).as_posix()
        if stat.S_ISLNK(status.st_mode):
            yield Fault(repr(name)[1:-1], "is a symbolic link: a bundle holds plain files only")
        elif not stat.S_ISREG(status.st_mode):
            yield Fault(repr(name)[1:-1], "is neither a file nor a folder: remove it")
        elif name in listed:
            found.add(name)
            yield from _differs(path, status, listed[name])
        elif name not in (MANIFEST, SIGNATURE):
            yield Fault(repr(name)[1:-1], "is not in the manifest: remove it, or fetch the bundle again")
    for name in listed.keys() - found:
        if not (folder / name).is_symlink():
            yield Fault(name, "missing: fetch the bundle again")


def _walk(folder: Path) -> Iterator[tuple[Path, os.stat_result]]:
    """Everything below that is not a folder, links unfollowed."""
    for base, folders, files in os.walk(folder):
        for name in sorted([*folders, *files]):
            path = Path(base) / name
            status = path.lstat()
            if not stat.S_ISDIR(status.st_mode):
                yield path, status


def _differs(path: Path, status: os.stat_result, listed: StoredFile) -> Iterator[Fault]:
    if status.st_size != listed.size_bytes:
        yield Fault(listed.path, f"has {status.st_size} bytes, the manifest says {listed.size_bytes}: fetch it again")
    elif (found := sha256_of(path)) != listed.sha256:
        yield Fault(listed.path, f"was changed: sha256 {found[:16]}..., the manifest says {listed.sha256[:16]}...: fetch it again")
    elif listed.executable and not status.st_mode & stat.S_IXUSR:
        yield Fault(listed.path, f"is not executable: chmod +x {inside(listed.path)}")


def engine_faults(manifest: Manifest) -> Iterator[Fault]:
    """Whether its engine is installed here."""
    kind = ENGINES.get(manifest.engine)
    if kind is None:
        yield Fault("engine", f"{manifest.engine!r} is not known here; known: {', '.join(ENGINES)}: install the SDx that wrote the bundle")
    elif reason := kind.missing():
        yield Fault("engine", reason)


def _memory(manifest: Manifest) -> Iterator[Fault]:
    free = free_memory_bytes()
    if free is not None and free < manifest.needs_bytes:
        yield Fault(
            "memory", f"needs {manifest.needs_bytes / 1e9:.2f} GB, {free / 1e9:.2f} GB free: stop other programs, or take a smaller model"
        )


def free_memory_bytes() -> int | None:
    """MemAvailable of Linux; None elsewhere."""
    try:
        lines = Path("/proc/meminfo").read_text(encoding="ascii").splitlines()
    except OSError:
        return None
    return next((int(line.split()[1]) * 1024 for line in lines if line.startswith("MemAvailable:")), None)


def _disk(place: Path) -> Iterator[Fault]:
    while not place.exists():
        place = place.parent
    free = shutil.disk_usage(place).free
    if free < _RUN_BYTES:
        yield Fault("disk", f"{free / 1e6:.0f} MB free at {place}, {_RUN_BYTES / 1e6:.0f} MB needed for logs: free some space")


def _ports(manifest: Manifest, host: str) -> Iterator[Fault]:
    for port, whose in ((manifest.port, "engine"), (manifest.gateway_port, "gateway")):
        if not port_is_free(host, port):
            yield Fault("port", f"{port} of the {whose} is taken on {host}: stop what listens there, or write the bundle with another port")
