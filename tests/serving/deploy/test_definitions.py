"""Service definitions as their readers see them: systemd, Compose, Kubernetes, Ray Serve, shells. None of them runs here."""

import importlib.util
import json
import re
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from sdx_serving.deploy.manifest import Manifest

Write = Callable[..., tuple[Path, Manifest]]

HERE = Path(__file__).parent
SECRET_ENV = "${SDX_CLOUD_KEY:-}"
WORST_EXPOSURE = 3.0
"""systemd's own measure, 0 (locked) to 10; an ordinary service has 9.6."""


def valid(content: Any, schema: Any) -> None:
    jsonschema = pytest.importorskip("jsonschema")
    jsonschema.Draft202012Validator(schema).validate(content)


@pytest.fixture
def folder_model(tmp_path: Path) -> Path:
    """What vLLM would serve: its files' names, no weights."""
    model = tmp_path / "Qwen3 tiny"
    model.mkdir()
    (model / "model.safetensors").write_bytes(b"weights")
    (model / "config.json").write_text(json.dumps({"architectures": ["Qwen3ForCausalLM"]}))
    (model / "tokenizer.json").write_text("{}")
    return model


def units(folder: Path) -> list[Path]:
    return sorted((folder / "systemd").glob("*.service"))


@pytest.mark.parametrize("target", ["systemd", "jetson"])
def test_systemd_finds_nothing_wrong(target: str, write_bundle: Write, tmp_path: Path) -> None:
    if shutil.which("systemd-analyze") is None:
        pytest.skip("no systemd-analyze on the PATH")
    root = tmp_path / "opt"
    folder, _ = write_bundle(to=target, task="ship", root=str(root), settings={"guard.autopilot": "10.0.0.5:10110"})
    programs = root / "current/environment/bin"
    programs.mkdir(parents=True)
    (programs / "python").write_text("#!/bin/sh\n")  # it looks whether the program is there
    (programs / "python").chmod(0o755)
    done = subprocess.run(["systemd-analyze", "verify", "--man=no", *map(str, units(folder))], check=False, capture_output=True, text=True)
    ours = [line for line in done.stderr.splitlines() if str(folder) in line or "sdx-" in line]
    assert done.returncode == 0 and not ours, done.stderr


def test_services_are_locked_in(write_bundle: Write) -> None:
    if shutil.which("systemd-analyze") is None:
        pytest.skip("no systemd-analyze on the PATH")
    folder, _ = write_bundle(to="systemd", task="ship")
    for unit in units(folder):
        command = ["systemd-analyze", "security", "--offline=yes", "--json=short", "--no-pager", str(unit)]
        command[3:4] = []
        done = subprocess.run(command, check=False, capture_output=True, text=True)
        found = re.search(r"Overall exposure level for \S+: ([0-9.]+)", done.stdout + done.stderr)
        assert found and float(found[1]) <= WORST_EXPOSURE, (unit.name, done.stdout[-300:], done.stderr[-300:])


def directives(unit: Path) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for line in unit.read_text().splitlines():
        if "=" in line and not line.startswith("#"):
            key, _, value = line.partition("=")
            found.setdefault(key, []).append(value)
    return found


def test_the_guard_goes_on_without_the_engine(write_bundle: Write) -> None:
    folder, manifest = write_bundle(to="systemd", task="ship", settings={"guard.autopilot": "10.0.0.5:10110"})
    guard = directives(folder / "systemd/sdx-guard.service")
    ties = [value for key in ("Requires", "BindsTo", "PartOf", "Wants", "After", "Requisite") for value in guard.get(key, [])]
    assert not any("sdx-" in value for value in ties) and guard["Restart"][-1] == "always" and guard["OOMScoreAdjust"] == ["-900"]
    assert "-p autopilot:=10.0.0.5:10110" in guard["ExecStart"][0] and "approval:=ask" in guard["ExecStart"][0]
    agent = directives(folder / "systemd/sdx-agent.service")
    assert f"engine:=http://127.0.0.1:{manifest.gateway_port}/v1#{manifest.name}" in agent["ExecStart"][0]


def test_a_signed_bundle_is_checked_at_each_start(write_bundle: Write, tmp_path: Path) -> None:
    pytest.importorskip("cryptography")
    from sdx_serving.deploy.signature import keygen

    keygen(tmp_path / "key")
    folder, _ = write_bundle(to="systemd", key=tmp_path / "key")
    assert directives(folder / "systemd/sdx-engine.service")["ExecStart"][0].endswith("--public-key /opt/sdx/trusted.pub")


@pytest.mark.parametrize("model", ["gguf", "safetensors"])
def test_compose_is_as_specified(model: str, write_bundle: Write, folder_model: Path) -> None:
    fields = {"model": folder_model, "name": "cost $5 ${HOME}"} if model == "safetensors" else {"task": "ship"}
    folder, _ = write_bundle(to="compose", **fields)
    content = yaml.safe_load((folder / "compose.yaml").read_text())
    valid(content, yaml.safe_load((HERE / "schemas/compose.yaml").read_text()))
    used = {
        volume["source"] for service in content["services"].values() for volume in service.get("volumes", []) if volume["type"] == "volume"
    }
    assert used == set(content["volumes"])
    text = (folder / "compose.yaml").read_text().replace(SECRET_ENV, "")
    assert "$" not in text.replace("$$", "")
    if model == "safetensors":
        engine = content["services"]["engine"]
        assert "vllm" in engine["image"] and "pull_policy" not in engine and "cost $$5 $${HOME}" in engine["command"]
        assert engine["command"][:2] == ["--model", "/bundle/model/Qwen3 tiny"]
    else:
        assert {"guard", "sensors", "agent", "page"} < set(content["services"])
        assert not any("depends_on" in service for service in content["services"].values())
        assert content["services"]["engine"]["command"][:3] == ["-m", "sdx_serving.deploy.running", "/bundle"]


