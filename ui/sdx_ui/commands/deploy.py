"""sdx deploy: a model with all it needs as one signed folder; check, install, start and roll back such folders."""

import json
from dataclasses import asdict
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

app = typer.Typer(invoke_without_command=True)


class Goal(StrEnum):
    """Where a bundle is for."""

    here = "here"
    compose = "compose"
    systemd = "systemd"
    kserve = "kserve"
    kuberay = "kuberay"
    jetson = "jetson"


Bundle = Annotated[Path, typer.Argument(help="a bundle's folder")]
PublicKey = Annotated[Path | None, typer.Option("--public-key", help="FILE.pub of whoever must have signed it")]
Root = Annotated[Path | None, typer.Option(help="where releases lie; default: ~/.local/share/sdx/deployed")]
AsJson = Annotated[bool, typer.Option("--json", help="one JSON object on standard output")]


@app.callback()
def deploy(
    context: typer.Context,
    to: Annotated[Goal | None, typer.Option(help="where it is to run")] = None,
    model: Annotated[str | None, typer.Option(help="a GGUF file, or a folder of safetensors or ONNX; default: the embedded model")] = None,
    out: Annotated[Path | None, typer.Option(help="folder of the bundle, new or empty")] = None,
    recommendation: Annotated[
        Path | None, typer.Option("--from", exists=True, help="what `sdx recommend --json` wrote: its first choice")
    ] = None,
    device: Annotated[str, typer.Option(help="a device of `sdx recommend`")] = "this",
    engine: Annotated[str, typer.Option(help="auto, or an engine's name")] = "auto",
    name: Annotated[str, typer.Option(help="of the model, for clients")] = "",
    task: Annotated[str, typer.Option(help="ship: guard, sensors, agent and page go with it (systemd, jetson, compose)")] = "",
    setting: Annotated[list[str] | None, typer.Option("--set", help="PART.NAME=VALUE, e.g. guard.autopilot=10.0.0.5:10110")] = None,
    context_tokens: Annotated[int, typer.Option("--context", min=128, help="tokens of question and answer together")] = 2048,
    parallel: Annotated[int, typer.Option(min=1, help="requests computed together")] = 1,
    threads: Annotated[int, typer.Option(min=1, help="CPU threads")] = 1,
    projector: Annotated[Path | None, typer.Option(help="GGUF file of the vision tower")] = None,
    adapter: Annotated[list[str] | None, typer.Option(help="NAME=PATH of a LoRA adapter")] = None,
    embeddings: Annotated[bool, typer.Option(help="serve vectors instead of answers")] = False,
    flag: Annotated[list[str] | None, typer.Option(help="for the engine's own command, as it is")] = None,
    cloud: Annotated[str, typer.Option(help="address that is asked first, https://host/v1#model")] = "",
    port: Annotated[int, typer.Option(min=1, max=65535, help="of the engine")] = 8081,
    gateway_port: Annotated[int, typer.Option(min=1, max=65535, help="of the gateway: what clients are told")] = 8080,
    root: Annotated[str, typer.Option(help="where releases are installed")] = "",
    image: Annotated[str, typer.Option(help="container image of the engine, instead of the built one")] = "",
    wheels: Annotated[Path | None, typer.Option(exists=True, file_okay=False, help="wheels to install from, without an index")] = None,
    start_within: Annotated[
        float, typer.Option(min=0.0, help="seconds until it must be up, or it is rolled back; 0: the engine's own")
    ] = 0.0,
    key: Annotated[Path | None, typer.Option(exists=True, help="private key that signs it; see keygen")] = None,
) -> None:
    """Write a bundle: model, service definitions, gateway, health check, checksums, signature.

    sdx deploy --to systemd --task ship --out bundle --key ~/deploy.key

    sdx deploy verify bundle --public-key ~/deploy.key.pub
    """
    if context.invoked_subcommand is not None:
        return
    if to is None or out is None:
        raise typer.BadParameter(f"give --to ({', '.join(Goal)}) and --out FOLDER; or a command, see `sdx deploy --help`")
    from datetime import UTC, datetime

    from sdx_serving.deploy.bundle import write
    from sdx_serving.deploy.choice import Choice
    from sdx_serving.deploy.recommended import recommended

    choice = Choice(
        to=to.value,
        model=_model(model),
        engine=engine,
        name=name,
        context_tokens=context_tokens,
        parallel=parallel,
        threads=threads,
        projector=projector,
        adapters={word: Path(path) for word, path in _pairs(adapter, "--adapter").items()},
        embeddings=embeddings,
        flags=tuple(flag or ()),
        device=device,
        task=task,
        settings=_pairs(setting, "--set"),
        cloud=cloud,
        port=port,
        gateway_port=gateway_port,
        root=root,
        image=image,
        wheels=wheels,
        start_s=start_within,
    )
    if recommendation:
        choice = recommended(choice, recommendation, own_model=model is not None)
    manifest = write(choice, out, datetime.now(UTC), key)
    print(f"{manifest.id} for {to} is in {out}: read {out / 'README.md'}" + ("" if key else "; it is not signed (--key)"))


