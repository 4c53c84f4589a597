"""What is written for each target: whole, self-contained, and only what was asked for."""

import hashlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import yaml

from sdx_serving.deploy.choice import slug, table
from sdx_serving.deploy.manifest import BundleError, Manifest
from sdx_serving.deploy.verify import verify
from sdx_serving.gateway.config import load

Write = Callable[..., tuple[Path, Manifest]]
NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)


@pytest.mark.parametrize("target", ["systemd", "jetson", "compose", "kserve"])
def test_each_target_gets_its_files_and_no_others(target: str, write_bundle: Write) -> None:
    folder, manifest = write_bundle(to=target, task="ship" if target != "kserve" else "")
    assert verify(folder) == []
    wanted = {*table("targets")[target]["files"], "checksums.txt", "model/tiny.gguf"}
    if target != "kserve":
        wanted.add("gateway.yaml")
    if target in ("systemd", "jetson"):
        wanted |= {f"systemd/sdx-{part}.service" for part in ("guard", "sensors", "agent", "page")}
    assert {file.path for file in manifest.files} == wanted
    assert {file.path for file in manifest.files if file.executable} == {path for path in wanted if path.endswith(".sh")}


def test_the_manifest_says_what_it_is(write_bundle: Write, tiny_model: Path) -> None:
    folder, manifest = write_bundle(to="systemd", task="ship", name="Bridge 모델", context_tokens=512, threads=2, device="this")
    content = tiny_model.read_bytes()
    assert manifest.model.sha256 == hashlib.sha256(content).hexdigest() and manifest.model.name == "Bridge 모델"
    assert manifest.name == "bridge" and manifest.id == f"bridge-20260102-030405-{manifest.model.sha256[:8]}"
    assert (manifest.domain, manifest.guard, manifest.parts) == ("ship", True, ("guard", "sensors", "agent", "page"))
    assert manifest.needs_bytes > len(content) and manifest.commit and manifest.versions["python"]
    assert (folder / "model/tiny.gguf").read_bytes() == content
    done = subprocess.run(["sha256sum", "--check", "--strict", "checksums.txt"], cwd=folder, check=False, capture_output=True, text=True)
    assert done.returncode == 0 and "model/tiny.gguf: OK" in done.stdout


def test_what_runs_in_the_foreground_has_no_guard_and_says_so(write_bundle: Write) -> None:
    folder, manifest = write_bundle(to="here", task="ship")
    assert (manifest.domain, manifest.guard, manifest.parts) == ("ship", False, ())
    assert f"sdx up --model 'http://127.0.0.1:{manifest.gateway_port}/v1#{manifest.name}'" in (folder / "README.md").read_text()


def test_any_umask_leaves_it_readable(write_bundle: Write) -> None:
    before = os.umask(0o077)
    try:
        folder, _ = write_bundle(to="systemd")
    finally:
        os.umask(before)
    modes = {path.name: path.stat().st_mode & 0o777 for path in folder.rglob("*")}
    assert modes["tiny.gguf"] == 0o644 and modes["model"] == 0o755 and modes["install.sh"] == 0o755


def test_the_gateway_takes_its_file(write_bundle: Write, tiny_model: Path) -> None:
    folder, manifest = write_bundle(to="systemd", task="ship", adapters={"korean": tiny_model}, cloud="https://cloud.example.com/v1#big")
    config = load(folder / "gateway.yaml")
    route = config.all_routes()[manifest.name]
    assert [target.upstream for target in route.to] == ["cloud", "edge"] and route.task == "ship"
    assert config.upstreams["cloud"].model == "big" and config.upstreams["cloud"].key_env == "SDX_CLOUD_KEY"
    assert config.upstreams["edge"].url == f"http://127.0.0.1:{manifest.port}/v1" and config.listen.host == "127.0.0.1"
    assert config.all_routes()["korean"].to[0].model == "korean" and {"default"} < set(config.all_routes())


NAMES = [
    "a b.gguf",
    "$(touch pwned).gguf",
    "`id`'\".gguf",
    "바다 1호 ⚓.gguf",
    "-rf.gguf",
    "%h ${HOME}.gguf",
    "a: b #c.gguf",
    "{% x %}.gguf",
]


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("target", ["systemd", "compose", "kserve", "jetson"])
def test_any_file_name_is_only_a_name(name: str, target: str, write_bundle: Write, tiny_model: Path, tmp_path: Path) -> None:
    model = tmp_path / name
    model.write_bytes(tiny_model.read_bytes())
    folder, manifest = write_bundle(to=target, model=model)
    assert verify(folder) == [] and manifest.model.name == model.stem and manifest.model.path == f"model/{name}"
    for path in folder.rglob("*"):
        if path.suffix == ".sh":
            assert subprocess.run(["bash", "-n", str(path)], check=False).returncode == 0
        elif path.suffix == ".yaml":
            list(yaml.safe_load_all(path.read_text()))
    assert not list(tmp_path.rglob("pwned"))


