"""Who answers: in order, in time, only if able and allowed, and what happens when one falls."""

import atexit
import json
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import pytest

from sdx_serving.registry import Entry, Registry, Score

from .conftest import SHA, Cloud, Serve, Served, two

HTTP = httpx.Client(trust_env=False)
"""One for all: to make one takes longer than to ask."""
atexit.register(HTTP.close)
SAY = {"model": "ship", "messages": [{"role": "user", "content": "one two three four"}], "max_tokens": 16}


def ask(served: Served, deadline_s: float = 10.0, **change: Any) -> httpx.Response:
    headers = {"X-SDX-Deadline-S": str(deadline_s)} | change.pop("headers", {})
    return HTTP.post(f"{served.v1}/chat/completions", json=SAY | change, headers=headers, timeout=90.0)


def events(reply: httpx.Response) -> list[dict[str, Any]]:
    lines = [line.removeprefix("data: ") for line in reply.text.split("\n\n") if line]
    assert lines[-1] == "[DONE]" or "error" in lines[-1]
    return [json.loads(line) for line in lines if line != "[DONE]"]


def until(condition: Any, seconds: float = 5.0) -> None:
    ends = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < ends, "it did not come about"
        time.sleep(0.01)


def test_the_first_answers_and_the_answer_says_so(serve: Serve, cloud: Cloud, edge: Cloud) -> None:
    reply = ask(serve(two(cloud, edge)))
    assert reply.json()["choices"][0]["message"]["content"] == "one two three four"
    assert reply.json()["sdx"] == {"answered_by": "cloud", "degraded": False, "reason": "", "model_sha256": "", "route": "ship"}
    assert (reply.headers["x-sdx-answered-by"], reply.headers["x-sdx-degraded"], reply.headers["x-sdx-route"]) == ("cloud", "false", "ship")
    assert (cloud.asked[0]["model"], edge.asked) == ("big", [])
    assert 9.0 < float(cloud.headers[0]["x-sdx-deadline-s"]) <= 10.0


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("fault", [500, 503, 401, 404, 429, "gone"])
def test_when_the_first_fails_the_second_answers_degraded(serve: Serve, cloud: Cloud, edge: Cloud, fault: Any, stream: bool) -> None:
    if fault == "gone":
        cloud.stop()
    else:
        cloud.status = fault
    reply = ask(serve(two(cloud, edge)), stream=stream)
    mark = (events(reply)[-1] if stream else reply.json())["sdx"]
    assert (mark["answered_by"], mark["degraded"], mark["model_sha256"]) == ("edge", True, SHA)
    assert mark["reason"].startswith("cloud: ") and (fault == "gone" or str(fault) in mark["reason"])
    assert reply.headers["x-sdx-degraded"] == "true"


def test_what_is_wrong_with_the_request_is_not_tried_elsewhere(serve: Serve, cloud: Cloud, edge: Cloud) -> None:
    cloud.status = 422
    reply = ask(serve(two(cloud, edge)))
    assert reply.status_code == 422 and reply.json()["error"]["message"] == "the cloud says no"
    assert not edge.asked


def test_a_stream_comes_in_pieces_with_the_mark_in_its_last_event(serve: Serve, cloud: Cloud, edge: Cloud) -> None:
    cloud.between_s = 0.1
    served, at, pieces = serve(two(cloud, edge)), [], []
    with httpx.stream("POST", f"{served.v1}/chat/completions", json=SAY | {"stream": True}, timeout=20.0) as reply:
        assert reply.headers["content-type"].startswith("text/event-stream")
        for line in reply.iter_lines():
            if line.startswith("data: {"):
                at.append(time.monotonic())
                pieces.append(json.loads(line[6:]))
    assert "".join(piece["choices"][0]["delta"].get("content", "") for piece in pieces) == "one two three four"
    assert at[-1] - at[0] > 0.25  # not held back until the end
    assert [("sdx" in piece) for piece in pieces] == [False] * (len(pieces) - 1) + [True]
    assert pieces[-1]["choices"][0]["finish_reason"] == "stop"


