import json
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.request import urlopen

import pytest

from sdx_finetune.tracking import tracked

FACTS = {"train": {"learning_rate": 0.001}, "method": "sft"}


def runs(uri: str) -> list[Any]:
    from mlflow.tracking import MlflowClient

    client = MlflowClient(uri)
    experiment = client.get_experiment_by_name("toy")
    assert experiment is not None
    return list(client.search_runs([experiment.experiment_id]))


def history(uri: str, run: str, metric: str) -> list[tuple[int, float]]:
    from mlflow.tracking import MlflowClient

    return sorted((one.step, one.value) for one in MlflowClient(uri).get_metric_history(run, metric))


@pytest.fixture(scope="module")
def beside(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of runs: its file of runs takes seconds to make, so that tests share it."""
    return tmp_path_factory.mktemp("runs")


def made(folder: Path) -> Path:
    folder.mkdir()
    return folder


def test_a_run_is_kept_in_a_file_beside_it_and_goes_on(beside: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def no_network(*_: object) -> None:
        raise AssertionError("tracking in a file wants no network")

    monkeypatch.setattr(socket.socket, "connect", no_network)
    work, uri = made(beside / "first"), f"sqlite:///{beside / 'mlflow.db'}"
    with pytest.raises(KeyboardInterrupt), tracked("local", "toy", FACTS, work) as log:
        log({"loss": 2.0, "held out, loss": 2.5}, 1)
        raise KeyboardInterrupt
    (run,) = runs(uri)
    assert (run.info.run_name, run.info.status) == ("first", "KILLED")
    assert run.data.params == {"train.learning_rate": "0.001", "method": "sft"}
    assert run.data.tags["mlflow.source.git.commit"] and run.data.tags["machine.cores"]
    longer = {**FACTS, "train": {"learning_rate": 0.002}}
    with tracked("local", "toy", longer, work) as log:
        log({"loss": 1.0}, 2)
    (run,) = runs(uri)
    assert (run.info.status, run.data.params["train.learning_rate"]) == ("FINISHED", "0.001")
    assert run.data.tags["resumed_with.train.learning_rate"] == "0.002"
    assert history(uri, run.info.run_id, "loss") == [(1, 2.0), (2, 1.0)]
    assert history(uri, run.info.run_id, "held out_ loss") == [(1, 2.5)]


def test_an_error_passes_through_and_is_the_end(beside: Path) -> None:
    with pytest.raises(FloatingPointError, match="nan"), tracked("local", "toy", {}, made(beside / "broken")):
        raise FloatingPointError("the loss is nan")
    assert {run.info.run_name: run.info.status for run in runs(f"sqlite:///{beside / 'mlflow.db'}")}["broken"] == "FAILED"


def test_a_server_that_is_not_there_is_told_once_and_ends_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sdx_finetune.tracking.TRY_AGAIN_S", 0.0)
    with socket.socket() as held:  # bound and not listening: refused at once
        held.bind(("127.0.0.1", 0))
        lines: list[str] = []
        began = time.monotonic()
        with tracked(f"http://127.0.0.1:{held.getsockname()[1]}", "toy", FACTS, made(tmp_path / "run"), lines.append) as log:
            log({"loss": 1.0}, 1)
            log({"loss": 0.5}, 2)
    assert len(lines) == 1 and "the work goes on" in lines[0]
    assert time.monotonic() - began < 20


@pytest.fixture
def server(tmp_path: Path) -> Iterator[tuple[str, list[str]]]:
    """Address of a tracking server that is not started yet, and the command that starts it."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "mlflow", "server", "--host", "127.0.0.1", "--port", str(port), "--workers", "1"]
    yield f"http://127.0.0.1:{port}", [*command, "--backend-store-uri", f"sqlite:///{tmp_path / 'server.db'}"]


@pytest.mark.slow
def test_what_waited_for_a_server_reaches_it(server: tuple[str, list[str]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sdx_finetune.tracking.TRY_AGAIN_S", 0.0)
    address, command = server
    lines: list[str] = []
    with tracked(address, "toy", FACTS, made(tmp_path / "run"), lines.append) as log:
        log({"loss": 2.0}, 1)
        with (tmp_path / "server.log").open("w") as told:
            process = subprocess.Popen(command, cwd=tmp_path, stdout=told, stderr=told)
        try:
            until = time.monotonic() + 120
            while not _answers(address) and time.monotonic() < until:
                time.sleep(0.5)
            log({"loss": 1.0}, 2)
            (run,) = runs(address)
            assert history(address, run.info.run_id, "loss") == [(1, 2.0), (2, 1.0)]
        finally:
            process.terminate()
            process.wait(30)
    assert len(lines) == 1
    assert json.loads((tmp_path / "run" / "mlflow.json").read_text())["uri"] == address


def _answers(address: str) -> bool:
    try:
        return urlopen(f"{address}/health", timeout=2).status == 200
    except OSError:
        return False


def test_without_mlflow_it_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "mlflow", None)
    monkeypatch.delitem(sys.modules, "mlflow.tracking", raising=False)
    with pytest.raises(ValueError, match=r"pip install 'sdx\[tune\]'"), tracked("local", "toy", {}, tmp_path):
        pass


def test_untracked_work_is_left_alone(tmp_path: Path) -> None:
    with tracked(None, "toy", FACTS, made(tmp_path / "run")) as log:
        log({"loss": 1.0}, 1)
    assert list(tmp_path.rglob("*")) == [tmp_path / "run"]
