"""What the gateway serves, as one closed YAML file. Start at load(); without a file it is builtin()."""

import os
from collections.abc import Mapping
from difflib import get_close_matches
from importlib.resources import files
from pathlib import Path
from typing import Annotated, Any, Literal, Self

import yaml
from pydantic import Field, StringConstraints, ValidationError, field_validator, model_validator

from sdx_serving.closed import Closed

Need = Literal["json_schema", "tools", "images", "embeddings"]
"""What a request may ask of a model beyond plain text."""
NEEDS: tuple[Need, ...] = ("json_schema", "tools", "images", "embeddings")
Name = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9._:/-]{0,99}$")]
Sha256 = Annotated[str, StringConstraints(pattern=r"^([0-9a-f]{64})?$")]
LOOPBACK = ("127.0.0.1", "localhost", "::1")


class ConfigError(ValueError):
    """The file must be changed; the message names file, field and value."""


class Listen(Closed):
    """Where clients ask. Beyond loopback only with an API key."""

    host: str = "127.0.0.1"
    port: int = Field(default=8800, ge=0, le=65535)


class Local(Closed):
    """A model of this machine, started by the gateway."""

    model: str = "embedded"
    """"embedded", a file, a folder, or a Hugging Face id."""
    engine: str = "auto"
    context_tokens: int = Field(default=2048, ge=128)
    parallel: int = Field(default=1, ge=1, le=256)
    threads: int = Field(default=1, ge=1, le=1024)
    projector: Path | None = None
    adapters: Mapping[Name, Path] = Field(default_factory=dict)
    """LoRA adapters; each is a model of its own for clients."""
    embeddings: bool = False
    flags: tuple[str, ...] = ()
    preload: bool = False
    """Loaded when the gateway starts, not when first asked."""
    idle_s: float = Field(default=0.0, ge=0.0)
    """Unloaded after so long without a request; 0 keeps it."""
    memory_mb: int = Field(default=0, ge=0)
    """What it takes; 0 estimates from its files."""
    start_s: float = Field(default=120.0, gt=0.0)
    """It may take so long until it answers."""

    @field_validator("model")
    @classmethod
    def _here(cls, value: str) -> str:
        if value.startswith(("http://", "https://")):
            raise ValueError(f"{value!r} is an address: give it as the upstream's `url`")
        return value


class Upstream(Closed):
    """Something that answers: an OpenAI-compatible address, or a local model."""

    url: str = ""
    """With the version: "https://cloud.example.com/v1"."""
    local: Local | None = None
    key_env: str = ""
    """Environment variable that holds the address's API key."""
    model: str = ""
    """Its name there; "" sends what the client asked for."""
    can: tuple[Need, ...] | None = None
    """What it can do; without it the engine or the address is asked."""
    sha256: Sha256 = ""
    """Of its weights, where it does not tell."""
    concurrency: int = Field(default=0, ge=0, le=4096)
    """Requests sent together; 0 takes the engine's own, 16 for an address."""
    queue: int = Field(default=32, ge=0, le=10_000)
    """Requests that may wait besides; more are refused with 429."""
    connect_s: float = Field(default=2.0, gt=0.0)

    @model_validator(mode="after")
    def _one_kind(self) -> Self:
        if bool(self.url) == (self.local is not None):
            raise ValueError("give either `url` or `local`")
        if self.url and not self.url.startswith(("http://", "https://")):
            raise ValueError(f"url {self.url!r} must begin with http:// or https://")
        return self


class Target(Closed):
    """An upstream, and the model asked of it."""

    upstream: Name
    model: str = ""
    """"" takes the upstream's own."""


class Route(Closed):
    """A model name that clients ask for, and who answers: the first that can, in time."""

    to: tuple[Target, ...] = Field(min_length=1)
    task: str = ""
    """A fallback answers only if its weights have passed this task (`sdx registry`)."""
    needs: tuple[Need, ...] = ()
    deadline_s: float = Field(default=60.0, gt=0.0, le=86_400.0)
    """For clients that send no X-SDX-Deadline-S."""

    @field_validator("to", mode="before")
    @classmethod
    def _names(cls, value: Any) -> Any:
        items = value if isinstance(value, list | tuple) else [value]
        return [{"upstream": item} if isinstance(item, str) else item for item in items]


class Limits(Closed):
    """What one request may hold."""

    body_mb: float = Field(default=16.0, gt=0.0, le=1024.0)
    images: int = Field(default=8, ge=0)
    image_mb: float = Field(default=8.0, gt=0.0)
    image_mpixels: float = Field(default=25.0, gt=0.0)
    fetch_images: bool = False
    """Fetch images by http(s) for the model; else only data: URLs are taken."""
    fetch_s: float = Field(default=5.0, gt=0.0)


class Breaker(Closed):
    """When an upstream is left alone, and how often it is looked at again."""

    failures: int = Field(default=3, ge=1)
    """On end; then it is asked nothing until a probe finds it back."""
    probe_s: float = Field(default=5.0, gt=0.0)


