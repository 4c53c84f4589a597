"""Releases: switched when up, switched back when not; the links tell at every moment which one counts."""

import os
import shlex
import subprocess
import sys
import textwrap
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from sdx_serving.deploy import releases, running
from sdx_serving.deploy.manifest import BundleError, Manifest
from sdx_serving.deploy.signature import keygen
from sdx_serving.ports import free_port

Write = Callable[..., tuple[Path, Manifest]]
Later = Callable[..., tuple[Path, Manifest]]


@pytest.fixture
def root(tmp_path: Path) -> Iterator[Path]:
    root = tmp_path / "opt"
    root.mkdir()
    yield root
    for bundle in root.glob("releases/*/bundle"):
        running.stop(bundle)


@pytest.fixture
def release(write_bundle: Write) -> Later:
    """Bundles of one name and one pair of ports, each a second after the one before."""
    ports = {"port": free_port(), "gateway_port": free_port(), "start_s": 60.0}
    count = 0

    def make(**fields: object) -> tuple[Path, Manifest]:
        nonlocal count
        count += 1
        return write_bundle(now=datetime(2026, 1, 2, 3, 4, count, tzinfo=UTC), **(ports | fields))

    return make


def test_a_release_that_is_not_up_is_switched_back(release: Later, root: Path, tmp_path: Path) -> None:
    pytest.importorskip("cryptography")
    public = keygen(tmp_path / "key")
    good, first = release(key=tmp_path / "key")
    with pytest.raises(BundleError, match="is signed: give --public-key"):
        releases.install(good, root, say=lambda line: None)
    releases.install(good, root, public, say=lambda line: None)
    assert releases.linked(root, "current") == root / "releases" / first.id and running.healthy(first)

    (tmp_path / "broken.gguf").write_bytes(b"GGUF" + bytes(100))
    bad, second = release(key=tmp_path / "key", model=tmp_path / "broken.gguf")
    with pytest.raises(BundleError, match=f"{second.id}: .*did not start") as caught:
        releases.install(bad, root, say=lambda line: None)
    assert f"{first.id}, which ran before, runs again" in str(caught.value)
    assert releases.linked(root, "current") == root / "releases" / first.id and running.healthy(first)

    unsigned, _ = release()
    with pytest.raises(BundleError, match="is not signed"):
        releases.install(unsigned, root, say=lambda line: None)
    assert running.healthy(first)

    better, third = release(key=tmp_path / "key", name="better")
    releases.install(better, root, say=lambda line: None)
    assert releases.linked(root, "current") == root / "releases" / third.id and running.healthy(third)
    assert releases.linked(root, "previous") == root / "releases" / first.id
    releases.rollback(root, say=lambda line: None)
    assert releases.linked(root, "current") == root / "releases" / first.id and running.healthy(first)
    releases.remove(root, say=lambda line: None)
    assert releases.linked(root, "current") is None and not running.status(good).running


def test_the_first_that_is_not_up_leaves_nothing_running(release: Later, root: Path, tmp_path: Path) -> None:
    (tmp_path / "broken.gguf").write_bytes(b"GGUF" + bytes(100))
    bad, _ = release(model=tmp_path / "broken.gguf")
    with pytest.raises(BundleError, match="nothing ran before; it is stopped"):
        releases.install(bad, root, say=lambda line: None)
    assert not (root / "current").is_symlink() and not running.status(bad).running
    with pytest.raises(BundleError, match="no release before"):
        releases.rollback(root)
    with pytest.raises(BundleError, match="nothing is installed"):
        releases.remove(root)


SYSTEMCTL = """
#!{python}
'''Stands for systemctl: starts and stops what ExecStart of our units says, and writes down what it was asked.'''
import os, re, shlex, signal, subprocess, sys, time
from pathlib import Path
units, kept = Path(os.environ["SDX_UNITS"]), Path(os.environ["FAKE_SYSTEMD"])
with (kept / "asked").open("a") as file:
    file.write(shlex.join(sys.argv[1:]) + "\\n")
verb, names = sys.argv[1], [word for word in sys.argv[2:] if not word.startswith("--")]
for name in names if verb in ("restart", "stop", "disable") else []:
    pid = kept / name
    if pid.exists():
        try:
            os.killpg(int(pid.read_text()), signal.SIGTERM)
            for _ in range(200):
                os.killpg(int(pid.read_text()), 0)
                time.sleep(0.05)
        except ProcessLookupError:
            pass
        pid.unlink()
    if verb == "restart":
        line = re.search("^ExecStart=(.*)$", (units / name).read_text(), re.M)[1]
        command = [word.replace("%%", "%").replace("$$", "$") for word in shlex.split(line)]
        log = (kept / (name + ".log")).open("wb")
        pid.write_text(str(subprocess.Popen(command, stdout=log, stderr=log, stdin=subprocess.DEVNULL, start_new_session=True).pid))
"""


