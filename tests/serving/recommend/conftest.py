"""A server that gives parts of files, as model hubs do, and counts what it gave."""

import re
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest


class RangeServer:
    """Serves a folder; `sent` counts bytes of bodies. With `whole` it ignores ranges, as plain servers do."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.sent, self.whole = folder, 0, False
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                outer.answer(self)

            def log_message(self, format: str, *args: object) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def answer(self, request: BaseHTTPRequestHandler) -> None:
        path = self.folder / request.path.lstrip("/")
        if not path.is_file():
            request.send_error(404)
            return
        data, asked = path.read_bytes(), re.fullmatch(r"bytes=(\d+)-(\d+)", request.headers.get("Range", ""))
        if asked and not self.whole:
            begin, end = int(asked[1]), min(int(asked[2]), len(data) - 1)
            body = data[begin : end + 1]
            request.send_response(206)
            request.send_header("Content-Range", f"bytes {begin}-{end}/{len(data)}")
        else:
            body = data
            request.send_response(200)
        request.send_header("Content-Length", str(len(body)))
        request.end_headers()
        self.sent += len(body)
        request.wfile.write(body)


@pytest.fixture
def ranges(tmp_path: Path) -> Iterator[RangeServer]:
    folder = tmp_path / "served"
    folder.mkdir()
    server = RangeServer(folder)
    yield server
    server.server.shutdown()
    server.server.server_close()
