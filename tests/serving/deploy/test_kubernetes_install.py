"""install.sh of a cluster's bundle against a stand-in for kubectl that keeps the pod's folder and the objects as files."""

import json
import os
import subprocess
import sys
import textwrap
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

from sdx_serving.deploy.manifest import Manifest

KUBECTL = """
#!{python}
'''Stands for kubectl: /models of the pod is a folder, objects are files; readiness is what the file "ready" says.'''
import json, os, subprocess, sys
from pathlib import Path
kept = Path(os.environ["FAKE_CLUSTER"])
words = [word for word in sys.argv[1:] if not word.startswith("--output") and word != "--ignore-not-found"]
if words[0] == "--namespace":
    words = words[2:]
verb = words[0]
if verb == "exec":
    command = [word.replace("/models", str(kept / "models")) for word in words[words.index("--") + 1 :]]
    sys.exit(subprocess.run(command).returncode)
if verb == "get" and words[1] != "namespace":
    path = kept / f"{{words[1]}}.json"
    sys.stdout.write(path.read_text() if path.exists() else "")
if verb == "apply":
    import yaml
    source = words[words.index("--filename") + 1]
    for thing in yaml.safe_load_all(sys.stdin if source == "-" else open(source)):
        assert "status" not in thing and "resourceVersion" not in thing["metadata"], thing
        (kept / f"{{thing['kind'].lower()}}.json").write_text(json.dumps(thing))
if verb == "wait" and not words[2].startswith("pod/"):
    sys.exit(0 if (kept / "ready").exists() else 1)
"""


@pytest.fixture
def cluster(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    kept = tmp_path / "cluster"
    (kept / "models").mkdir(parents=True)
    (kept / "bin").mkdir()
    (kept / "bin/kubectl").write_text(textwrap.dedent(KUBECTL.format(python=sys.executable)).lstrip())
    (kept / "bin/kubectl").chmod(0o755)
    monkeypatch.setenv("PATH", f"{kept / 'bin'}:{os.environ['PATH']}")
    monkeypatch.setenv("FAKE_CLUSTER", str(kept))
    return kept


def install(folder: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run([folder / "install.sh"], check=False, capture_output=True, text=True, timeout=60)


def test_the_bundle_arrives_whole_and_is_rolled_out(
    write_bundle: Callable[..., tuple[Path, Manifest]], cluster: Path, tiny_model: Path, tmp_path: Path
) -> None:
    model = tmp_path / "바다 1호 $(id).gguf"
    model.write_bytes(tiny_model.read_bytes())
    folder, manifest = write_bundle(to="kserve", model=model)
    (cluster / "ready").touch()
    done = install(folder)
    assert done.returncode == 0 and f"{manifest.id} is ready" in done.stdout, done.stderr
    there = cluster / "models" / manifest.id
    assert (there / manifest.model.path).read_bytes() == model.read_bytes() and (there / "manifest.json").exists()
    assert [path.name for path in (cluster / "models").iterdir()] == [manifest.id]
    served = json.loads((cluster / "inferenceservice.json").read_text())
    assert served["spec"]["predictor"]["model"]["storageUri"].endswith(manifest.id)
    assert install(folder).returncode == 0


def test_what_is_not_ready_is_put_back(write_bundle: Callable[..., tuple[Path, Manifest]], cluster: Path) -> None:
    folder, _ = write_bundle(to="kserve")
    [before] = [thing for thing in yaml.safe_load_all((folder / "kserve.yaml").read_text()) if thing["kind"] == "InferenceService"]
    before["metadata"]["annotations"]["sdx/release"] = "the one before"
    before |= {"status": {"ready": True}}
    before["metadata"]["resourceVersion"] = "7"
    (cluster / "inferenceservice.json").write_text(json.dumps(before))
    done = install(folder)
    assert done.returncode == 1 and "is not ready after" in done.stderr and "switched back" in done.stderr, done.stderr
    after = json.loads((cluster / "inferenceservice.json").read_text())
    assert after["metadata"]["annotations"]["sdx/release"] == "the one before"


def test_a_changed_bundle_is_not_copied(write_bundle: Callable[..., tuple[Path, Manifest]], cluster: Path) -> None:
    folder, manifest = write_bundle(to="kserve")
    with (folder / manifest.model.path).open("ab") as file:
        file.write(b"x")
    done = install(folder)
    assert done.returncode == 1 and "the bundle was changed" in done.stderr
    assert not list((cluster / "models").iterdir())
