"""How a release is started and stopped where it is installed: as our own process, by systemd, by Compose. Start at service_of().

The systemd and Compose ways are tested with stand-ins for `systemctl` and `docker`: neither runs where the tests do.
"""

import os
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

from sdx_serving.deploy import running
from sdx_serving.deploy.manifest import BundleError, Target, read

MODEL_UNITS = ("sdx-engine.service", "sdx-gateway.service")
_COMMAND_S = 1800.0
"""An image may be built within this."""


class Service(Protocol):
    """One way to run a release; `release` is its folder. All raise BundleError with what the tool said."""

    def up(self, release: Path) -> None:
        """Start engine and gateway; may return before they answer."""
        ...

    def settle(self, release: Path, before: Path | None) -> None:
        """After they answered: start or renew the other parts, and end those that only the release `before` had."""
        ...

    def down(self, release: Path) -> None:
        """Stop engine and gateway. No error when they do not run."""
        ...

    def logs(self, release: Path) -> str:
        """Where to look, for people."""
        ...


def service_of(target: Target) -> Service:
    """BundleError for a target that is not installed on this machine."""
    if target == "here":
        return OwnProcess()
    if target in ("systemd", "jetson"):
        return Systemd()
    if target == "compose":
        return Compose()
    raise BundleError(f"a bundle for {target} is installed into a cluster: run its install.sh")


class OwnProcess:
    """As `sdx deploy start`, under the user who installs, with the release's own environment."""

    def up(self, release: Path) -> None:
        trusted = release.parents[1] / "trusted.pub"
        python = release / "environment/bin/python"
        running.start(release / "bundle", trusted if trusted.exists() else None, str(python))

    def settle(self, release: Path, before: Path | None) -> None:
        """There is nothing else."""

    def down(self, release: Path) -> None:
        running.stop(release / "bundle")

    def logs(self, release: Path) -> str:
        return str(running.state_folder(release.name))


class Systemd:
    """Units, in /etc/systemd/system or $SDX_UNITS. A new release reaches the guard only after its engine is up."""

    def __init__(self) -> None:
        self.units = Path(os.environ.get("SDX_UNITS", "/etc/systemd/system"))

    def up(self, release: Path) -> None:
        self._start([name for name in self._names(release) if name in MODEL_UNITS], release)

    def settle(self, release: Path, before: Path | None) -> None:
        wanted = self._names(release)
        self._start([name for name in wanted if name not in MODEL_UNITS], release)
        if left := [name for name in (self._names(before) if before else []) if name not in wanted]:
            _command(["systemctl", "disable", "--now", *left])
            for name in left:
                (self.units / name).unlink(missing_ok=True)

    def down(self, release: Path) -> None:
        _command(["systemctl", "stop", *MODEL_UNITS])

    def logs(self, release: Path) -> str:
        return "journalctl -u sdx-engine -u sdx-gateway, and /var/lib/sdx-engine"

    def _names(self, release: Path) -> list[str]:
        return sorted(path.name for path in (release / "bundle/systemd").glob("sdx-*.service"))

    def _start(self, names: Sequence[str], release: Path) -> None:
        if not names:
            return
        for name in names:
            partial = self.units / f".{name}.partial"
            shutil.copyfile(release / "bundle/systemd" / name, partial)
            partial.replace(self.units / name)
        _command(["systemctl", "daemon-reload"])
        _command(["systemctl", "enable", *names])
        _command(["systemctl", "restart", *names])


class Compose:
    """`docker compose`; containers restart by themselves after a reboot."""

    def up(self, release: Path) -> None:
        self._compose(release, "up", "--detach", "--build", "engine", "gateway")

    def settle(self, release: Path, before: Path | None) -> None:
        self._compose(release, "up", "--detach", "--remove-orphans")

    def down(self, release: Path) -> None:
        self._compose(release, "stop", "engine", "gateway")

    def logs(self, release: Path) -> str:
        return f"docker compose -f {release / 'bundle/compose.yaml'} logs"

    def _compose(self, release: Path, *words: str) -> None:
        manifest, _ = read(release / "bundle")
        project = ["--project-name", f"sdx-{manifest.name}", "--file", str(release / "bundle/compose.yaml")]
        _command(["docker", "compose", *project, *words])


def _command(words: Sequence[str]) -> None:
    try:
        done = subprocess.run(words, check=False, capture_output=True, text=True, timeout=_COMMAND_S, stdin=subprocess.DEVNULL)
    except OSError as error:
        raise BundleError(f"{words[0]} cannot be run ({error}): install it, or write the bundle for another target") from error
    except subprocess.TimeoutExpired as error:
        raise BundleError(f"`{' '.join(words)}` did not end within {_COMMAND_S:.0f} s") from error
    if done.returncode != 0:
        raise BundleError(f"`{' '.join(words)}` failed with code {done.returncode}: {(done.stderr or done.stdout).strip()[-2000:]}")