@pytest.mark.parametrize(
    ("fields", "complaint"),
    [
        ({"to": "systemd", "root": "/opt/x; rm -rf /"}, "root '/opt/x; rm -rf /'"),
        ({"to": "systemd", "root": "opt"}, "root 'opt'"),
        ({"to": "compose", "image": "x y"}, "image 'x y' is no container image"),
        ({"to": "systemd", "port": 9000, "gateway_port": 9000}, "port 9000 is asked for by engine and gateway"),
        ({"to": "systemd", "name": "a\nb"}, "name 'a\\\\nb' has characters"),
        ({"to": "systemd", "flags": ("--x\n",)}, "engine flag"),
        ({"to": "systemd", "task": "cooking"}, "no parts are known for task 'cooking'; known: ship"),
        ({"to": "systemd", "settings": {"guard.autopilot": "x"}}, "give --task"),
        ({"to": "here", "task": "ship", "settings": {"guard.autopilot": "x"}}, "no part goes with this bundle"),
        ({"to": "systemd", "task": "ship", "settings": {"guard.autopilot": "$(id)"}}, "setting guard.autopilot"),
        ({"to": "systemd", "task": "ship", "settings": {"guard.tick": "1"}}, r"no setting 'guard.tick'; known: guard\.audit"),
        ({"to": "systemd", "adapters": {"a b": Path("x")}}, "adapter 'a b'"),
        ({"to": "systemd", "cloud": "ftp://x"}, "cloud 'ftp://x' is no address"),
        ({"to": "kuberay"}, "no engine serves .* on kuberay:\n  vllm: takes safetensors, and the model is gguf"),
        ({"to": "systemd", "engine": "vllm"}, "vllm: takes safetensors"),
        ({"to": "systemd", "engine": "abacus"}, "abacus: not offered for systemd; offered: llama.cpp"),
        ({"to": "kserve", "name": "{{.Name}}"}, "KServe would read"),
        ({"to": "systemd", "wheels": Path("/nonexistent")}, r"no sdx-\*\.whl"),
    ],
)
def test_what_cannot_be_deployed_is_named(fields: dict[str, Any], complaint: str, write_bundle: Write, tmp_path: Path) -> None:
    with pytest.raises(BundleError, match=complaint):
        write_bundle(**fields)
    assert not (tmp_path / "bundle-1").exists()


def test_what_is_no_model_is_named(write_bundle: Write, tmp_path: Path) -> None:
    (tmp_path / "zip.gguf").write_bytes(b"PK\x03\x04")
    for model in (tmp_path / "zip.gguf", tmp_path / "absent.gguf"):
        with pytest.raises(BundleError, match=model.name):
            write_bundle(to="systemd", model=model)


def test_a_folder_that_is_taken_is_left_alone(write_bundle: Write, tmp_path: Path) -> None:
    (tmp_path / "bundle-1").mkdir()
    (tmp_path / "bundle-1/mine").write_text("keep")
    with pytest.raises(BundleError, match="there already and not empty"):
        write_bundle(to="systemd")
    assert [path.name for path in (tmp_path / "bundle-1").iterdir()] == ["mine"]
    (tmp_path / "bundle-2").mkdir()
    assert verify(write_bundle(to="systemd")[0]) == []


def test_a_hugging_face_folder_goes_whole_and_follows_links(write_bundle: Write, tmp_path: Path) -> None:
    blobs, model = tmp_path / "blobs", tmp_path / "snapshot"
    blobs.mkdir()
    (model / ".cache").mkdir(parents=True)
    (model / ".cache/lock").write_text("")
    (blobs / "w").write_bytes(b"weights")
    (model / "model.safetensors").symlink_to(blobs / "w")
    (model / "config.json").write_text(json.dumps({"architectures": ["Qwen3ForCausalLM"]}))
    (model / "tokenizer.json").write_text("{}")
    folder, manifest = write_bundle(to="kuberay", model=model)
    assert verify(folder) == [] and not (folder / "model/snapshot/model.safetensors").is_symlink()
    assert manifest.model.sha256 == hashlib.sha256(b"weights").hexdigest() and not (folder / "model/snapshot/.cache").exists()
    served = yaml.safe_load((folder / "rayservice.yaml").read_text())["spec"]["serveConfigV2"]
    config = json.loads(served)["applications"][0]["args"]["llm_configs"][0]["model_loading_config"]
    assert config == {"model_id": "snapshot", "model_source": f"/mnt/models/{manifest.id}/model/snapshot"}


def test_wheels_go_with_it(write_bundle: Write, tmp_path: Path) -> None:
    (tmp_path / "wheels").mkdir()
    (tmp_path / "wheels/sdx-0.1.0-py3-none-any.whl").write_bytes(b"wheel")
    folder, _ = write_bundle(to="compose", wheels=tmp_path / "wheels")
    assert "--no-index --find-links /wheels" in (folder / "Containerfile").read_text() and verify(folder) == []


SLOW_WRITER = """
import sys
from datetime import UTC, datetime
from pathlib import Path
from sdx_serving.deploy.bundle import write
from sdx_serving.deploy.choice import Choice
def say(line):
    print(line, flush=True)
    import time; time.sleep(float(sys.argv[3]))
write(Choice("systemd", Path(sys.argv[1])), Path(sys.argv[2]), datetime.now(UTC), say=say)
"""


def test_a_killed_writer_leaves_no_half_bundle(tiny_model: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    command = [sys.executable, "-c", SLOW_WRITER, str(tiny_model), str(out)]
    with subprocess.Popen([*command, "60"], stdout=subprocess.PIPE) as process:
        assert process.stdout is not None and process.stdout.readline()
        time.sleep(0.1)
        process.send_signal(signal.SIGKILL)
    assert not out.exists()
    subprocess.run([*command, "0"], check=True, capture_output=True, timeout=60)
    assert verify(out) == [] and [path.name for path in tmp_path.iterdir() if path.name.startswith(".out")] == []


def test_two_releases_have_two_names(write_bundle: Write) -> None:
    from_now = [write_bundle(to="systemd", now=NOW + timedelta(seconds=second))[1].id for second in (0, 1)]
    assert len(set(from_now)) == 2


@pytest.mark.parametrize(("name", "expected"), [("Qwen3 8B_Q4.K_M", "qwen3-8b-q4-k-m"), ("--", None), ("모델", None), ("x" * 99, "x" * 32)])
def test_slugs(name: str, expected: str | None) -> None:
    found = slug(name)
    assert found == expected if expected else found.startswith("model-") and len(found) == 14