@pytest.fixture
def systemd(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A systemctl that really runs the units' commands, under this user."""
    kept = tmp_path / "systemd"
    (kept / "units").mkdir(parents=True)
    (kept / "bin").mkdir()
    (kept / "bin/systemctl").write_text(textwrap.dedent(SYSTEMCTL.format(python=sys.executable)).lstrip())
    (kept / "bin/systemctl").chmod(0o755)
    monkeypatch.setenv("PATH", f"{kept / 'bin'}:{os.environ['PATH']}")
    monkeypatch.setenv("SDX_UNITS", str(kept / "units"))
    monkeypatch.setenv("FAKE_SYSTEMD", str(kept))
    yield kept
    subprocess.run(["systemctl", "stop", "sdx-engine.service", "sdx-gateway.service"], check=False)


def test_install_sh_installs_units_and_goes_back(release: Later, root: Path, systemd: Path, tmp_path: Path) -> None:
    """The script itself, on an environment that has SDx; only systemd is not the real one."""
    environment = {**os.environ, "SDX_ENVIRONMENT": sys.prefix, "SDX_ROOT": str(root)}

    def install(bundle: Path) -> subprocess.CompletedProcess[str]:
        return subprocess.run([bundle / "install.sh"], check=False, capture_output=True, text=True, timeout=120, env=environment)

    bundle, first = release(to="systemd", root=str(root))
    done = install(bundle)
    assert done.returncode == 0 and f"{first.id} is up" in done.stdout, done.stderr
    assert sorted(path.name for path in (systemd / "units").iterdir()) == ["sdx-engine.service", "sdx-gateway.service"]
    asked = (systemd / "asked").read_text()
    assert "daemon-reload" in asked and shlex.join(["enable", "sdx-engine.service", "sdx-gateway.service"]) in asked
    assert running.healthy(first)

    (tmp_path / "broken.gguf").write_bytes(b"GGUF" + bytes(100))
    bad, _ = release(to="systemd", root=str(root), model=tmp_path / "broken.gguf", start_s=6.0)
    done = install(bad)
    assert done.returncode == 1 and f"{first.id}, which ran before, runs again" in done.stderr, (done.stdout, done.stderr)
    assert releases.linked(root, "current") == root / "releases" / first.id and running.healthy(first)
    assert "Traceback" not in done.stderr


def test_an_engine_that_is_not_here_is_told_before_anything_is_switched(release: Later, root: Path, tmp_path: Path) -> None:
    model = tmp_path / "folder"
    model.mkdir()
    (model / "model.safetensors").write_bytes(b"weights")
    (model / "config.json").write_text('{"architectures": ["Qwen3ForCausalLM"]}')
    bundle, _ = release(to="systemd", root=str(root), engine="tensorrt-llm", model=model)
    with pytest.raises(BundleError, match=r"cannot run here: .*trtllm-serve"):
        releases.install(bundle, root, say=lambda line: None)
    assert list(root.iterdir()) == []
    other, _ = release(to="systemd")
    with pytest.raises(BundleError, match="its services look in /opt/sdx"):
        releases.install(other, root, say=lambda line: None)


DOCKER = """
#!{python}
'''Stands for docker compose: runs the commands of engine and gateway as Compose would, the bind-mounted folder in its own place.'''
import os, signal, subprocess, sys
from pathlib import Path
import yaml
kept, words = Path(os.environ["FAKE_DOCKER"]), sys.argv[1:]
assert words[:2] == ["compose", "--project-name"] and words[3] == "--file"
file, verb = Path(words[4]), words[5]
services = yaml.safe_load(file.read_text())["services"]
assert services["engine"]["volumes"][0] == {{"type": "bind", "source": ".", "target": "/bundle", "read_only": True}}
for name in set(words) & {{"engine", "gateway"}}:
    pid = kept / name
    if pid.exists():
        try:
            os.killpg(int(pid.read_text()), signal.SIGTERM)
            while os.killpg(int(pid.read_text()), 0) is None:
                pass
        except ProcessLookupError:
            pass
        pid.unlink()
    if verb == "up":
        command = [word.replace("$$", "$").replace("/bundle", str(file.parent)) for word in services[name]["command"]]
        log = (kept / (name + ".log")).open("wb")
        environment = os.environ | {{"SDX_DEPLOYED": str(kept / "state"), "SDX_GATEWAY": str(kept / "gateway-state")}}
        process = subprocess.Popen([sys.executable, *command], stdout=log, stderr=log, start_new_session=True, env=environment)
        pid.write_text(str(process.pid))
"""


def test_compose_runs_what_its_file_says(release: Later, root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    kept = tmp_path / "docker"
    kept.mkdir()
    (kept / "docker").write_text(textwrap.dedent(DOCKER.format(python=sys.executable)).lstrip())
    (kept / "docker").chmod(0o755)
    monkeypatch.setenv("PATH", f"{kept}:{os.environ['PATH']}")
    monkeypatch.setenv("FAKE_DOCKER", str(kept))
    bundle, manifest = release(to="compose", root=str(root))
    releases.install(bundle, root, say=lambda line: None)
    assert running.healthy(manifest)
    releases.remove(root, say=lambda line: None)
    assert not running.healthy(manifest)


def test_an_environment_without_sdx_is_said(release: Later, root: Path, tmp_path: Path) -> None:
    bundle, _ = release(to="here")
    environment = {**os.environ, "SDX_ENVIRONMENT": str(tmp_path), "SDX_ROOT": str(root)}
    done = subprocess.run([bundle / "install.sh"], check=False, capture_output=True, text=True, env=environment)
    assert done.returncode == 1 and "SDX_ENVIRONMENT names no environment with SDx" in done.stderr