class Collector(Closed):
    """Where a record of each request is sent; kept on the disk while it is away."""

    url: str
    key_env: str = ""
    bodies: bool = False
    """Questions and answers too, not only who asked whom and how long it took."""
    max_mb: float = Field(default=100.0, gt=0.0)
    """Kept at most; then the oldest are dropped, counted and told."""

    @field_validator("url")
    @classmethod
    def _http(cls, value: str) -> str:
        if not value.startswith(("http://", "https://")):
            raise ValueError(f"{value!r} must begin with http:// or https://")
        return value


class GatewayConfig(Closed):
    """The whole file."""

    listen: Listen = Listen()
    upstreams: Mapping[Name, Upstream] = Field(min_length=1)
    routes: Mapping[Name, Route] = Field(min_length=1)
    limits: Limits = Limits()
    breaker: Breaker = Breaker()
    memory_mb: int = Field(default=0, ge=0)
    """For all local models together; 0 sets no bound."""
    state: Path = Field(default_factory=lambda: state_path())
    """Folder for keys, journal and logs."""
    collector: Collector | None = None

    @model_validator(mode="after")
    def _known_targets(self) -> Self:
        for name, route in self.routes.items():
            for target in route.to:
                if target.upstream not in self.upstreams:
                    near = get_close_matches(target.upstream, self.upstreams, n=1)
                    hint = f"did you mean {near[0]!r}?" if near else f"known: {', '.join(self.upstreams)}"
                    raise ValueError(f"routes.{name}.to: no upstream {target.upstream!r}; {hint}")
        return self

    def all_routes(self) -> dict[str, Route]:
        """The file's, one for each LoRA adapter, and "default": the first."""
        routes = dict(self.routes)
        for name, upstream in self.upstreams.items():
            for adapter in upstream.local.adapters if upstream.local else ():
                routes.setdefault(adapter, Route(to=(Target(upstream=name, model=adapter),)))
        routes.setdefault("default", next(iter(self.routes.values())))
        return routes


def state_path() -> Path:
    """$SDX_GATEWAY, else ~/.local/share/sdx/gateway."""
    given = os.environ.get("SDX_GATEWAY")
    return Path(given) if given else Path.home() / ".local/share/sdx/gateway"


def builtin() -> GatewayConfig:
    """Without a file: the embedded model, alone."""
    return GatewayConfig(upstreams={"edge": Upstream(local=Local(preload=True))}, routes={"embedded": Route(to=(Target(upstream="edge"),))})


def template() -> str:
    """A file to begin with, as text with comments."""
    return files("sdx_serving.gateway").joinpath("gateway.yaml").read_text(encoding="utf-8")


def load(path: Path) -> GatewayConfig:
    """A file's configuration; paths in it count from its folder. ConfigError names what is wrong in it."""
    try:
        told = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path} cannot be read ({error}): `sdx gateway init {path}` writes one") from error
    except yaml.YAMLError as error:
        raise ConfigError(f"{path} is not YAML: {error}") from error
    if not isinstance(told, dict):
        raise ConfigError(f"{path} holds no fields: `sdx gateway init` writes a file to begin with")
    try:
        return _from_folder(GatewayConfig.model_validate(told), path.resolve().parent)
    except ValidationError as error:
        raise ConfigError("\n".join(f"{path}: {fault}" for fault in _faults(error))) from error


def _faults(error: ValidationError) -> list[str]:
    """Each as "upstreams.cloud.queue: Input should be ..., got -1". Values of unknown fields are not repeated: keys may be among them."""
    lines = []
    for fault in error.errors():
        where = ".".join(str(part) for part in fault["loc"]) or "file"
        match fault["type"]:
            case "extra_forbidden":
                lines.append(f"{where}: no such field; see `sdx gateway init --print`")
            case "missing":
                lines.append(f"{where}: is missing")
            case "value_error":
                lines.append(f"{where}: {fault['msg'].removeprefix('Value error, ')}")
            case _:
                lines.append(f"{where}: {fault['msg']}, got {str(fault['input'])[:80]!r}")
    return lines


def _from_folder(config: GatewayConfig, folder: Path) -> GatewayConfig:
    def placed(path: Path) -> Path:
        return folder / path.expanduser()

    def settled(upstream: Upstream) -> Upstream:
        local = upstream.local
        if local is None:
            return upstream
        model = local.model
        if model != "embedded" and (placed(Path(model)).exists() or Path(model).suffix):
            model = str(placed(Path(model)))
        changed = {
            "model": model,
            "projector": placed(local.projector) if local.projector else None,
            "adapters": {name: placed(path) for name, path in local.adapters.items()},
        }
        return upstream.model_copy(update={"local": local.model_copy(update=changed)})

    upstreams = {name: settled(upstream) for name, upstream in config.upstreams.items()}
    return config.model_copy(update={"upstreams": upstreams, "state": placed(config.state)})
