"""The REST service: a real server, real requests, real jobs; and what it must refuse."""

import json
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml
from served_command import Service

from sdx_finetune.jobs.processes import signal_group
from sdx_finetune.jobs.queue import Queue
from sdx_serving.ports import free_port
from sdx_ui.jobs_requests import Bounds, planned

KEY = "a-key-of-twenty-letters"
RECIPE: dict[str, Any] = {
    "name": "toy",
    "description": "x",
    "data": {"generator": "sdx_domains.ship.examples:rows", "train_rows": 50, "eval_rows": 10},
    "tokenizer": {},
    "model": {"hidden": 64, "ffn": 64, "layers": 1, "heads": 1, "kv_heads": 1, "head_dim": 64},
    "train": {"max_steps": 1},
}
AUGMENT = {
    "name": "more",
    "rows": 2,
    "situations": "sdx_domains.ship.examples:situations",
    "languages": ["en"],
    "seed": 500000000,
    "checks": {"near": 0.98},
}


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    folder = tmp_path_factory.mktemp("service")
    recipes = folder / "recipes"
    recipes.mkdir()
    (recipes / "more.yaml").write_text(yaml.safe_dump(AUGMENT))
    (folder / "secret.yaml").write_text("outside: 1")
    (recipes / "link.yaml").symlink_to(folder / "secret.yaml")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SDX_JOBS", str(folder / "jobs"))
        service = Service(folder, "finetune", "serve", "--recipes", str(recipes))
        yield service
        service.stop()
        for job in Queue().jobs():
            if job.unfinished:
                Queue().ask_stop(job.id)
                signal_group(job.pid, job.mark, signal.SIGKILL)


def post(served: Service, params: dict[str, Any], **more: Any) -> httpx.Response:
    return served.http.post("/run", json={"workspace_id": "w1", "project_id": 7, "params": params}, **more)


def until_ended(served: Service, name: str) -> dict[str, Any]:
    ends = time.monotonic() + 90.0
    while True:
        found = served.http.get(f"/jobs/{name}").json()["result"]
        if found["state"] not in ("queued", "running", "stopping"):
            return found
        assert time.monotonic() < ends, found
        time.sleep(0.1)


def test_health_and_info(served: Service) -> None:
    assert served.http.get("/health").json()["status"] == "success"
    info = served.http.get("/info").json()["result"]
    assert info["kinds"] == ["train", "augment", "prompt", "tune"] and "llm_url" in info["schemas"]["few_shot"]["properties"]


def test_an_augmentation_runs_from_request_to_result(served: Service) -> None:
    begun = post(served, {"kind": "augment", "recipe": AUGMENT}, headers={"X-Resource-Cpu": "2"})
    assert begun.status_code == 202 and begun.json()["status"] == "success"
    name = begun.json()["result"]["job_id"]
    assert begun.json()["job_id"] == name
    done = until_ended(served, name)
    assert done["state"] == "done", served.http.get(f"/jobs/{name}/logs").json()
    assert (done["code"], done["result"]["rows"], done["progress"]["rows"], done["progress"]["done"]) == (0, 2, 2, 1.0)
    assert (done["workspace_id"], done["project_id"]) == ("w1", "7")
    logs = served.http.get(f"/jobs/{name}/logs").json()["result"]
    assert "finetune augment" in logs["text"] and logs["ended"]
    assert served.http.get(f"/jobs/{name}/logs", params={"offset": logs["offset"]}).json()["result"]["text"] == ""
    assert name in [job["job_id"] for job in served.http.get("/jobs").json()["result"]]
    assert served.http.post(f"/jobs/{name}/cancel").status_code == 409
    assert served.http.post(f"/jobs/{name}/resume").status_code == 409


def test_a_recipe_of_the_folder_is_waited_for_with_sync(served: Service) -> None:
    done = post(served, {"kind": "augment", "recipe_file": "more.yaml", "sync": True})
    assert done.status_code == 200
    assert done.json()["result"]["state"] == "done" and done.json()["result"]["result"]["rows"] == 2