def kubernetes(folder: Path) -> Iterator[dict[str, Any]]:
    for path in sorted(folder.glob("*.yaml")):
        yield from yaml.safe_load_all(path.read_text())


def pods(thing: dict[str, Any]) -> list[dict[str, Any]]:
    """Pod specifications within one object of a kind that Kubernetes itself does not know."""
    spec = thing["spec"]
    match thing["kind"]:
        case "ServingRuntime":
            return [{key: spec[key] for key in ("containers", "volumes")}]
        case "RayService":
            groups = [spec["rayClusterConfig"]["headGroupSpec"], *spec["rayClusterConfig"]["workerGroupSpecs"]]
            return [group["template"]["spec"] for group in groups]
        case "Pod":
            return [spec]
        case _:
            return []


@pytest.mark.parametrize(("target", "engine"), [("kserve", "llama.cpp"), ("kserve", "vllm"), ("kuberay", "vllm")])
def test_kubernetes_objects_are_as_specified(target: str, engine: str, write_bundle: Write, folder_model: Path) -> None:
    fields = {"model": folder_model, "flags": ("$(POD_NAME)",)} if engine == "vllm" else {}
    folder, _ = write_bundle(to=target, engine=engine, **fields)
    schemas = yaml.safe_load((HERE / "schemas/kubernetes.yaml").read_text())
    things = list(kubernetes(folder))
    kinds = {"PersistentVolumeClaim", "Pod"} | ({"ServingRuntime", "InferenceService"} if target == "kserve" else {"RayService"})
    assert {thing["kind"] for thing in things} == kinds
    for thing in things:
        if thing["kind"] in schemas:
            valid(thing, schemas[thing["kind"]])
        for pod in pods(thing):
            named = {mount["name"] for container in pod["containers"] for mount in container.get("volumeMounts", [])}
            assert named == {volume["name"] for volume in pod.get("volumes", [])}
            assert all(not container["securityContext"]["allowPrivilegeEscalation"] for container in pod["containers"])
    if target == "kserve" and engine == "vllm":
        [runtime] = [thing for thing in things if thing["kind"] == "ServingRuntime"]
        arguments = runtime["spec"]["containers"][0]["args"]
        assert arguments[:2] == ["--model", "/mnt/models/model/Qwen3 tiny"] and arguments[-1] == "$$(POD_NAME)"


@pytest.mark.parametrize(("target", "engine"), [("kserve", "llama.cpp"), ("kserve", "vllm"), ("kuberay", "vllm")])
def test_kubernetes_own_schemas_agree(target: str, engine: str, write_bundle: Write, folder_model: Path) -> None:
    validate = pytest.importorskip("kubernetes_validate").validate
    folder, _ = write_bundle(to=target, engine=engine, **({"model": folder_model} if engine == "vllm" else {}))
    for thing in kubernetes(folder):
        if thing["apiVersion"] == "v1":
            validate(thing, "1.30", strict=True)
        for pod in pods(thing):
            validate({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "x"}, "spec": pod}, "1.30", strict=True)


def test_ray_serve_takes_its_configuration(write_bundle: Write, folder_model: Path) -> None:
    if importlib.util.find_spec("ray") is None:
        pytest.skip("ray is not installed")
    schema = pytest.importorskip("ray.serve.schema")
    folder, _ = write_bundle(to="kuberay", model=folder_model)
    [service] = [thing for thing in kubernetes(folder) if thing["kind"] == "RayService"]
    config = schema.ServeDeploySchema.model_validate(yaml.safe_load(service["spec"]["serveConfigV2"]))
    assert config.applications[0].import_path == "ray.serve.llm:build_openai_app"


@pytest.mark.parametrize("target", ["here", "systemd", "jetson", "compose", "kserve", "kuberay"])
def test_scripts_are_sound(target: str, write_bundle: Write, folder_model: Path) -> None:
    folder, _ = write_bundle(to=target, **({"model": folder_model} if target == "kuberay" else {}))
    scripts = sorted(folder.glob("*.sh"))
    assert scripts
    for script in scripts:
        assert "set -euo pipefail" in script.read_text()
        subprocess.run(["bash", "-n", str(script)], check=True)
        if shutil.which("shellcheck"):
            subprocess.run(["shellcheck", "--severity=warning", str(script)], check=True)


def test_the_readme_of_each_target_says_how_to_start_and_stop(write_bundle: Write, folder_model: Path) -> None:
    for target, words in {
        "here": ("sdx deploy start", "sdx deploy stop", "sdx deploy rollback"),
        "systemd": ("install.sh", "systemctl stop", "rollback", "guard is a service of its own"),
        "compose": ("install.sh", "docker compose down", "rollback"),
        "kserve": ("install.sh", "kubectl -n sdx delete", "--image"),
    }.items():
        text = (write_bundle(to=target, task="ship" if target == "systemd" else "")[0] / "README.md").read_text()
        assert all(word in text for word in words), (target, text)
