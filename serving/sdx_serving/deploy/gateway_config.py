"""The gateway's file of a bundle: the engine beside it as "edge", before it the cloud where one is given. Start at gateway_yaml()."""

import yaml

from sdx_serving.deploy.manifest import Manifest
from sdx_serving.gateway.config import GatewayConfig, Listen, Route, Target, Upstream

CLOUD_KEY = "SDX_CLOUD_KEY"
"""Environment variable of the cloud's key; never in the bundle."""


def gateway_yaml(manifest: Manifest, cloud: str = "") -> str:
    """As `sdx gateway check` takes it. Its state (keys, journal) lies outside of the bundle: $SDX_GATEWAY.

    Args:
        cloud: address that is asked first, "https://host/v1#model"; "" for none.
    """
    edge = Upstream(
        url=f"http://127.0.0.1:{manifest.port}/v1",
        model=manifest.model.name,
        sha256=manifest.model.sha256,
        concurrency=manifest.parallel,
    )
    upstreams, order = {"edge": edge}, (Target(upstream="edge"),)
    if cloud:
        address, _, model = cloud.partition("#")
        upstreams = {"cloud": Upstream(url=address, model=model, key_env=CLOUD_KEY), **upstreams}
        order = (Target(upstream="cloud"), *order)
    needs = ("embeddings",) if manifest.embeddings else ()
    routes = {manifest.name: Route(to=order, task=manifest.task if cloud else "", needs=needs)}
    routes |= {name: Route(to=(Target(upstream="edge", model=name),)) for name in manifest.model.adapters}
    config = GatewayConfig(listen=Listen(port=manifest.gateway_port), upstreams=upstreams, routes=routes)
    told = config.model_dump(mode="json", exclude_defaults=True, exclude={"state"})
    return "# Names that clients ask for, and who answers. `sdx gateway check` says what is wrong in it.\n" + yaml.safe_dump(
        told, allow_unicode=True, sort_keys=False
    )
