"""Run the gateway until it is told to end.

python -m sdx_serving.gateway.server --config gateway.yaml
"""

import argparse
import logging
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import uvicorn

from sdx_serving.gateway.app import create_app
from sdx_serving.gateway.config import LOOPBACK, ConfigError, GatewayConfig, builtin, load
from sdx_serving.gateway.gateway import Gateway
from sdx_serving.ports import port_is_free


def configured(path: Path | None, host: str | None = None, port: int | None = None, state: Path | None = None) -> GatewayConfig:
    """A file's configuration, or the built-in one, with what the command line says instead. ConfigError."""
    config = load(path) if path else builtin()
    listen = config.listen.model_copy(update={key: value for key, value in (("host", host), ("port", port)) if value is not None})
    return config.model_copy(update={"listen": listen} | ({"state": state} if state else {}))


def serve(config: GatewayConfig, ready: str = "") -> None:
    """Until SIGINT or SIGTERM. ConfigError: it may not or cannot listen there.

    Args:
        ready: said on standard output when it listens; "{url}" becomes its address.
    """
    listen = config.listen
    if listen.port and not port_is_free(listen.host, listen.port):
        raise ConfigError(f"listen.port: {listen.port} on {listen.host} is taken by another program: stop that, or choose another")
    gateway = Gateway(config)
    if listen.host not in LOOPBACK and not gateway.keys.valid:
        gateway.keys.close()
        raise ConfigError(
            f"listen.host: {listen.host} is reached by other machines, and there is no API key: type `sdx gateway keys add NAME` first"
        )
    settings = uvicorn.Config(
        create_app(gateway), listen.host, listen.port, log_level="warning", access_log=False, timeout_graceful_shutdown=5, lifespan="on",
        server_header=False,
    )  # fmt: skip
    _Server(settings, ready).run()


class _Server(uvicorn.Server):
    """Says where it listens, for port 0 takes a free one."""

    def __init__(self, config: uvicorn.Config, ready: str) -> None:
        super().__init__(config)
        self._ready = ready

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """As uvicorn's, but an end that was asked for is a success: the signal is not raised again."""
        before = {number: signal.signal(number, self.handle_exit) for number in (signal.SIGINT, signal.SIGTERM)}
        yield
        for number, handler in before.items():
            signal.signal(number, handler)

    async def startup(self, sockets: list[object] | None = None) -> None:  # type: ignore[override]
        await super().startup(sockets)  # type: ignore[arg-type]
        if self.started and self._ready:
            host, port = self.servers[0].sockets[0].getsockname()[:2]
            print(self._ready.format(url=f"http://{f'[{host}]' if ':' in host else host}:{port}/v1"), flush=True)


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m sdx_serving.gateway.server", description="One address for every model.")
    parser.add_argument("--config", type=Path, help="YAML file; without it the embedded model alone")
    parser.add_argument("--host", help="instead of the file's")
    parser.add_argument("--port", type=int, help="instead of the file's; 0 takes a free one")
    parser.add_argument("--state", type=Path, help="folder for keys, journal and logs, instead of the file's")
    parser.add_argument("--quiet", action="store_true", help="no line for each request")
    args = parser.parse_args(argv)
    logging.basicConfig(level=logging.WARNING if args.quiet else logging.INFO, format="%(asctime)s %(message)s", stream=sys.stderr)
    logging.getLogger("httpx").setLevel(logging.WARNING)
    try:
        serve(configured(args.config, args.host, args.port, args.state), "the gateway answers at {url}")
    except ConfigError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
