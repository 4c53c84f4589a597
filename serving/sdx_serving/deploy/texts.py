"""The written files of a bundle: which there are for a target, and the values that their templates are given. Start at texts()."""

import json
from collections.abc import Iterator, Mapping
from math import ceil
from typing import Any

from sdx_serving.deploy.choice import Choice, Part, parts_of, table
from sdx_serving.deploy.gateway_config import gateway_yaml
from sdx_serving.deploy.manifest import Manifest, Target
from sdx_serving.deploy.render import render
from sdx_serving.deploy.running import ENGINE, GATEWAY
from sdx_serving.registry import Registry

_SCRIPTS = (".sh",)
_BUILD = ("Containerfile", ".dockerignore")
"""Not wanted where the image is given."""
_KUBERNETES: tuple[Target, ...] = ("kserve", "kuberay")
_TEMPLATES = {"install.sh": "install-kubernetes.sh"}
"""Of a cluster's bundle, where it is not the file's own name."""
_OTHERS = ("vllm",)
"""Engines with a container image of their own makers."""
_ON_GPU = ("vllm", "tensorrt-llm")
_HEADROOM = 1.5
"""A process may take this much more than was estimated before its limit ends it."""
_RUNNER_BYTES = 300_000_000
"""Of the process that watches the engine, in the same limit."""
MODELS = "/mnt/models"
"""Where KServe puts what storageUri names, and where a RayService's claim is mounted."""


def texts(manifest: Manifest, choice: Choice) -> Iterator[tuple[str, str, bool]]:
    """(path, text, executable) of every file besides model, wheels and manifest."""
    plan = table("targets")[choice.to]
    values = values_of(manifest, choice)
    yield "checksums.txt", "".join(f"{file.sha256}  {file.path}\n" for file in manifest.files), False
    for path in plan["files"]:
        if path in _BUILD and not values["build"]:
            continue
        name = path.rsplit("/", 1)[-1]
        template = _TEMPLATES.get(name, name) if choice.to in _KUBERNETES else name
        yield path, render(template.removeprefix("."), path, values), path.endswith(_SCRIPTS)
    if choice.to not in _KUBERNETES:
        yield "gateway.yaml", gateway_yaml(manifest, choice.cloud), False
    if entry := Registry().find(manifest.model.sha256):
        yield "registry.json", json.dumps([entry.model_dump(mode="json")], ensure_ascii=False, indent=1) + "\n", False
    if "part" in plan:
        for part in values["parts"]:
            path = plan["part"].format(part=part["name"])
            yield path, render("part.service", path, values | {"part": part}), False


def values_of(manifest: Manifest, choice: Choice) -> dict[str, Any]:
    """What the templates may name."""
    images = table("images")
    own = f"sdx:{manifest.versions.get('sdx', 'latest')}"
    state = "/state" if choice.to == "compose" else "/var/lib/sdx-{part}"
    return {
        "m": manifest,
        "service": manifest.name if manifest.name.startswith("sdx-") else f"sdx-{manifest.name}",
        "images": images,
        "image": choice.image or _image(manifest, images, own),
        "sdx_image": choice.image if choice.image and manifest.engine not in _OTHERS else own,
        "build": choice.image == "" or manifest.engine in _OTHERS,
        "wheels": choice.wheels is not None,
        "version": manifest.versions.get("sdx", ""),
        "engine_command": container_command(manifest),
        "memory": ceil((_HEADROOM * manifest.needs_bytes + _RUNNER_BYTES) / 2**20),
        "storage_gb": ceil(2.5 * sum(file.size_bytes for file in manifest.files) / 1e9),
        "parts": [_filled(part, manifest, state.format(part=part.name)) for part in parts_of(choice)],
        "guard": table("parts").get(choice.task, {}).get("guard", ""),
        "serve_config": serve_config(manifest),
        "engine": list(ENGINE),
        "gateway": list(GATEWAY),
        "gpu": manifest.engine in _ON_GPU,
        "trusted": f"{manifest.root}/trusted.pub",
        "folder": MODELS,
        "l4t": table("targets")["l4t"].get(manifest.engine, {}),
        "storage_kb": sum(file.size_bytes for file in manifest.files) // 500,
        "cloud": choice.cloud,
    }


def _image(manifest: Manifest, images: Mapping[str, str], own: str) -> str:
    if manifest.target == "kuberay":
        return images["ray"]
    return images[manifest.engine] if manifest.engine in _OTHERS else own


def container_command(manifest: Manifest) -> list[str]:
    """Arguments of the engine's image: ours runs the bundle, vLLM's its own server (https://docs.vllm.ai/en/latest/cli/serve/)."""
    folder = MODELS if manifest.target in _KUBERNETES else "/bundle"
    if manifest.engine not in _OTHERS:
        return ["-m", *ENGINE, folder, "--host", "0.0.0.0", "--port", str(manifest.port)]
    model = manifest.model
    words = ["--model", f"{folder}/{model.path}", "--served-model-name", model.name, "--host", "0.0.0.0", "--port", str(manifest.port)]
    words += ["--max-model-len", str(manifest.context_tokens), "--max-num-seqs", str(manifest.parallel)]
    if model.adapters:
        words += ["--enable-lora", "--lora-modules", *(f"{name}={folder}/{path}" for name, path in model.adapters.items())]
    words += manifest.flags
    # Kubernetes puts variables in for $(NAME); a doubled dollar is one.
    return [word.replace("$(", "$$(") for word in words] if manifest.target in _KUBERNETES else words


def serve_config(manifest: Manifest) -> dict[str, Any]:
    """Ray Serve's configuration of its OpenAI app (https://docs.ray.io/en/latest/serve/llm/)."""
    model = {
        "model_loading_config": {"model_id": manifest.model.name, "model_source": f"{MODELS}/{manifest.id}/{manifest.model.path}"},
        "engine_kwargs": {"max_model_len": manifest.context_tokens, "max_num_seqs": manifest.parallel},
        "deployment_config": {"num_replicas": 1},
    }
    application = {
        "name": manifest.name,
        "route_prefix": "/",
        "import_path": "ray.serve.llm:build_openai_app",
        "args": {"llm_configs": [model]},
    }
    return {"applications": [application]}


def _filled(part: Part, manifest: Manifest, state: str) -> dict[str, Any]:
    address = f"http://127.0.0.1:{manifest.gateway_port}/v1"
    places = {"{gateway}": f"{address}#{manifest.name}", "{address}": address, "{state}": state}
    command = list(part.command)
    for place, text in places.items():
        command = [word.replace(place, text) for word in command]
    return {"name": part.name, "about": part.about, "command": command, "memory": part.memory_mb, "state": state}