def test_a_job_is_cancelled_and_resumed(served: Service) -> None:
    first = post(served, {"kind": "augment", "recipe": AUGMENT | {"rows": 100000}}).json()["job_id"]
    second = post(served, {"kind": "augment", "recipe": AUGMENT}).json()["job_id"]
    assert served.http.get(f"/jobs/{second}").json()["result"]["waits_for"] == [first]
    assert served.http.post(f"/jobs/{first}/cancel").status_code == 202
    stopped = until_ended(served, first)
    assert stopped["state"] == "stopped", stopped
    assert served.http.post(f"/jobs/{first}/resume").json()["result"]["tries"] == 2
    assert served.http.post(f"/jobs/{first}/cancel").status_code == 202
    assert until_ended(served, first)["state"] == "stopped"
    assert until_ended(served, second)["state"] == "done"


def test_a_workspace_sees_its_own_jobs(served: Service) -> None:
    name = post(served, {"kind": "augment", "recipe_file": "more.yaml", "sync": True}).json()["job_id"]
    assert served.http.get(f"/jobs/{name}", headers={"X-Workspace-Id": "w1"}).status_code == 200
    assert served.http.get(f"/jobs/{name}", headers={"X-Workspace-Id": "w2"}).status_code == 404
    assert served.http.get("/jobs", headers={"X-Workspace-Id": "w2"}).json()["result"] == []
    clash = post(served, {"kind": "augment", "recipe_file": "more.yaml"}, headers={"X-Workspace-Id": "w2"})
    assert clash.status_code == 400 and "w1 in the body and w2 in the header" in clash.json()["message"]


@pytest.mark.parametrize(
    ("params", "words"),
    [
        ({"kind": "train"}, "give either recipe"),
        ({"kind": "shell", "recipe": {}}, "kind: Input should be"),
        ({"kind": "train", "recipe": RECIPE, "argv": ["rm"]}, "argv: Extra inputs"),
        ({"kind": "train", "recipe": RECIPE | {"train": {}}}, "train: Value error, give max_minutes"),
        ({"kind": "train", "recipe": RECIPE, "device": "gpu"}, "device: String should match"),
        ({"kind": "train", "recipe": RECIPE | {"data": RECIPE["data"] | {"generator": "os:system"}}}, "data.generator: functions that"),
        ({"kind": "train", "recipe": RECIPE | {"data": RECIPE["data"] | {"derive": "subprocess:run"}}}, "data.derive: functions that"),
        ({"kind": "train", "recipe": RECIPE | {"data": RECIPE["data"] | {"arguments": {"path": "/etc/x"}}}}, "data.arguments.path: paths are"),
        ({"kind": "train", "recipe": RECIPE | {"tracking": "http://169.254.169.254/"}}, "tracking: 169.254.169.254 is not among"),
        ({"kind": "train", "recipe": RECIPE | {"tracking": "sqlite:////tmp/x"}}, "tracking: "),
        ({"kind": "train", "recipe_file": "../secret.yaml"}, "there is no file"),
        ({"kind": "train", "recipe_file": "link.yaml"}, "there is no file"),
        ({"kind": "train", "recipe_file": "/etc/passwd"}, "there is no file"),
        ({"kind": "train", "recipe_file": "more.yaml\0"}, "there is no file"),
        ({"kind": "augment", "recipe": {"name": "x", "rows": 1, "task": "t", "examples": "/etc/passwd"}}, "examples: there is no file"),
        ({"kind": "augment", "recipe": AUGMENT | {"prompt": "../../x.j2"}}, "prompt: there is no file"),
        ({"kind": "augment", "recipe": AUGMENT | {"teacher": {"model": "http://evil.example/v1"}}}, "teacher.model: evil.example is not"),
        ({"kind": "augment", "recipe": AUGMENT | {"teacher": {"model": "http://127.0.0.1@evil.example/v1"}}}, "is not among the machines"),
        ({"kind": "augment", "recipe": AUGMENT | {"teacher": {"model": "file:///etc/passwd"}}}, "is not among the machines"),
        ({"kind": "augment", "recipe": AUGMENT | {"teacher": {"model": "/etc/passwd.gguf"}}}, "there is no file"),
        ({"kind": "augment", "recipe": AUGMENT | {"teacher": {"api_key_env": "AWS_SECRET"}}}, "was not started with --allow-key"),
        ({"kind": "augment", "recipe": AUGMENT | {"checks": {"domain": "shutil:rmtree"}}}, "checks.domain: functions that"),
        ({"kind": "tune", "recipe": {"name": "x"}}, "tune takes a recipe_file"),
        ({"kind": "train", "recipe": RECIPE | {"languages": ["../en"]}}, "languages: paths are not taken"),
        ({"kind": "prompt", "recipe": {"name": "x", "rows": "/etc/passwd"}}, "rows: there is no file"),
        ({"llm_url": "http://10.0.0.5/v1", "examples": [{"query": "a", "response": "b"}] * 2}, "llm_url: 10.0.0.5 is not among"),
        ({"llm_url": "http://127.0.0.1:9/v1", "examples": [{"query": "a", "response": "b"}]}, "examples"),
    ],
)  # fmt: skip
def test_what_is_wrong_or_forbidden_is_refused_in_the_envelope(served: Service, params: dict[str, Any], words: str) -> None:
    if "llm_url" in params and len(params["examples"]) == 2:
        params = params | {"examples": [{"query": "a", "response": "b"}, {"query": "c", "response": "d"}]}
    before = len(served.http.get("/jobs").json()["result"])
    refused = post(served, params)
    assert refused.status_code == 422, refused.text
    body = refused.json()
    assert (body["status"], body["code"]) == ("error", "wrong_request") and words in body["message"], body
    assert len(served.http.get("/jobs").json()["result"]) == before


