"""Releases of bundles in one place: put there whole, switched by one link, switched back when the new one is not up. Start at install().

    ROOT/releases/<id>/bundle        a verified copy
    ROOT/releases/<id>/environment   link to the Python environment that installed it
    ROOT/current                     link to the release that runs
    ROOT/previous                    link to the one before
    ROOT/trusted.pub                 the key that bundles must be signed with, once one was given

For the targets here, systemd, jetson and compose. A cluster keeps releases itself: see the install.sh of those bundles.
"""

import os
import shutil
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from sdx_serving.deploy.manifest import BundleError, Manifest, read
from sdx_serving.deploy.running import healthy
from sdx_serving.deploy.services import Service, service_of
from sdx_serving.deploy.verify import checked, engine_faults

Say = Callable[[str], None]


def install(bundle: Path, root: Path, public_key: Path | None = None, say: Say = print) -> Manifest:
    """Copy a bundle below `root`, start it, and keep it only if it is up in time; else what ran before runs again.

    Args:
        public_key: whose signature it must bear; None takes that of the first installation that named one.

    Raises:
        BundleError: refused, or not up in time. `current` is then what it was.
    """
    trusted = public_key or (root / "trusted.pub" if (root / "trusted.pub").exists() else None)
    manifest = checked(bundle, trusted)
    if manifest.signer and trusted is None:
        raise BundleError(f"{bundle} is signed: give --public-key with the key of its writer; it is remembered in {root}")
    if manifest.root and root != Path(manifest.root):
        raise BundleError(f"{bundle}: its services look in {manifest.root}, not {root}: install it there, or write it with --root {root}")
    if manifest.target != "compose" and (lacking := list(engine_faults(manifest))):
        raise BundleError(f"{manifest.id} cannot run here: {lacking[0].what}")
    release = place(bundle, root, manifest)
    if public_key and public_key.resolve() != (root / "trusted.pub").resolve():
        shutil.copyfile(public_key, root / "trusted.pub")
    before = linked(root, "current")
    service = service_of(manifest.target)
    say(f"{manifest.id} is in {release}")
    try:
        _bring_up(root, release, before, service)
    except BundleError as error:
        raise BundleError(f"{manifest.id}: {error}{_back(root, release, before)}") from error
    if before and before != release:
        _link(root, "previous", before)
    service.settle(release, before)
    say(f"{manifest.id} is up: http://127.0.0.1:{manifest.gateway_port}/v1, model {manifest.name}")
    return manifest


def rollback(root: Path, say: Say = print) -> Manifest:
    """Run the release before the present one. BundleError when there is none, or it is not up; then the present one runs again."""
    current, before = linked(root, "current"), linked(root, "previous")
    if before is None or current is None:
        raise BundleError(f"{root}: there is no release before the present one")
    manifest = checked(before / "bundle", root / "trusted.pub" if (root / "trusted.pub").exists() else None)
    service = service_of(manifest.target)
    try:
        _bring_up(root, before, current, service)
    except BundleError as error:
        raise BundleError(f"{manifest.id}: {error}{_back(root, before, current)}") from error
    _link(root, "previous", current)
    service.settle(before, current)
    say(f"{manifest.id} is up again")
    return manifest


def remove(root: Path, say: Say = print) -> None:
    """Stop what runs and take its services away; the releases stay. BundleError when nothing is installed."""
    current = linked(root, "current")
    if current is None:
        raise BundleError(f"{root}: nothing is installed there")
    manifest, _ = read(current / "bundle")
    service_of(manifest.target).down(current)
    (root / "current").unlink()
    say(f"{manifest.id} is stopped; its files stay in {current}")


def place(bundle: Path, root: Path, manifest: Manifest) -> Path:
    """Copy a verified bundle to its release folder, whole or not at all, and verify the copy. Returns the folder."""
    release = root / "releases" / manifest.id
    target = release / "bundle"
    if bundle.resolve() != target.resolve():
        partial = release / ".bundle.partial"
        shutil.rmtree(partial, ignore_errors=True)
        release.mkdir(parents=True, exist_ok=True)
        shutil.copytree(bundle, partial, symlinks=True)
        if checked(partial) != manifest:
            raise BundleError(f"{bundle} changed while it was copied: install it again")
        shutil.rmtree(target, ignore_errors=True)
        partial.replace(target)
    _link(release, "environment", Path(sys.prefix))
    return release


def linked(root: Path, name: str) -> Path | None:
    """Where one of the links points; None when it is not there or leads nowhere."""
    path = root / name
    return path.resolve() if path.is_symlink() and path.exists() else None


def _bring_up(root: Path, release: Path, before: Path | None, service: Service) -> None:
    """Stop the one before, switch, start, wait. BundleError when it is not up in time."""
    if before:
        _service_at(before).down(before)
    _link(root, "current", release)
    service.up(release)
    if not _answers(release):
        raise BundleError(f"not up in time; logs: {service.logs(release)}")


def _answers(release: Path) -> bool:
    """Waits until it does, at most as long as its manifest allows."""
    manifest, _ = read(release / "bundle")
    ends = time.monotonic() + manifest.health.start_s
    while not healthy(manifest):
        if time.monotonic() > ends:
            return False
        time.sleep(0.5)
    return True


def _back(root: Path, release: Path, before: Path | None) -> str:
    """Run what ran before; tells how that went, as the end of a message."""
    with suppress(BundleError):
        _service_at(release).down(release)
    if before is None or before == release:
        (root / "current").unlink(missing_ok=True)
        return "\nnothing ran before; it is stopped"
    service = _service_at(before)
    _link(root, "current", before)
    try:
        service.up(before)
    except BundleError as error:
        return f"\nand {before.name}, which ran before, does not start: {error}"
    if not _answers(before):
        return f"\nand {before.name}, which ran before, is not up again: look at {service.logs(before)}"
    return f"\n{before.name}, which ran before, runs again"


def _service_at(release: Path) -> Service:
    return service_of(read(release / "bundle")[0].target)


def _link(folder: Path, name: str, to: Path) -> None:
    """Make or change a link in one step: whoever looks sees the old or the new, never none."""
    partial = folder / f".{name}.{os.getpid()}.partial"
    partial.unlink(missing_ok=True)
    partial.symlink_to(os.path.relpath(to, folder) if to.is_relative_to(folder) else to)
    partial.replace(folder / name)
