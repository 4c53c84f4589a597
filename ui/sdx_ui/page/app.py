"""The page as a process: the wire on one side, the browser on the other.

python -m sdx_ui.page.app --port 7860 --engine http://127.0.0.1:8080/v1
"""

import argparse
import logging
import sys
import threading
from collections.abc import Sequence
from typing import Any

from sdx_domains.contract import load_domain
from sdx_ui.knowledge import Rules
from sdx_ui.page.store import BridgeStore

log = logging.getLogger(__name__)

PARTS = ("plant", "guard", "agent")
PULSE_S = 1.0


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--port", type=int, default=7860)
    parser.add_argument("--host", default="127.0.0.1", help="127.0.0.1: this machine only; the page has no password")
    parser.add_argument("--domain", default="ship", help="of the picture, the orders and the namespace")
    parser.add_argument("--engine", default="", help="address of the model engine, with /v1; empty: no chat")
    arguments, ros = parser.parse_known_args(argv)
    import uvicorn

    from sdx_ui.page.link import BridgeLink

    store = BridgeStore(parts=(*PARTS, "engine") if arguments.engine else PARTS, domain=load_domain(arguments.domain))
    link = BridgeLink(store, ros)
    rules = Rules(arguments.domain, log.warning)
    app = make_app(store, link.send, arguments.engine, rules=rules)
    server = uvicorn.Server(uvicorn.Config(app, host=arguments.host, port=arguments.port, log_level="warning"))
    wire = threading.Thread(target=link.spin, name="wire", daemon=True)
    wire.start()
    if arguments.engine:
        threading.Thread(target=watch_engine, args=(store, arguments.engine), name="engine-pulse", daemon=True).start()
    try:
        server.run()
    finally:
        link.shutdown()
        rules.close()
    return 0


def make_app(store: BridgeStore, send: Any, engine: str = "", client: Any = None, rules: Any = None) -> Any:
    """The whole page over a store: API, files, Gradio. `client` overrides the chat client of `engine`; `rules`: see chat.answer()."""
    import gradio as gr
    from fastapi.staticfiles import StaticFiles

    from sdx_ui.api import create_api
    from sdx_ui.page import blocks, chat

    if client is None and engine:
        from sdx_serving.client import OpenAIChat

        client = OpenAIChat(engine)
    app = create_api(store, send)
    app.mount("/bridge", StaticFiles(directory=str(blocks.STATIC)), name="bridge")
    layout = blocks.layout_of(store.domain)
    page = blocks.blocks_of(layout, lambda question: chat.answer(store, client, question, rules))
    # footer_links empty: no way to an outside page from a bridge.
    return gr.mount_gradio_app(app, page, path="/", head=layout.head, theme=blocks.theme(), footer_links=[], ssr_mode=False, js=DARK)


DARK = "() => document.body.classList.add('dark')"


def watch_engine(store: BridgeStore, engine: str) -> None:
    """Ask the engine once a second whether it lives; for the lamp on the page."""
    import time

    import httpx

    while True:
        try:
            if httpx.get(f"{engine.removesuffix('/v1')}/health", timeout=2.0, trust_env=False).status_code == 200:
                store.heard("engine")
        except httpx.HTTPError:
            pass  # the lamp goes out by age
        time.sleep(PULSE_S)


if __name__ == "__main__":
    sys.exit(main())
