"""What is to be deployed, where and how; from options or from a recommendation. Start at Choice, planned().

The tables are data: targets.yaml (engines and files of each target), parts.yaml (processes beside a model), images.yaml.
"""

import hashlib
import re
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass, field
from difflib import get_close_matches
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any

import yaml

from sdx_serving.deploy.manifest import BundleError, Target
from sdx_serving.devices.device import devices
from sdx_serving.engine import EngineError, Serving
from sdx_serving.engines.choose import ENGINES
from sdx_serving.engines.formats import format_of

_SAFE_ROOT = re.compile(r"/[A-Za-z0-9/._-]*[A-Za-z0-9_-]")
_SAFE_VALUE = re.compile(r"[A-Za-z0-9._:,/@+-]{0,200}")
_SAFE_CLOUD = re.compile(r"https?://[A-Za-z0-9._:/@\[\]-]{1,200}(#[A-Za-z0-9._:/-]{1,100})?")
_SAFE_ADAPTER = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:/-]{0,99}")
_SAFE_IMAGE = re.compile(r"[a-z0-9][A-Za-z0-9._:/@-]{0,200}")


@dataclass(frozen=True, slots=True)
class Part:
    """One process beside engine and gateway."""

    name: str
    about: str
    command: tuple[str, ...]
    """Arguments of Python; "{gateway}", "{address}" and "{state}" stand for what the target fills in."""
    memory_mb: int


@dataclass(frozen=True, slots=True)
class Choice:
    """A model for a target. Paths are of this machine; see Serving for what an engine is told."""

    to: Target
    model: Path
    engine: str = "auto"
    name: str = ""
    context_tokens: int = 2048
    parallel: int = 1
    threads: int = 1
    projector: Path | None = None
    adapters: Mapping[str, Path] = field(default_factory=dict)
    embeddings: bool = False
    flags: tuple[str, ...] = ()
    device: str = "this"
    task: str = ""
    settings: Mapping[str, str] = field(default_factory=dict)
    """Parameters of parts, "guard.autopilot" -> "10.0.0.5:10110"."""
    port: int = 8081
    gateway_port: int = 8080
    cloud: str = ""
    """Address that the gateway asks first, "https://host/v1#model"; the model of the bundle is then what is left without a network."""
    root: str = ""
    image: str = ""
    wheels: Path | None = None
    """Folder of wheels that go with it, so that it installs without a package index."""
    start_s: float = 0.0
    """From the start until it must be up; 0 takes the engine's own."""
    needs_bytes: int = 0
    """Memory of the engine; 0: estimated from the files."""

    @property
    def serving(self) -> Serving:
        return Serving(
            str(self.model),
            name=self.name,
            context_tokens=self.context_tokens,
            parallel=self.parallel,
            threads=self.threads,
            projector=self.projector,
            adapters=self.adapters,
            embeddings=self.embeddings,
            flags=self.flags,
        )


@cache
def table(name: str) -> Mapping[str, Any]:
    """One of the YAML tables beside this module."""
    return yaml.safe_load(files("sdx_serving.deploy").joinpath(f"{name}.yaml").read_text(encoding="utf-8"))


def check(choice: Choice) -> None:
    """BundleError names the first field that cannot be used, with its value."""
    alias = choice.serving.alias
    if not alias.isprintable() or len(alias) > 200:
        raise BundleError(f"name {alias!r} has characters that cannot be shown, or more than 200: give another with --name")
    if not choice.device.startswith("this") and choice.device not in devices():
        near = get_close_matches(choice.device, devices(), n=1)
        raise BundleError(
            f"no device {choice.device!r}; " + (f"did you mean {near[0]!r}?" if near else f"known: this, {', '.join(devices())}")
        )
    if choice.root and not _SAFE_ROOT.fullmatch(choice.root):
        raise BundleError(f"root {choice.root!r}: give an absolute path of letters, digits and . _ - /, e.g. /opt/sdx")
    if choice.image and not _SAFE_IMAGE.fullmatch(choice.image):
        raise BundleError(f"image {choice.image!r} is no container image, e.g. registry.example/sdx:0.1.0")
    if choice.cloud and not _SAFE_CLOUD.fullmatch(choice.cloud):
        raise BundleError(f"cloud {choice.cloud!r} is no address, e.g. https://cloud.example.com/v1#qwen3-8b (keys go into $SDX_CLOUD_KEY)")
    if wrong := [name for name in choice.adapters if not _SAFE_ADAPTER.fullmatch(name)]:
        raise BundleError(f"adapter {wrong[0]!r}: clients ask for it by name: letters, digits and . _ : / - only")
    if choice.port == choice.gateway_port:
        raise BundleError(f"port {choice.port} is asked for by engine and gateway: give another --port or --gateway-port")
    if bad := [flag for flag in choice.flags if not flag.isprintable()]:
        raise BundleError(f"engine flag {bad[0]!r} has characters that cannot be shown: leave it out")
    if choice.to == "kserve" and (braced := [word for word in (alias, choice.model.name, *choice.flags) if "{{" in word]):
        raise BundleError(f"{braced[0]!r}: KServe would read {{{{ as a template of its own: rename it")
    parts_of(choice)


