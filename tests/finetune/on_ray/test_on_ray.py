"""The same rows and the same training on a Ray cluster of two nodes, one of them killed in the middle."""

import importlib.util
import json
import os
import pickle
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from pydantic import SecretStr

from sdx_finetune.adapt.recipe import AdaptRecipe
from sdx_finetune.augment.requests import SHARD, requests
from sdx_finetune.augment.run import augment
from sdx_finetune.augment.spec import AugmentSpec
from sdx_finetune.on_ray.augment import Asker, Crew, Done, Parcel, Verdict, crew_for
from sdx_finetune.on_ray.cluster import Need, checked_address, joined
from sdx_finetune.on_ray.ranks import states
from sdx_finetune.on_ray.train import need_of
from sdx_finetune.recipe import Recipe
from sdx_serving.client import EngineUnavailable
from sdx_serving.ports import free_port

HERE = Path(__file__).parent
PATH = os.pathsep.join([str(HERE), str(HERE.parent), str(HERE.parent / "augment"), *sys.path])
TOY = {"name": "toy", "rows": 90, "situations": "toy_situations:situations", "seed": 0, "checks": {"near": 1.0}}


@pytest.fixture(autouse=True)
def toy_modules_can_be_imported(monkeypatch: pytest.MonkeyPatch) -> None:
    for folder in (HERE, HERE.parent / "augment"):
        monkeypatch.syspath_prepend(str(folder))


def test_a_parcel_comes_back_with_its_answers_judged() -> None:
    spec = AugmentSpec.model_validate(TOY)
    wanted = frozenset({SHARD + 3, SHARD + 6})
    parcel = pickle.dumps(Parcel(shard=1, wanted=wanted))
    done: Done = pickle.loads(Asker(spec, None)({"parcel": [parcel]})["done"][0])
    here = [request for request, _ in zip(requests(spec, [], SHARD), range(SHARD), strict=False) if request.number in wanted]
    assert done.error is None and [request.number for request, _ in done.answers] == [SHARD + 3, SHARD + 6]
    for (request, said), own in zip(done.answers, here, strict=True):
        assert said.text == own.own_answer and said.asked == own.key("planner", 800)
        assert request.read(said.text) == own.read(own.own_answer)
        assert isinstance(request.verify, Verdict) and own.verify and request.verify(said.text) == own.verify(own.own_answer)
        with pytest.raises(ValueError, match="not 'another'"):
            request.verify("another")
    # Every seventh of the toy's own answers is wrong.
    assert [bool(request.verify and request.verify(said.text)) for request, said in done.answers] == [False, True]


def test_what_an_asker_met_comes_back_with_what_was_answered_before() -> None:
    spec = AugmentSpec.model_validate({**TOY, "teacher": {"model": f"http://127.0.0.1:{free_port()}/v1", "deadline_s": 1.0}})
    known = pickle.loads(
        Asker(AugmentSpec.model_validate(TOY), None)({"parcel": [pickle.dumps(Parcel(shard=0, wanted=frozenset({0})))]})["done"][0]
    )
    asked = next(requests(spec, [], 0)).key(spec.teacher.model, spec.teacher.max_tokens)
    said = known.answers[0][1].__class__(0, asked, known.answers[0][1].text)
    asker = Asker(spec.model_copy(update={"teacher": spec.teacher.model_copy(update={"concurrency": 1})}), SecretStr("k"))
    parcel = Parcel(shard=0, wanted=frozenset({0, 1}), known=(said,))
    done: Done = pickle.loads(asker({"parcel": [pickle.dumps(parcel)]})["done"][0])
    assert isinstance(done.error, EngineUnavailable) and [each for _, each in done.answers] == [said]


@pytest.mark.parametrize(
    ("changed", "crew"),
    [
        ({}, Crew(3, 1, 1.0)),
        ({"teacher": {"model": "embedded"}}, Crew(3, 1, 1.0)),
        ({"teacher": {"model": "http://x/v1", "concurrency": 2}}, Crew(2, 1, 1.0)),
        ({"situations": None, "examples": "a.jsonl", "task": "t", "teacher": {"model": "http://x/v1", "concurrency": 9}}, Crew(2, 4, 0.1)),
    ],
)
def test_the_crew_is_as_large_as_the_cluster_and_the_server_take(changed: dict[str, Any], crew: Crew) -> None:
    spec = AugmentSpec.model_validate({key: value for key, value in (TOY | changed).items() if value is not None})
    assert crew_for(spec, [{"CPU": 0}, {"CPU": 1}, {"CPU": 2}], parcels=10) == crew
    assert crew_for(spec, [{"CPU": 1}, {"CPU": 2}], parcels=1).size == 1