@pytest.mark.parametrize("wanted", [False, True])
def test_a_streams_tokens_are_counted_and_told_only_to_who_wants_it(serve: Serve, cloud: Cloud, edge: Cloud, wanted: bool) -> None:
    served = serve(two(cloud, edge))
    told = events(ask(served, stream=True, stream_options={"include_usage": True} if wanted else None))
    assert [event["usage"]["completion_tokens"] for event in told if event.get("usage")] == ([8] if wanted else [])
    assert [bool(event["choices"]) for event in told].count(False) == wanted and "sdx" in told[-1]
    assert 'sdx_gateway_tokens_total{kind="completion",route="ship"} 8.0' in HTTP.get(f"{served.url}/metrics").text


def test_a_first_that_is_too_slow_is_given_up_in_time_for_the_second(serve: Serve, cloud: Cloud, edge: Cloud) -> None:
    cloud.delay_s = 30.0
    served = serve(two(cloud, edge))
    began = time.monotonic()
    reply = ask(served, 2.0)
    assert reply.json()["sdx"]["answered_by"] == "edge" and "no answer within" in reply.json()["sdx"]["reason"]
    assert time.monotonic() - began < 2.0
    until(lambda: cloud.together == 0)  # and it does not go on working for nobody


def test_a_first_that_was_slow_lately_is_not_even_asked(serve: Serve, cloud: Cloud, edge: Cloud) -> None:
    served = serve(two(cloud, edge) | {"breaker": {"failures": 3, "probe_s": 1.5}})
    cloud.delay_s = 0.6
    for _ in range(3):
        assert ask(served).json()["sdx"]["answered_by"] == "cloud"
    asked = len(cloud.asked)
    reply = ask(served, 0.5)
    assert reply.json()["sdx"]["answered_by"] == "edge" and "cloud would take" in reply.json()["sdx"]["reason"]
    assert len(cloud.asked) == asked
    assert ask(served, 5.0).json()["sdx"]["answered_by"] == "cloud"  # who can wait is not degraded
    cloud.delay_s = 0.0
    time.sleep(1.6)
    assert ask(served, 0.5).json()["sdx"]["answered_by"] == "cloud"  # once in a probe interval it may show that it is fast again


def test_no_answer_in_time_is_504_at_the_deadline(serve: Serve, cloud: Cloud, edge: Cloud) -> None:
    cloud.delay_s = edge.delay_s = 30.0
    served = serve(two(cloud, edge))
    began = time.monotonic()
    reply = ask(served, 0.6)
    assert reply.status_code == 504 and reply.json()["error"]["code"] == "deadline_exceeded"
    assert 0.5 < time.monotonic() - began < 1.5


def test_a_stream_ends_at_its_deadline_with_an_error_event(serve: Serve, cloud: Cloud, edge: Cloud) -> None:
    cloud.between_s = 0.2
    told = events(ask(serve(two(cloud, edge)), 0.5, stream=True))
    assert told[-1]["error"]["code"] == "deadline_exceeded"
    assert told[1]["choices"][0]["delta"]["content"] == "one"


@pytest.mark.parametrize("told", ["0", "-1", "nan", "inf", "soon", "1e9", ""])
def test_a_deadline_that_is_no_time_is_refused(serve: Serve, cloud: Cloud, edge: Cloud, told: str) -> None:
    reply = ask(serve(two(cloud, edge)), headers={"X-SDX-Deadline-S": told})
    assert reply.status_code == 400 and "X-SDX-Deadline-S" in reply.json()["error"]["message"]


def test_after_failures_the_first_is_left_alone_and_found_again(serve: Serve, cloud: Cloud, edge: Cloud) -> None:
    served = serve(two(cloud, edge))
    cloud.stop()
    for _ in range(3):
        ask(served)
    assert "left alone" in ask(served).json()["sdx"]["reason"]
    assert served.gateway.upstreams["cloud"].breaker.state == "open"
    cloud.start()
    back = time.monotonic()
    until(lambda: ask(served).json()["sdx"]["answered_by"] == "cloud")
    assert time.monotonic() - back < 0.3 + 0.5  # one probe interval, and a busy machine's slack
    assert served.gateway.upstreams["cloud"].breaker.state == "closed"


