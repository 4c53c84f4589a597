"""A chat server in this process that answers over HTTP what a function makes of the messages: serving()."""

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from sdx_serving.client import OpenAIChat

Messages = list[dict[str, str]]


@contextmanager
def serving(answer: Callable[[Messages], str | int]) -> Iterator[OpenAIChat]:
    """A client of it. An int is an HTTP status."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:  # the name that http.server calls
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            said = answer(body["messages"])
            reply = {"choices": [{"message": {"content": said}, "finish_reason": "stop"}], "model": "test"}
            data = json.dumps(reply if isinstance(said, str) else {"error": "broken"}).encode()
            self.send_response(200 if isinstance(said, str) else said)
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        def log_message(self, format: str, *args: object) -> None:
            """Quiet."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        with OpenAIChat(f"http://127.0.0.1:{server.server_address[1]}/v1") as chat:
            yield chat
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