@pytest.mark.parametrize(
    ("method", "path", "status", "code"),
    [
        ("GET", "/jobs/none-aaaa", 404, "not_found"),
        ("POST", "/jobs/none-aaaa/cancel", 404, "not_found"),
        ("GET", "/status?job_id=../../etc", 404, "not_found"),
        ("GET", "/status", 422, "wrong_request"),
        ("GET", "/nowhere", 404, "not_found"),
        ("GET", "/run", 405, "method_not_allowed"),
        ("GET", "/jobs/x/logs?offset=-1", 422, "wrong_request"),
    ],
)
def test_errors_have_an_honest_status(served: Service, method: str, path: str, status: int, code: str) -> None:
    answer = served.http.request(method, path)
    assert (answer.status_code, answer.json()["status"], answer.json()["code"]) == (status, "error", code)


def test_a_body_that_is_no_json_or_too_large_is_refused(served: Service) -> None:
    assert served.http.post("/run", content=b"{", headers={"Content-Type": "application/json"}).status_code == 422
    large = b'{"params": {"kind": "' + b"x" * (5 * 2**20) + b'"}}'
    assert served.http.post("/run", content=large, headers={"Content-Type": "application/json"}).status_code == 413
    pieces = (large[start : start + 65536] for start in range(0, len(large), 65536))  # no length is told beforehand
    assert served.http.post("/run", content=pieces, headers={"Content-Type": "application/json"}).status_code == 413
    assert served.http.get("/health").status_code == 200


def test_a_page_from_elsewhere_cannot_use_a_service_without_a_key(served: Service) -> None:
    answer = served.http.get("/jobs", headers={"Host": "evil.example"})
    assert (answer.status_code, answer.json()["code"]) == (403, "forbidden")


def test_the_service_is_not_opened_to_others_without_a_key(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "sdx_ui.cli", "finetune", "serve", "--host", "0.0.0.0", "--port", str(free_port())]
    environ = {name: value for name, value in os.environ.items() if name != "SDX_API_KEY"} | {"SDX_JOBS": str(tmp_path / "jobs")}
    refused = subprocess.run(command, capture_output=True, text=True, check=False, env=environ, timeout=60)
    assert refused.returncode == 1 and "set SDX_API_KEY to a key" in refused.stderr
    short = subprocess.run(command, capture_output=True, text=True, check=False, env=environ | {"SDX_API_KEY": "short"}, timeout=60)
    assert short.returncode == 1 and "use at least 16" in short.stderr