def test_a_hasty_client_does_not_open_the_circuit_for_all(serve: Serve, cloud: Cloud, edge: Cloud) -> None:
    served = serve(two(cloud, edge))
    for _ in range(3):
        ask(served)
    cloud.delay_s = edge.delay_s = 0.2
    for _ in range(6):
        ask(served, 0.001)
    assert served.gateway.upstreams["cloud"].breaker.state == "closed"


def test_after_the_first_token_an_answer_that_breaks_is_not_begun_again(serve: Serve, cloud: Cloud, edge: Cloud) -> None:
    cloud.breaks_after = 2
    told = events(ask(serve(two(cloud, edge)), stream=True))
    assert told[-1]["error"]["code"] == "broken_off" and not edge.asked


def test_unless_the_client_allows_it(serve: Serve, cloud: Cloud, edge: Cloud) -> None:
    cloud.breaks_after = 2
    told = events(ask(serve(two(cloud, edge)), stream=True, headers={"X-SDX-Allow-Restart": "1"}))
    begins = next(index for index, event in enumerate(told) if event.get("restart"))
    again = "".join(event["choices"][0]["delta"].get("content", "") for event in told[begins + 1 :])
    assert again == "one two three four"
    assert (told[-1]["sdx"]["answered_by"], told[-1]["sdx"]["degraded"]) == ("edge", True)


def test_a_stream_that_breaks_before_its_first_token_falls_back(serve: Serve, cloud: Cloud, edge: Cloud) -> None:
    cloud.breaks_after = 0
    assert events(ask(serve(two(cloud, edge)), stream=True))[-1]["sdx"]["answered_by"] == "edge"


def test_a_client_that_goes_takes_its_question_along(serve: Serve, cloud: Cloud, edge: Cloud) -> None:
    cloud.delay_s = 30.0
    served = serve(two(cloud, edge))
    with pytest.raises(httpx.ReadTimeout):
        httpx.post(f"{served.v1}/chat/completions", json=SAY, timeout=0.5)
    until(lambda: served.gateway.upstreams["cloud"].slots.sent == 0)
    until(lambda: cloud.left == 1)
    assert not edge.asked


def test_a_stream_that_nobody_reads_any_more_ends(serve: Serve, cloud: Cloud, edge: Cloud) -> None:
    cloud.between_s = 0.2
    served = serve(two(cloud, edge))
    long = SAY | {"stream": True, "messages": [{"role": "user", "content": "word " * 200}]}
    with httpx.stream("POST", f"{served.v1}/chat/completions", json=long, timeout=20.0) as reply:
        next(reply.iter_lines())
    until(lambda: served.gateway.upstreams["cloud"].slots.sent == 0)
    until(lambda: cloud.left == 1)


def registry(tmp_path: Path, passed: bool) -> Registry:
    made = Registry(tmp_path / "shipped.json", tmp_path / "own.json")
    score = Score(metric="accepted", value=0.9, rows=100, passed=passed)
    made.record(
        Entry(name="small", sha256=SHA, compression="Q8_0", parameters=1, weights_bytes=1, context_tokens=2048, tasks={"ship": score})
    )
    return made


@pytest.mark.parametrize("passed", [True, False])
def test_a_fallback_serves_a_task_only_if_it_has_passed_it(serve: Serve, cloud: Cloud, edge: Cloud, tmp_path: Path, passed: bool) -> None:
    cloud.stop()
    reply = ask(serve(two(cloud, edge, task="ship"), registry(tmp_path, passed)))
    if passed:
        assert reply.json()["sdx"]["answered_by"] == "edge"
    else:
        assert reply.status_code == 503 and "have not passed the task ship" in reply.json()["error"]["message"]
        assert not edge.asked


