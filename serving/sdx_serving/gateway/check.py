"""What would not work in a gateway's file, found before it runs. Start at faults()."""

import asyncio
import tempfile
from pathlib import Path

from sdx_serving.gateway.choose import Tasks, by_name
from sdx_serving.gateway.config import LOOPBACK, ConfigError, GatewayConfig
from sdx_serving.gateway.keys import KeyStore
from sdx_serving.gateway.residents import Resident, Residents
from sdx_serving.gateway.upstream import Upstream
from sdx_serving.registry import Registry


def faults(config: GatewayConfig, registry: Registry, reach: bool = False) -> list[str]:
    """One line for each thing to change; empty when all is well. Nothing is started.

    Args:
        reach: also ask the addresses whether they are there.
    """
    return asyncio.run(_faults(config, registry, reach))


async def _faults(config: GatewayConfig, registry: Registry, reach: bool) -> list[str]:
    found: list[str] = []
    upstreams: dict[str, Upstream] = {}
    residents: list[Resident] = []
    log = Path(tempfile.gettempdir()) / "sdx-gateway-check.log"
    for name, told in config.upstreams.items():
        try:
            resident = Resident(name, told.local, log) if told.local else None
            residents += [resident] if resident else []
            upstreams[name] = Upstream(name, told, config.breaker, resident, Residents(residents, config.memory_mb))
        except ConfigError as error:
            found.append(str(error))
    found += _key_faults(config)
    if len(upstreams) == len(config.upstreams):
        await asyncio.gather(*(upstream.hash_weights() for upstream in upstreams.values()))
        if reach:
            found += await _unreached(upstreams)
        found += _idle_fallbacks(config, upstreams, registry)
    await asyncio.gather(*(upstream.close() for upstream in upstreams.values()))
    return found


def _key_faults(config: GatewayConfig) -> list[str]:
    if config.listen.host in LOOPBACK:
        return []
    path = config.state / "keys.sqlite"
    if path.exists():
        with KeyStore(path) as keys:
            if keys.valid:
                return []
    return [f"listen.host: {config.listen.host} is reached by other machines, and there is no API key: `sdx gateway keys add NAME`"]


async def _unreached(upstreams: dict[str, Upstream]) -> list[str]:
    addresses = [upstream for upstream in upstreams.values() if upstream.told.url]
    there = await asyncio.gather(*(upstream.probe() for upstream in addresses))
    return [
        f"upstreams.{upstream.name}.url: {upstream.told.url} does not answer, or refuses the key"
        for upstream, well in zip(addresses, there, strict=True)
        if not well
    ]


def _idle_fallbacks(config: GatewayConfig, upstreams: dict[str, Upstream], registry: Registry) -> list[str]:
    """Fallbacks that would never answer."""
    found, passed = [], Tasks(registry).passed
    for route in by_name(config.routes, upstreams).values():
        for target in route.targets:
            facts, where = target.upstream.facts, f"routes.{route.name}.to: {target.upstream.name}"
            lacking = sorted(set(route.told.needs) - facts) if facts is not None else []
            if lacking:
                found.append(f"{where} does not serve {', '.join(lacking)}, which the route needs")
            if target.place and route.told.task and not passed(target.upstream.sha256, route.told.task):
                known = (
                    f"weights {target.upstream.sha256[:12]}" if target.upstream.sha256 else "its weights are not known (give sha256), and"
                )
                found.append(f"{where} would never answer: {known} have not passed the task {route.told.task!r} (`sdx registry list`)")
    return found