def test_a_key_is_wanted_and_jobs_outlive_the_service_without_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SDX_JOBS", str(tmp_path / "jobs"))
    service = Service(tmp_path, "finetune", "serve", "--host", "0.0.0.0", SDX_API_KEY=KEY)
    with_key = {"Authorization": f"Bearer {KEY}"}
    assert service.http.get("/health").status_code == 200
    for headers in ({}, {"Authorization": "Bearer wrong"}, {"X-User-Token": KEY[:-1]}):
        assert service.http.get("/jobs", headers=headers).status_code == 401
    assert service.http.get("/jobs", headers={"X-User-Token": KEY}).status_code == 200
    begun = service.http.post("/run", json={"params": {"kind": "augment", "recipe": AUGMENT}}, headers=with_key)
    name = begun.json()["job_id"]
    assert KEY not in (tmp_path / "jobs" / "started" / f"{name}.json").read_text()
    service.process.kill()
    service.stop()
    ends = time.monotonic() + 60
    while Queue().job(name).unfinished and time.monotonic() < ends:
        time.sleep(0.1)
    assert Queue().job(name).state == "done"


class Model(BaseHTTPRequestHandler):
    """An OpenAI-compatible server that adds numbers."""

    def do_POST(self) -> None:
        asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        numbers = re.findall(r"What is (\d+) plus", asked["messages"][-1]["content"])
        text = f"It is {2 * int(numbers[-1])}." if numbers else "It is 0."
        answer = {"model": "adder", "choices": [{"message": {"role": "assistant", "content": text}, "finish_reason": "stop"}], "usage": {"prompt_tokens": 9, "completion_tokens": 4}}  # fmt: skip
        body = json.dumps(answer).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None: ...


PAIRS = [{"query": f"What is {n} plus {n}?", "response": f"It is {2 * n}."} for n in range(40)]


def test_the_few_shot_fields_of_tango2_become_a_job_with_its_result(served: Service) -> None:
    pytest.importorskip("dspy")
    with ThreadingHTTPServer(("127.0.0.1", 0), Model) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        url = f"http://127.0.0.1:{server.server_address[1]}"
        begun = served.http.post("/run", json={"llm_url": url, "examples": PAIRS, "model": "adder", "metric": "token_f1", "rounds": 0})
        assert begun.status_code == 202, begun.text
        name = begun.json()["job_id"]
        until_ended(served, name)
        server.shutdown()
    status = served.http.get("/status", params={"job_id": name}).json()
    assert (status["job_id"], status["result"]["kind"], status["result"]["state"]) == (name, "prompt", "done"), status
    result = status["result"]["result"]
    assert {"system_prompt", "instruction", "demos", "n_examples", "n_demos", "base_score", "final_score"} <= set(result)
    assert result["n_examples"] == 40 and result["base_score"] == 1.0


def test_a_few_shot_request_that_fails_while_it_is_waited_for_is_no_success(served: Service) -> None:
    with socket.socket() as nobody:  # a port where nothing answers
        nobody.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{nobody.getsockname()[1]}"
        failed = post(served, {"llm_url": url, "examples": PAIRS[:12], "sync": True})
    assert (failed.status_code, failed.json()["code"]) == (500, "job_failed")
    assert failed.json()["message"].startswith("prompt-")


def test_files_of_the_folder_become_full_paths(tmp_path: Path) -> None:
    (tmp_path / "recipes").mkdir()
    (tmp_path / "recipes" / "own.jsonl").write_text('{"prompt": "a", "completion": "b"}\n')
    spec = {"name": "x", "rows": 1, "task": "t", "examples": "own.jsonl", "teacher": {"model": "embedded"}}
    plan = planned({"kind": "augment", "recipe": spec}, tmp_path, Bounds(tmp_path / "recipes"))
    written = yaml.safe_load((plan.work / "recipe.yaml").read_text())
    assert written == spec | {"examples": str(tmp_path / "recipes" / "own.jsonl")}
    with pytest.raises(ValueError, match="without --recipes FOLDER"):
        planned({"kind": "augment", "recipe": spec}, tmp_path, Bounds())
    assert len(list((tmp_path / "served").iterdir())) == 1, "a refused request leaves nothing"
    assert json.dumps(plan.argv).count("..") == 0