def test_who_cannot_do_what_is_asked_is_passed_over(serve: Serve, cloud: Cloud, edge: Cloud) -> None:
    told = two(cloud, edge)
    told["upstreams"]["cloud"]["can"] = ["json_schema"]
    served = serve(told)
    reply = ask(served, tools=[{"type": "function", "function": {"name": "turn"}}])
    assert reply.json()["sdx"]["answered_by"] == "edge" and reply.json()["sdx"]["reason"] == "cloud does not serve tools"
    told["upstreams"]["edge"]["can"] = []
    told["state"] = served.gateway.config.state / "other"
    reply = ask(serve(told), tools=[{"type": "function", "function": {"name": "turn"}}])
    assert reply.status_code == 400 and reply.json()["error"]["code"] == "unsupported"


def test_beyond_the_queue_it_is_429_with_a_time(serve: Serve, cloud: Cloud, edge: Cloud) -> None:
    told = two(cloud, edge, to=["cloud"])
    told["upstreams"]["cloud"] |= {"concurrency": 2, "queue": 2}
    cloud.delay_s = 0.5
    served = serve(told)
    ask(served)
    with ThreadPoolExecutor(10) as pool:
        replies = list(pool.map(lambda _: ask(served), range(10)))
    statuses = sorted(reply.status_code for reply in replies)
    assert statuses == [200] * 4 + [429] * 6
    refused = next(reply for reply in replies if reply.status_code == 429)
    assert refused.json()["error"]["type"] == "rate_limit_error" and 1 <= int(refused.headers["retry-after"]) <= 5
    assert cloud.most == 2


def test_a_full_first_sends_to_the_second(serve: Serve, cloud: Cloud, edge: Cloud) -> None:
    told = two(cloud, edge)
    told["upstreams"]["cloud"] |= {"concurrency": 1, "queue": 0}
    cloud.delay_s = 0.5
    served = serve(told)
    with ThreadPoolExecutor(4) as pool:
        marks = [reply.json()["sdx"] for reply in pool.map(lambda _: ask(served), range(4))]
    assert sorted(mark["answered_by"] for mark in marks) == ["cloud", "edge", "edge", "edge"]
    assert any("queue is full" in mark["reason"] for mark in marks)


def test_the_network_cut_under_load_leaves_no_request_without_its_answer(serve: Serve, cloud: Cloud, edge: Cloud) -> None:
    """The cloud takes questions and answers none, as behind a cut cable; a slow fallback must be left time for all who come down to it."""
    told = two(cloud, edge)
    told["upstreams"]["edge"]["concurrency"] = 1
    edge.delay_s = 0.1
    served = serve(told)
    cloud.status = 500
    for _ in range(2):
        ask(served)  # measures the edge
    cloud.status = 200
    ask(served)
    cloud.delay_s = 60.0
    late: list[float] = []

    def one(_: int) -> dict[str, Any]:
        began = time.monotonic()
        reply = ask(served, 4.0)
        late.append(time.monotonic() - began)
        return reply.json().get("sdx") or reply.json()

    with ThreadPoolExecutor(8) as pool:
        marks = list(pool.map(one, range(24)))
    assert not [mark for mark in marks if "error" in mark]
    assert all(mark["answered_by"] == "edge" and mark["degraded"] for mark in marks)
    assert max(late) < 4.0


def test_all_upstreams_gone_is_503_and_says_when_to_ask_again(serve: Serve, cloud: Cloud, edge: Cloud) -> None:
    cloud.stop()
    edge.stop()
    reply = ask(serve(two(cloud, edge)))
    assert reply.status_code == 503 and int(reply.headers["retry-after"]) >= 1
    assert "cloud: nobody answers" in reply.json()["error"]["message"] and "edge: nobody answers" in reply.json()["error"]["message"]


def test_many_at_once_each_get_their_own_answer(serve: Serve, cloud: Cloud, edge: Cloud) -> None:
    served = serve(two(cloud, edge))
    lock, wrong = threading.Lock(), []

    def one(index: int) -> None:
        text = f"nonce {index} of {index * 7919}"
        reply = ask(served, messages=[{"role": "user", "content": text}], stream=index % 2 == 0)
        said = (
            "".join(event["choices"][0]["delta"].get("content", "") for event in events(reply))
            if index % 2 == 0
            else reply.json()["choices"][0]["message"]["content"]
        )
        if said != text:
            with lock:
                wrong.append((text, said))

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(one, range(120)))
    assert not wrong