@pytest.mark.parametrize(
    ("need", "held"),
    [(Need(2, 1), 2), (Need(3, 2), 2), (Need(1, 4), 0), (Need(2, 1, 1), 1), (Need(1, 1, 2), 0)],
)
def test_processes_fit_where_one_node_holds_each(need: Need, held: int) -> None:
    assert need.fits([{"CPU": 2.0}, {"CPU": 3.0, "GPU": 1.0}, {}]) == held


ADAPT = {"name": "own", "description": "d", "method": "sft", "data": {"dataset": "own@abc"}, "train": {"max_steps": 1, "threads": 3}}


@pytest.mark.parametrize(
    ("changed", "gpus", "need"),
    [
        ({}, 0, Need(1, 3, 0)),
        ({}, 2, Need(1, 3, 1)),
        ({"weights": "qlora"}, 0, Need(1, 3, 1)),
        ({"run": {"processes": 2}}, 0, Need(2, 3, 0)),
    ],
)
def test_a_recipe_takes_its_threads_and_a_gpu_where_there_is_one(changed: dict[str, Any], gpus: float, need: Need) -> None:
    assert need_of(AdaptRecipe.model_validate(ADAPT | changed), gpus) == need


def test_a_recipe_from_nothing_is_one_process(recipe: Recipe) -> None:
    assert need_of(recipe, 0) == Need(1, 1, 0)