@app.command()
def keygen(file: Annotated[Path, typer.Argument(help="the private key; FILE.pub is the public one")]) -> None:
    """Make a key pair that signs bundles. Keep the private one where bundles are written, give away the other.

    sdx deploy keygen ~/deploy.key
    """
    from sdx_serving.deploy.signature import keygen as make

    print(f"{file} signs (--key), {make(file)} checks (--public-key)")


@app.command()
def verify(
    bundle: Bundle,
    public_key: PublicKey = None,
    files_only: Annotated[bool, typer.Option("--files-only", help="not whether this machine can run it")] = False,
    as_json: AsJson = False,
) -> None:
    """Is it whole, from whom it should be, and can this machine run it? 0 only without a fault.

    sdx deploy verify bundle --public-key deploy.key.pub
    """
    from sdx_serving.deploy.manifest import read
    from sdx_serving.deploy.state import is_held, state_folder
    from sdx_serving.deploy.verify import machine_faults, verify

    faults = verify(bundle, public_key)
    if not faults and not files_only:
        manifest = read(bundle)[0]
        state = state_folder(manifest.id)
        faults = [] if is_held(state) else machine_faults(manifest, state)  # what runs has its ports and memory
    if as_json:
        print(json.dumps({"ok": not faults, "faults": [asdict(fault) for fault in faults]}, ensure_ascii=False))
    for fault in [] if as_json else faults:
        typer.echo(f"error: {fault}", err=True)
    if not faults and not as_json:
        signed = read(bundle)[0].signer
        unproved = "; its signature was not looked at: --public-key" if signed and public_key is None else ""
        print(f"{bundle}: nothing is wrong{unproved}" + ("" if signed else "; it is not signed: anybody may have written it"))
    raise typer.Exit(1 if faults else 0)


@app.command()
def run(
    bundle: Bundle,
    host: Annotated[str, typer.Option(help="where the engine listens; beyond 127.0.0.1 it has no password")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="0 takes the bundle's")] = 0,
    gateway: Annotated[bool, typer.Option("--gateway", help="the gateway too")] = False,
    public_key: PublicKey = None,
) -> None:
    """Run a bundle's engine in the foreground until Ctrl-C; what services and containers call.

    sdx deploy run bundle --gateway
    """
    from sdx_serving.deploy.running import run as keep_running

    raise typer.Exit(keep_running(bundle, host, port, public_key, gateway))


@app.command()
def start(bundle: Bundle, public_key: PublicKey = None, as_json: AsJson = False) -> None:
    """Start engine and gateway in the background, and return when they answer.

    sdx deploy start bundle
    """
    from sdx_serving.deploy.running import start as begin

    found = begin(bundle, public_key)
    print(json.dumps(asdict(found)) if as_json else f"{found.id} answers at {found.url}, logs in {found.log}")


@app.command()
def stop(bundle: Bundle) -> None:
    """End what start began. 0 also when it did not run.

    sdx deploy stop bundle
    """
    from sdx_serving.deploy.running import stop as end

    print("ended" if end(bundle) else "it did not run")


@app.command()
def status(bundle: Bundle, as_json: AsJson = False) -> None:
    """Is it up? Asks it a question; 0 only when it answers.

    sdx deploy status bundle --json
    """
    from sdx_serving.deploy.running import status as look

    found = look(bundle)
    if as_json:
        print(json.dumps(asdict(found)))
    elif not found.running:
        print(f"{found.id} does not run; logs, if any, are in {found.log}")
    else:
        health = "answers" if found.healthy else "does not answer"
        print(f"{found.id} {health} at {found.url}, since {found.since}, engine started again {found.restarts} times, logs in {found.log}")
    raise typer.Exit(0 if found.healthy else 1)


@app.command()
def install(bundle: Bundle, root: Root = None, public_key: PublicKey = None) -> None:
    """Copy a bundle below the root, start it, and go back to the one before if it is not up in time.

    sdx deploy install bundle --root /opt/sdx --public-key deploy.key.pub
    """
    from sdx_serving.deploy.releases import install as put

    put(bundle, _root(root), public_key)


@app.command()
def rollback(root: Root = None) -> None:
    """Run the release before the present one.

    sdx deploy rollback --root /opt/sdx
    """
    from sdx_serving.deploy.releases import rollback as back

    back(_root(root))


@app.command()
def remove(root: Root = None) -> None:
    """Stop what is installed; its files stay.

    sdx deploy remove --root /opt/sdx
    """
    from sdx_serving.deploy.releases import remove as away

    away(_root(root))


def _model(model: str | None) -> Path:
    from sdx_serving.connect import embedded_model_path

    return embedded_model_path() if model in (None, "embedded") else Path(model).expanduser()


def _pairs(words: list[str] | None, option: str) -> dict[str, str]:
    """["a=b"] -> {"a": "b"}. BadParameter names a word without "="."""
    found: dict[str, str] = {}
    for word in words or []:
        left, equals, right = word.partition("=")
        if not left or not equals:
            raise typer.BadParameter(f"{option} {word!r} is not of the form NAME=VALUE")
        found[left] = right
    return found


def _root(root: Path | None) -> Path:
    return (root or Path.home() / ".local/share/sdx/deployed").expanduser().absolute()
