"""sdx gateway: one address for every model, with routes, fallbacks, keys."""

import json
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from sdx_serving.gateway.keys import KeyStore

app = typer.Typer(no_args_is_help=True, help="One address for every model: routes, fallbacks, deadlines, keys.")
keys = typer.Typer(no_args_is_help=True, help="API keys: made, listed, revoked; a running gateway heeds it at once.")
app.add_typer(keys, name="keys")
Config = Annotated[Path | None, typer.Argument(help="the gateway's file; without it the embedded model alone")]
State = Annotated[Path | None, typer.Option(help="folder of keys and journal; without it the file's, or ~/.local/share/sdx/gateway")]
AsJson = Annotated[bool, typer.Option("--json", help="as JSON on standard output")]


@app.command()
def run(
    config: Config = None,
    host: Annotated[str | None, typer.Option(help="instead of the file's; beyond this machine only with a key")] = None,
    port: Annotated[int | None, typer.Option(min=0, max=65535, help="instead of the file's; 0 takes a free one")] = None,
    state: State = None,
    quiet: Annotated[bool, typer.Option("--quiet", help="no line for each request")] = False,
) -> None:
    """Serve until Ctrl-C.

    sdx gateway run

    sdx gateway run gateway.yaml --host 0.0.0.0
    """
    import logging

    from sdx_serving.gateway.server import configured, serve

    logging.basicConfig(level=logging.WARNING if quiet else logging.INFO, format="%(asctime)s %(message)s", stream=sys.stderr)
    logging.getLogger("httpx").setLevel(logging.WARNING)
    serve(configured(config, host, port, state), "the gateway answers at {url}; Ctrl-C ends it")
    print("ended", file=sys.stderr)


@app.command()
def init(
    path: Annotated[Path, typer.Argument(help="file to write")] = Path("gateway.yaml"),
    shown: Annotated[bool, typer.Option("--print", help="on standard output instead")] = False,
) -> None:
    """Write a file to begin with.

    sdx gateway init gateway.yaml
    """
    from sdx_serving.gateway.config import template

    if shown:
        print(template(), end="")
        return
    try:
        with path.open("x", encoding="utf-8") as file:
            file.write(template())
    except FileExistsError as error:
        raise FileExistsError(f"{path} is there already: choose another name, or remove it") from error
    print(f"{path} is written; `sdx gateway check {path}` looks it through, `sdx gateway run {path}` serves it")


@app.command()
def check(
    config: Annotated[Path, typer.Argument(help="the gateway's file")],
    reach: Annotated[bool, typer.Option("--reach", help="also ask the addresses whether they are there")] = False,
    as_json: AsJson = False,
) -> None:
    """Say what in a file would not work: unknown fields, missing models and keys, fallbacks that would never answer.

    sdx gateway check gateway.yaml --reach
    """
    from sdx_serving.gateway.check import faults
    from sdx_serving.gateway.config import ConfigError, load
    from sdx_serving.registry import Registry

    try:
        found = faults(load(config), Registry(), reach)
    except ConfigError as error:
        found = str(error).splitlines()
    if as_json:
        print(json.dumps({"file": str(config), "faults": found}))
    else:
        print("\n".join(found), file=sys.stderr) if found else print(f"{config}: nothing to object to")
    raise typer.Exit(1 if found else 0)


@app.command()
def status(
    url: Annotated[str, typer.Option(help="of the gateway")] = "http://127.0.0.1:8800",
    key_env: Annotated[str, typer.Option(help="variable that holds an API key, where the gateway asks for one")] = "SDX_GATEWAY_KEY",
    as_json: AsJson = False,
) -> None:
    """How a running gateway stands: who answers, whose circuit is open, what is loaded, what waits for the collector.

    sdx gateway status
    """
    import httpx

    headers = {"Authorization": f"Bearer {os.environ[key_env]}"} if os.environ.get(key_env) else {}
    told: dict[str, Any] = {}
    for page in ("info", "running"):
        try:
            reply = httpx.get(f"{url.rstrip('/').removesuffix('/v1')}/{page}", headers=headers, timeout=10.0)
        except httpx.HTTPError as error:
            raise ConnectionError(f"no gateway answers at {url} ({error}): start one with `sdx gateway run`") from error
        if reply.status_code != 200:
            raise PermissionError(f"{url} answered HTTP {reply.status_code}: {reply.text[:300]} (the key is read from ${key_env})")
        told |= reply.json()
    print(json.dumps(told)) if as_json else _print_status(told)


