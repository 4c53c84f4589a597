"""A bundle that was touched is refused, and each fault names its file."""

import json
import os
import shutil
import socket
from collections.abc import Callable
from pathlib import Path

import pytest

from sdx_serving.deploy.manifest import BundleError, Manifest, read
from sdx_serving.deploy.signature import keygen, sign
from sdx_serving.deploy.verify import checked, free_memory_bytes, machine_faults, verify
from sdx_serving.ports import free_port

pytest.importorskip("cryptography")

MODEL = "model/tiny.gguf"


def flip(folder: Path, name: str = MODEL) -> None:
    content = bytearray((folder / name).read_bytes())
    content[-1] ^= 1
    (folder / name).write_bytes(content)


def shorten(folder: Path) -> None:
    (folder / MODEL).write_bytes((folder / MODEL).read_bytes()[:-1])


def as_link(folder: Path) -> None:
    (folder / MODEL).rename(folder.parent / "elsewhere.gguf")
    (folder / MODEL).symlink_to(folder.parent / "elsewhere.gguf")


def folder_as_link(folder: Path) -> None:
    (folder / "model").rename(folder.parent / "elsewhere")
    (folder / "model").symlink_to(folder.parent / "elsewhere", target_is_directory=True)


def rewritten(folder: Path) -> None:
    """The file and its hash in the manifest, both changed."""
    told = json.loads((folder / "manifest.json").read_text())
    told["flags"] = ["--api-key", "mine"]
    (folder / "manifest.json").write_text(json.dumps(told))


def signed_anew(folder: Path) -> None:
    keygen(folder.parent / "thief.key")
    (folder / "manifest.sig").write_bytes(sign((folder / "manifest.json").read_bytes(), folder.parent / "thief.key"))


TOUCHED: dict[str, tuple[Callable[[Path], object], str, str]] = {
    "one bit": (flip, MODEL, "was changed"),
    "cut off": (shorten, MODEL, "bytes, the manifest says"),
    "missing": (lambda folder: (folder / MODEL).unlink(), MODEL, "missing"),
    "script changed": (lambda folder: flip(folder, "install.sh"), "install.sh", "was changed"),
    "not executable": (lambda folder: (folder / "install.sh").chmod(0o644), "install.sh", "not executable"),
    "extra": (lambda folder: (folder / "model/more.bin").write_bytes(b""), "model/more.bin", "not in the manifest"),
    "extra hidden": (lambda folder: (folder / ".env").write_text("x"), ".env", "not in the manifest"),
    "link for a file": (as_link, MODEL, "symbolic link"),
    "link for a folder": (folder_as_link, "model", "symbolic link"),
    "extra link": (lambda folder: (folder / "up").symlink_to("/"), "up", "symbolic link"),
    "pipe": (lambda folder: os.mkfifo(folder / "pipe"), "pipe", "neither a file nor a folder"),
    "manifest changed": (rewritten, "manifest.sig", "changed after it was signed"),
    "other key": (signed_anew, "manifest.sig", "changed after it was signed"),
    "signature missing": (lambda folder: (folder / "manifest.sig").unlink(), "manifest.sig", "missing"),
    "signature long": (lambda folder: (folder / "manifest.sig").write_bytes(b"0" * 5000), "manifest.sig", "too large"),
    "signature empty": (lambda folder: (folder / "manifest.sig").write_bytes(b""), "manifest.sig", "changed after it was signed"),
    "no manifest": (lambda folder: (folder / "manifest.json").unlink(), "manifest.json", "is not a bundle"),
    "manifest a link": (
        lambda folder: (
            (folder / "manifest.json").rename(folder.parent / "m") and (folder / "manifest.json").symlink_to(folder.parent / "m")
        ),
        "manifest.json",
        "is not a bundle",
    ),
}


@pytest.mark.parametrize("name", TOUCHED)
def test_a_touched_bundle_is_refused_by_file(name: str, write_bundle: Callable[..., tuple[Path, Manifest]], tmp_path: Path) -> None:
    touch, where, what = TOUCHED[name]
    public = keygen(tmp_path / "our.key")
    folder, _ = write_bundle(key=tmp_path / "our.key", to="systemd")
    assert verify(folder, public) == []
    touch(folder)
    faults = verify(folder, public)
    assert [fault for fault in faults if fault.where == where and what in fault.what], faults
    with pytest.raises(BundleError, match="is refused"):
        checked(folder, public)


def test_a_copy_elsewhere_is_as_good(write_bundle: Callable[..., tuple[Path, Manifest]], tmp_path: Path) -> None:
    folder, manifest = write_bundle(to="systemd")
    shutil.copytree(folder, tmp_path / "a copy / with blanks".replace("/", "-"))
    assert checked(tmp_path / "a copy - with blanks") == manifest


def test_another_signers_bundle_is_refused(write_bundle: Callable[..., tuple[Path, Manifest]], tmp_path: Path) -> None:
    keygen(tmp_path / "theirs.key")
    public = keygen(tmp_path / "ours.key")
    theirs, _ = write_bundle(key=tmp_path / "theirs.key", to="systemd")
    assert ["signed by another key" in fault.what for fault in verify(theirs, public)] == [True]
    unsigned, _ = write_bundle(to="systemd")
    assert verify(unsigned) == []
    assert ["is not signed" in fault.what for fault in verify(unsigned, public)] == [True]


def test_what_this_machine_lacks_is_told(write_bundle: Callable[..., tuple[Path, Manifest]], tmp_path: Path) -> None:
    _, manifest = write_bundle(to="systemd", port=free_port(), gateway_port=free_port())
    huge = manifest.model_copy(update={"needs_bytes": 10**16, "engine": "abacus"})
    with socket.create_server(("127.0.0.1", manifest.port)):
        told = {fault.where: fault.what for fault in machine_faults(huge, tmp_path / "not/yet/there")}
    assert set(told) == {"engine", "memory", "port"}
    assert "'abacus' is not known" in told["engine"] and f"{manifest.port} of the engine is taken" in told["port"]
    assert "10000000.00 GB" in told["memory"] and (free_memory_bytes() or 0) > 0
    assert read(tmp_path / "bundle-1")[0] == manifest