def engine_of(choice: Choice) -> str:
    """Name of the engine for the target; the target's machine may be another than this one, so it need not be installed here.

    Raises:
        BundleError: none takes this model there; the message has each with its reason.
    """
    offered: list[str] = table("targets")[choice.to]["engines"]
    try:
        form = format_of(str(choice.model))
        reasons: list[str] = []
        for name in offered if choice.engine == "auto" else [choice.engine]:
            if name not in offered:
                reasons.append(f"  {name}: not offered for {choice.to}; offered: {', '.join(offered)}")
            elif name not in ENGINES:
                reasons.append(f"  {name}: not known; known: {', '.join(ENGINES)}")
            elif form not in (engine := ENGINES[name](choice.serving)).facts.formats:
                reasons.append(f"  {name}: takes {', '.join(engine.facts.formats)}, and the model is {form}")
            elif choice.to == "here" and (missing := engine.missing()):
                reasons.append(f"  {name}: {missing}")
            else:
                return name
    except EngineError as error:
        raise BundleError(str(error)) from error
    raise BundleError("\n".join([f"no engine serves {choice.model} on {choice.to}:", *reasons]))


def parts_of(choice: Choice) -> tuple[Part, ...]:
    """The processes that go with the model: those of its task, where the target runs them. BundleError for an unknown task or setting."""
    known = table("parts")
    if choice.task and choice.task not in known:
        raise BundleError(f"no parts are known for task {choice.task!r}; known: {', '.join(known)}")
    if not choice.task or not table("targets")[choice.to].get("parts"):
        if choice.settings:
            raise BundleError(
                f"setting {next(iter(choice.settings))!r}: no part goes with this bundle: give --task, --to systemd, jetson or compose"
            )
        return ()
    rows = known[choice.task]["parts"]
    settings = _settings(choice, rows)
    return tuple(_part(name, row, settings.get(name, {})) for name, row in rows.items())


def _settings(choice: Choice, rows: Mapping[str, Any]) -> dict[str, dict[str, str]]:
    found: dict[str, dict[str, str]] = {}
    known = [f"{part}.{name}" for part, row in rows.items() for name in row.get("parameters", {})]
    for key, value in choice.settings.items():
        if key not in known:
            raise BundleError(f"no setting {key!r}; known: {', '.join(known)}")
        if not _SAFE_VALUE.fullmatch(value):
            raise BundleError(f"setting {key}={value!r}: letters, digits and . _ : , / @ + - only")
        part, _, name = key.partition(".")
        found.setdefault(part, {})[name] = value
    return found


def _part(name: str, row: Mapping[str, Any], given: Mapping[str, str]) -> Part:
    parameters = {**row.get("parameters", {}), **given}
    words = [word for key, value in parameters.items() if value for word in ("-p", f"{key}:={value}")]
    return Part(name, row["about"], (*row["command"], *words), row["memory_mb"])


def slug(name: str) -> str:
    """A name for services out of any name: lower-case letters, digits and hyphens, at most 32; never empty."""
    plain = unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode().lower()
    words = re.sub(r"[^a-z0-9]+", "-", plain).strip("-")[:32].strip("-")
    return words or f"model-{hashlib.sha256(name.encode('utf-8', 'surrogatepass')).hexdigest()[:8]}"