@keys.command("add")
def add(
    name: Annotated[str, typer.Argument(help="who will use it")],
    model: Annotated[list[str] | None, typer.Option(help="that it may ask; may be given again; without it all")] = None,
    requests_per_min: Annotated[int, typer.Option(min=0, help="0 sets no bound")] = 0,
    tokens_per_day: Annotated[int, typer.Option(min=0, help="0 sets no bound")] = 0,
    config: Annotated[Path | None, typer.Option(help="the gateway's file, for its state folder")] = None,
    state: State = None,
    as_json: AsJson = False,
) -> None:
    """Make a key and show it, this once: only its hash is kept.

    sdx gateway keys add bridge --model ship --requests-per-min 60 --tokens-per-day 200000
    """
    with _store(config, state) as store:
        key, text = store.add(name, tuple(model or ["*"]), requests_per_min, tokens_per_day)
    if as_json:
        print(json.dumps({"id": key.id, "name": key.name, "key": text}))
        return
    print(text)
    print(f"key {key.name} ({key.id}) is shown this once; clients send it as `Authorization: Bearer KEY`", file=sys.stderr)


@keys.command("list")
def list_keys(
    config: Annotated[Path | None, typer.Option(help="the gateway's file, for its state folder")] = None,
    state: State = None,
    as_json: AsJson = False,
) -> None:
    """All keys, what they may, and what was used of them today.

    sdx gateway keys list --json
    """
    from sdx_serving.gateway.keys import shown

    with _store(config, state) as store:
        rows = [shown(store, key) for key in store.all()]
    if as_json:
        print(json.dumps(rows))
        return
    for row in rows:
        bound = f"{row['requests_per_min'] or 'any'} requests/min, {row['tokens_per_day'] or 'any'} tokens/day"
        used = f"today {row['used_today']['requests']} requests, {row['used_today']['tokens']} tokens"
        print(f"{row['id']}  {row['name']:<16} {'revoked' if row['revoked'] else 'valid':<8} {', '.join(row['models'])}; {bound}; {used}")
    if not rows:
        print("no keys; `sdx gateway keys add NAME` makes one")


@keys.command("revoke")
def revoke(
    name: Annotated[str, typer.Argument(help="a key's name or id")],
    config: Annotated[Path | None, typer.Option(help="the gateway's file, for its state folder")] = None,
    state: State = None,
) -> None:
    """End a key. A running gateway refuses it from the next request on.

    sdx gateway keys revoke bridge
    """
    with _store(config, state) as store:
        key = store.revoke(name)
    print(f"key {key.name} ({key.id}) is revoked")


def _store(config: Path | None, state: Path | None) -> "KeyStore":
    from sdx_serving.gateway.config import load, state_path
    from sdx_serving.gateway.keys import KeyStore

    folder = state or (load(config).state if config else state_path())
    return KeyStore(folder / "keys.sqlite")


def _print_status(told: dict[str, Any]) -> None:
    for name, card in told["models"].items():
        print(f"model {name}: {' -> '.join(card['to'])}")
    for name, upstream in told["upstreams"].items():
        can = "not known yet" if upstream["can"] is None else ", ".join(upstream["can"]) or "plain text"
        expect = "not measured" if upstream["expect_s"] is None else f"p95 {upstream['expect_s']:.2f} s"
        print(f"upstream {name}: circuit {upstream['circuit']}, {expect}, {upstream['sent']} asked, {upstream['waiting']} wait; {can}")
    for model in told["running"]:
        print(
            f"loaded {model['upstream']}: {model['model']} on {model['engine']}, {model['state']}, {model['requests']} requests, pid {model['pid']}"
        )
    if journal := told["journal"]:
        print(f"journal: {journal['waiting']} records wait, {journal['dropped']} dropped {journal['last_error']}")
