"""An embedding model of a kind, behind HTTP: a text's vector counts its words by hash. Same words, same vector; it is quick and needs no weights."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from hashlib import md5
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any

import numpy as np

LENGTH = 512


def vector(text: str) -> list[float]:
    counts = np.full(LENGTH, 1e-3)
    for word in text.lower().split():
        counts[int.from_bytes(md5(word.encode()).digest()[:4]) % LENGTH] += 1
    return (counts / np.linalg.norm(counts)).tolist()


class Server(ThreadingHTTPServer):
    texts = 0
    """Asked for, so far."""


class _Handler(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self._answer({"object": "list", "data": [{"id": "hashed", "object": "model"}]})

    def do_POST(self) -> None:
        asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        texts = asked["input"] if isinstance(asked["input"], list) else [asked["input"]]
        assert isinstance(self.server, Server)
        self.server.texts += len(texts)
        data = [{"object": "embedding", "index": at, "embedding": vector(text)} for at, text in enumerate(texts)]
        self._answer({"object": "list", "data": data, "model": asked["model"], "usage": {"prompt_tokens": 0, "total_tokens": 0}})

    def _answer(self, body: Any) -> None:
        payload = json.dumps(body).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(payload)))
        self.end_headers()
        self.wfile.write(payload)

    def log_message(self, format: str, *args: Any) -> None:
        """Quiet."""


@contextmanager
def serving() -> Iterator[tuple[Server, str]]:
    """The server and its URL."""
    with Server(("127.0.0.1", 0), _Handler) as server:
        Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
        yield server, f"http://127.0.0.1:{server.server_port}/v1"
        server.shutdown()
