"""The client against servers that misbehave."""

import http.server
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import pytest

from sdx_serving.client import ChatClient, DeadlineExceeded, EngineUnavailable, OpenAIChat, RequestRefused, Scripted

ASK = [{"role": "user", "content": "hello"}]
Handler = http.server.BaseHTTPRequestHandler


@contextmanager
def serving(answer: Callable[[Handler], None]) -> Iterator[str]:
    """A server that answers every POST with `answer`."""

    class Once(Handler):
        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["content-length"]))
            answer(self)

        def log_message(self, format: str, *args: object) -> None:
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Once)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/v1"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def reply(status: int, body: bytes) -> Callable[[Handler], None]:
    def answer(handler: Handler) -> None:
        handler.send_response(status)
        handler.end_headers()
        handler.wfile.write(body)

    return answer


@pytest.mark.parametrize(
    ("status", "body", "says"),
    [
        (401, b"no key", "HTTP 401: no key"),
        (500, b"boom", "HTTP 500"),
        (200, b"<html>", "OpenAI protocol"),
        (200, b"[]", "OpenAI protocol"),
        (200, b'{"choices": []}', "OpenAI protocol"),
        (200, b'{"choices": [{"message": "x"}]}', "OpenAI protocol"),
    ],
)
def test_a_strange_reply_is_refused_and_says_what_came(status: int, body: bytes, says: str) -> None:
    with serving(reply(status, body)) as url, OpenAIChat(url) as client, pytest.raises(RequestRefused, match=says):
        client.complete(ASK, deadline_s=5)


def test_an_empty_answer_is_an_answer() -> None:
    body = b'{"choices": [{"message": {"content": null}}]}'
    with serving(reply(200, body)) as url, OpenAIChat(url, model_sha256="abc") as client:
        answer = client.complete(ASK)
    assert (answer.text, answer.model_sha256) == ("", "abc")


def drip(handler: Handler) -> None:
    """Bytes just often enough that no single read times out."""
    handler.send_response(200)
    handler.end_headers()
    try:
        for _ in range(40):
            handler.wfile.write(b" ")
            handler.wfile.flush()
            time.sleep(0.05)
    except OSError:
        pass


def test_the_deadline_holds_against_a_server_that_drips() -> None:
    with serving(drip) as url, OpenAIChat(url) as client:
        began = time.monotonic()
        with pytest.raises(DeadlineExceeded):
            client.complete(ASK, deadline_s=0.3)
        assert time.monotonic() - began < 0.6


def test_no_time_left_is_a_missed_deadline_not_a_request() -> None:
    with OpenAIChat("http://127.0.0.1:9/v1") as client, pytest.raises(DeadlineExceeded):
        client.complete(ASK, deadline_s=0.0)


@pytest.mark.parametrize(
    ("body", "error"),
    [
        (b"data: {}\n\n", EngineUnavailable),
        (b"data: nonsense\n\n", RequestRefused),
        (b'data: {"error": {"message": "out of memory"}}\n\n', RequestRefused),
    ],
)
def test_a_stream_that_breaks_is_told(body: bytes, error: type[Exception]) -> None:
    with serving(reply(200, body)) as url, OpenAIChat(url) as client, pytest.raises(error):
        list(client.stream(ASK, deadline_s=5))


def test_a_closed_client_says_so_and_closes_twice() -> None:
    client = OpenAIChat("http://127.0.0.1:9/v1")
    client.close()
    client.close()
    with pytest.raises(EngineUnavailable, match="closed"):
        client.complete(ASK)


@pytest.mark.parametrize("call", [lambda client: client.complete(ASK), lambda client: list(client.stream(ASK))])
def test_closing_ends_the_calls_of_other_threads(call: Callable[[OpenAIChat], object]) -> None:
    begun = threading.Event()

    def slow(handler: Handler) -> None:
        begun.set()
        drip(handler)

    with serving(slow) as url, ThreadPoolExecutor(1) as pool:
        client = OpenAIChat(url)
        answer = pool.submit(call, client)
        begun.wait(5)
        client.close()
        with pytest.raises(EngineUnavailable, match="closed"):
            answer.result(1.0)


def test_scripted_says_its_lines_then_repeats_the_last() -> None:
    client: ChatClient = Scripted("one two", EngineUnavailable("down"), "three")
    assert "".join(client.stream(ASK)) == "one two"
    with pytest.raises(EngineUnavailable):
        client.complete(ASK)
    assert [client.complete(ASK).text for _ in range(2)] == ["three", "three"]
    with pytest.raises(DeadlineExceeded):
        Scripted("late", delay_s=0.2).complete(ASK, deadline_s=0.01)
