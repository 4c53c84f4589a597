"""A hub on this machine that speaks as much of the Hugging Face protocol as downloading a model needs."""

import hashlib
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import urlsplit


@dataclass
class Hub:
    """What it holds, and what was asked of it. Files by model and commit; the last commit is "main"."""

    models: dict[str, dict[str, dict[str, bytes]]] = field(default_factory=dict)
    gated: dict[str, str] = field(default_factory=dict)
    """Model -> the token that may read it."""
    break_at: dict[str, int] = field(default_factory=dict)
    """File -> the connection is cut after so many bytes, once."""
    asked: list[tuple[str, str, str | None]] = field(default_factory=list)
    """Method, path, Range."""
    url: str = ""

    def add(self, model: str, files: dict[str, bytes]) -> str:
        """Commit a model's files; the commit's hash."""
        listing = "".join(sorted(f"{name}{hashlib.sha1(data).hexdigest()}" for name, data in files.items()))
        commit = hashlib.sha1(listing.encode()).hexdigest()
        self.models.setdefault(model, {})[commit] = files
        return commit

    def fetched(self, name: str) -> list[str | None]:
        """The Range of each download of a file."""
        return [span for method, path, span in self.asked if method == "GET" and path.endswith(f"/{name}")]


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    hub: Hub

    def log_message(self, format: str, *args: Any) -> None:
        pass

    def do_HEAD(self) -> None:
        self._answer()

    def do_GET(self) -> None:
        self._answer()

    def _answer(self) -> None:
        path = urlsplit(self.path).path
        self.hub.asked.append((self.command, path, self.headers.get("Range")))
        parts = path.strip("/").split("/")
        match parts:
            case ["api", "models", owner, name, *rest]:
                model = f"{owner}/{name}"
            case [owner, name, "resolve", *rest]:
                model = f"{owner}/{name}"
            case _:
                return self._refuse(404, "EntryNotFound")
        if model not in self.hub.models:
            return self._refuse(401, "RepoNotFound")
        if (token := self.hub.gated.get(model)) and self.headers.get("Authorization") != f"Bearer {token}":
            return self._refuse(403 if self.headers.get("Authorization") else 401, "GatedRepo")
        commits = self.hub.models[model]
        revision = rest[1] if rest and rest[0] in ("revision", "tree") else rest[0] if rest else "main"
        commit = list(commits)[-1] if revision == "main" else revision
        if commit not in commits:
            return self._refuse(404, "RevisionNotFound")
        files = commits[commit]
        if parts[0] == "api" and rest and rest[0] == "tree":
            return self._json([{"type": "file", "path": name, "size": len(data), "oid": _etag(data)} for name, data in files.items()])
        if parts[0] == "api":
            return self._json({"id": model, "sha": commit, "siblings": [{"rfilename": name} for name in files]})
        name = "/".join(rest[1:])
        return self._file(commit, name, files[name]) if name in files else self._refuse(404, "EntryNotFound")

    def _file(self, commit: str, name: str, data: bytes) -> None:
        start = int((self.headers.get("Range") or "bytes=0-").removeprefix("bytes=").partition("-")[0])
        body = data[start:]
        self.send_response(206 if start else 200)
        self.send_header("Content-Length", str(len(body)))
        if start:
            self.send_header("Content-Range", f"bytes {start}-{len(data) - 1}/{len(data)}")
        self.send_header("ETag", f'"{_etag(data)}"')
        self.send_header("X-Repo-Commit", commit)
        self.end_headers()
        if self.command == "HEAD":
            return
        cut = self.hub.break_at.pop(name, None)
        self.wfile.write(body[:cut])
        if cut is not None:
            self.wfile.flush()
            self.close_connection = True

    def _json(self, answer: Any) -> None:
        body = json.dumps(answer).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def _refuse(self, status: int, code: str) -> None:
        self.send_response(status)
        self.send_header("X-Error-Code", code)
        self.send_header("X-Error-Message", code)
        self.send_header("Content-Length", "0")
        self.end_headers()


def _etag(data: bytes) -> str:
    return hashlib.sha1(data).hexdigest()


@contextmanager
def running() -> Iterator[Hub]:
    """A hub at `url` as long as the block lasts."""
    hub = Hub()
    handler = type("Handler", (_Handler,), {"hub": hub})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    server.daemon_threads = True
    hub.url = f"http://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield hub
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