def test_of_a_folder_that_is_not_shared_whole_files_travel(tmp_path: Path) -> None:
    for name in ("train.jsonl", "checkpoints/checkpoint-5/weights", ".recipe.yaml", "checkpoint.partial", "datasets/own/abc/train.jsonl"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("x")
    assert set(states(tmp_path)) == {"train.jsonl", "checkpoints/checkpoint-5/weights"}


@pytest.mark.parametrize("address", ["", "ray://", "somewhere", "host:port", "http://host:1", "host:0", "host:70000"])
def test_what_is_no_address_is_told_so(address: str) -> None:
    with pytest.raises(ValueError, match="is no address: give ray://HOST:10001, HOST:6379"):
        checked_address(address)


Start = Callable[..., "subprocess.Popen[str]"]


@pytest.fixture
def start() -> Iterator[Start]:
    """`python -m ...`, its lines in one pipe."""
    environ = os.environ | {"PYTHONPATH": PATH, "OMP_NUM_THREADS": "1"}
    made: list[subprocess.Popen[str]] = []

    def started(*argv: str) -> "subprocess.Popen[str]":
        made.append(
            subprocess.Popen([sys.executable, "-m", *argv], env=environ, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        )
        return made[-1]

    yield started
    for process in made:
        if process.poll() is None:
            process.kill()
        with process:  # closes its pipe
            pass


needs_ray = pytest.mark.skipif(not importlib.util.find_spec("ray"), reason="wants the extra `ray`")


@needs_ray
@pytest.mark.parametrize("scheme", ["", "ray://"])
def test_where_nobody_listens_is_told_and_how_to_begin(scheme: str) -> None:
    if scheme and not importlib.util.find_spec("grpc"):
        with pytest.raises(ValueError, match=r"wants the package grpc: pip install 'sdx\[ray\]'"), joined("ray://127.0.0.1:1"):
            pass
        return
    with pytest.raises(ValueError, match="nobody answers there .*ray start --head"), joined(f"{scheme}127.0.0.1:{free_port()}"):
        pass


class Nodes:
    """The cluster in a process of its own: Ray never runs in the tests'."""

    def __init__(self) -> None:
        command = [sys.executable, str(HERE / "cluster_process.py"), "2"]
        self.process = subprocess.Popen(
            command,
            env=os.environ | {"PYTHONPATH": PATH},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )
        self.address: str = self._answer()

    def _answer(self) -> Any:
        assert self.process.stdout is not None
        return json.loads(self.process.stdout.readline())

    def ask(self, line: str) -> Any:
        assert self.process.stdin is not None
        self.process.stdin.write(line + "\n")
        self.process.stdin.flush()
        return self._answer()

    def kill_the_one_that_runs(self, word: str) -> None:
        self.ask(f"kill {awaited(lambda: self.ask(f'busy {word}'), f'a process {word!r}')}")

    def close(self) -> None:
        self.process.communicate(timeout=300)


@pytest.fixture(scope="module")
def nodes() -> Iterator[Nodes]:
    made = Nodes()
    yield made
    made.close()


def awaited(look: Callable[[], Any], what: str, of: "subprocess.Popen[str] | None" = None, timeout_s: float = 600.0) -> Any:
    """What `look` finds, while the process `of` which it waits still runs."""
    until = time.monotonic() + timeout_s
    while not (found := look()):
        assert of is None or of.poll() is None, of.communicate()[0]
        assert time.monotonic() < until, f"{what} did not come within {timeout_s:.0f} s"
        time.sleep(0.2)
    return found


def lines_of(path: Path) -> int:
    return path.read_bytes().count(b"\n") if path.exists() else 0


@needs_ray
@pytest.mark.slow
@pytest.mark.timeout(2400)
def test_rows_are_those_of_one_machine_though_the_driver_and_a_node_are_killed(nodes: Nodes, start: Start, tmp_path: Path) -> None:
    spec, work = tmp_path / "toy.yaml", tmp_path / "work"
    spec.write_text(yaml.safe_dump({**TOY, "rows": 200, "situations": "slow_situations:situations"}))
    command = ("sdx_ui.cli", "finetune", "augment", str(spec), "--work", str(work), "--on", nodes.address)

    driver = start(*command)
    awaited(lambda: lines_of(work / "journal.jsonl") >= SHARD, "the first shard", driver)
    driver.send_signal(signal.SIGKILL)
    driver.communicate()
    before = lines_of(work / "journal.jsonl")
    assert SHARD <= before < 200

    driver = start(*command)
    awaited(lambda: lines_of(work / "journal.jsonl") > before, "another shard", driver)
    nodes.kill_the_one_that_runs("MapWorker")
    said, _ = driver.communicate(timeout=1200)
    nodes.ask("add")
    assert driver.returncode == 0, said
    assert f"goes on after {before} requests" in said and "its requests are asked again" in said
    assert not [line for line in said.splitlines() if "WARNING" in line or "(raylet)" in line or "core_worker" in line], said

    _, whole = augment(AugmentSpec.load(spec), None, tmp_path / "here", lambda line: None)
    for name in ("rows.jsonl", "rejected.jsonl", "pairs.jsonl"):
        assert (work / name).read_bytes() == (whole.parent / name).read_bytes()


@needs_ray
@pytest.mark.slow
@pytest.mark.timeout(2400)
def test_training_goes_on_when_the_node_that_trains_is_killed(nodes: Nodes, start: Start, recipe: Recipe, tmp_path: Path) -> None:
    held = recipe.model_dump(mode="json")
    held["train"] |= {"max_steps": 80, "accumulate": 4, "checkpoint_minutes": 0.02, "threads": 1}
    path, work = tmp_path / "toy.yaml", tmp_path / "work"
    path.write_text(yaml.safe_dump(held))
    for stage in ("data", "tokenizer"):
        assert start("sdx_finetune.run", str(path), "--work", str(work), "--stage", stage).wait(120) == 0

    driver = start("sdx_finetune.run", str(path), "--work", str(work), "--stage", "train", "--on", nodes.address)
    awaited(lambda: (work / "checkpoint.pt").exists(), "a checkpoint", driver)
    nodes.kill_the_one_that_runs("sdx_finetune.run")
    said, _ = driver.communicate(timeout=1200)
    nodes.ask("add")
    assert driver.returncode == 0, said
    resumed = int(said.split("training continues at step ")[1].split(",")[0])
    record = json.loads((work / "run.json").read_text())
    assert 0 < resumed < record["steps"] == 80 and record["ran_on"]["address"] == nodes.address
    steps = [step for step, _ in record["losses"]]
    assert steps == sorted(set(steps)) and steps[0] <= resumed < steps[-1] == 80
    assert (work / "model" / "model.safetensors").exists() and not list(work.glob(".*"))

    here = tmp_path / "here"
    (here).mkdir()
    for name in ("data", "tokenizer", "tokens"):
        (work / name).rename(here / name)
    assert start("sdx_finetune.run", str(path), "--work", str(here), "--stage", "train").wait(240) == 0
    whole = json.loads((here / "run.json").read_text())
    assert record["held_out_loss"] == pytest.approx(whole["held_out_loss"], abs=1e-3)


@needs_ray
@pytest.mark.slow
@pytest.mark.timeout(900)
def test_a_cluster_that_is_too_small_is_told_at_once(nodes: Nodes, start: Start, recipe: Recipe, tmp_path: Path) -> None:
    held = recipe.model_dump(mode="json")
    held["train"] |= {"threads": 4}
    path = tmp_path / "toy.yaml"
    path.write_text(yaml.safe_dump(held))
    driver = start("sdx_finetune.run", str(path), "--work", str(tmp_path / "work"), "--stage", "train", "--on", nodes.address)
    said, _ = driver.communicate(timeout=600)
    assert driver.returncode == 2, said
    assert "the cluster is too small: 1 processes of 4 CPU each are wanted, 0 fit (its nodes: 0 CPU, 1 CPU, 1 CPU)" in said
