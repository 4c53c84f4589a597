"""Augmentation on a Ray cluster: situations are made, asked and judged on all nodes, the rows come out as they do on one machine.

Ray Data hands parcels of requests to a pool of askers. Answers come back here in any order, are kept in answers.jsonl at once and
passed on in the order of their numbers, so journal and acceptance are those of every run. A node that dies takes its parcels with
it; they are asked again.
"""

import os
import pickle
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass, replace
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any

from pydantic import SecretStr

from sdx_finetune.augment.requests import SHARD, Request, requests
from sdx_finetune.augment.run import Answers, Made, augment, finished
from sdx_finetune.augment.spec import PLANNER, AugmentSpec
from sdx_finetune.augment.teacher import Said, Teacher, answered
from sdx_finetune.datasets.formats import Row
from sdx_finetune.journal import append
from sdx_finetune.on_ray.cluster import Need, checked_address, joined, make_room, nodes_of
from sdx_finetune.on_ray.foreman import Lost, Put, Site
from sdx_finetune.progress import Say
from sdx_serving.connect import open_chat

LOSSES = 5
"""So many in a row, without an answer in between, end the run."""
LIGHT_CPUS = 0.1
"""Of an asker that only waits for a server."""


@dataclass(frozen=True, slots=True)
class Parcel:
    """Work of one asker: requests that were made here, or a shard of situations that it makes itself."""

    requests: tuple[Request, ...] = ()
    shard: int | None = None
    wanted: frozenset[int] = frozenset()
    """Numbers of the shard's requests that are still to be asked."""
    known: tuple[Said, ...] = ()


@dataclass(frozen=True, slots=True)
class Done:
    """What became of a parcel; on an error, its answers until then."""

    answers: tuple[tuple[Request, Said], ...]
    error: Exception | None = None


@dataclass(frozen=True, slots=True)
class Verdict:
    """A situation's check of one answer, made where the situation was."""

    answer: str
    reason: str

    def __call__(self, answer: str) -> str:
        if answer != self.answer:
            raise ValueError(f"this verdict is about {self.answer!r}, not {answer!r}")
        return self.reason


@dataclass(frozen=True, slots=True)
class Crew:
    """How many askers work, and how each does."""

    size: int
    calls: int
    """Parcels at once in each."""
    cpus: float


class Asker:
    """One actor of the pool: a client of the teacher, or an engine of its own for a model file."""

    def __init__(self, spec: AugmentSpec, key: SecretStr | None) -> None:
        self.spec, self._open = spec, ExitStack()
        secret = key.get_secret_value() if key else None
        model = spec.teacher.model
        self.client = None if model == PLANNER else self._open.enter_context(open_chat(model, n_ctx=4096, api_key=secret))

    def __call__(self, batch: dict[str, Any]) -> dict[str, list[bytes]]:
        return {"done": [pickle.dumps(self._carried_out(pickle.loads(parcel))) for parcel in batch["parcel"]]}

    def _carried_out(self, parcel: Parcel) -> Done:
        answers: list[tuple[Request, Said]] = []
        try:
            asked: Iterator[Request] = iter(parcel.requests)
            if parcel.shard is not None:
                made = islice(requests(self.spec, [], parcel.shard * SHARD), SHARD)
                asked = (request for request in made if request.number in parcel.wanted)
            for request, said in Teacher(self.spec, self.client, None, parcel.known).answers(asked):
                answers.append((judged(request, said), said))
        except Exception as error:  # noqa: BLE001 - it is raised again where the run is
            return Done(tuple(answers), error)
        return Done(tuple(answers))


def judged(request: Request, said: Said) -> Request:
    """The request with its check already made: that is the expensive half of it."""
    if request.verify is None:
        return request
    row = None if said.failure else request.read(said.text)[0][0]
    answer = row["messages"][-1]["content"] if row is not None else ""
    read = partial(_kept_reading, said.text, tuple(request.read(said.text)))
    return replace(request, read=read, verify=Verdict(answer, request.verify(answer) if row is not None else ""))


def _kept_reading(text: str, found: tuple[tuple[Row | None, str], ...], said: str) -> list[tuple[Row | None, str]]:
    if said != text:
        raise ValueError(f"this reading is of {text!r}, not of {said!r}")
    return list(found)


def augment_on(address: str, spec: AugmentSpec, work: Path, say: Say) -> tuple[Made, Path]:
    """augment() on the cluster at `address`; nobody is asked when all is there. ValueError when the cluster cannot be used."""
    checked_address(address)
    if finished(spec, work):
        return augment(spec, None, work, say)
    with joined(address, [spec.situations]) as ray, Site(ray) as site:
        return augment(spec, None, work, say, answers_on(site, spec, work, say))


def answers_on(site: Site, spec: AugmentSpec, work: Path, say: Say) -> Answers:
    """For augment(): requests are answered on the cluster. ValueError when it has no room, or a key is missing here."""
    name = spec.teacher.api_key_env
    if name and not os.environ.get(name):
        raise ValueError(f"teacher.api_key_env: the environment variable {name} is not set")
    make_room(site.ray, Need(), say)
    key = SecretStr(os.environ[name]) if name else None
    return partial(_answers, site, spec, key, None if spec.teacher.model == PLANNER else work / "answers.jsonl", say)


def _answers(
    site: Site,
    spec: AugmentSpec,
    key: SecretStr | None,
    kept: Path | None,
    say: Say,
    examples: Sequence[Row],
    first: int,
    want: Callable[[], int],
) -> Generator[tuple[Request, Said], None, None]:
    """Waves of as many requests as are still needed; the next in order is passed on as soon as it is there."""
    known = {said.number: said for said in answered(kept)} if kept else {}
    ready: dict[int, tuple[Request, Said]] = {}
    number, losses = first, 0
    while True:
        last = max(number + want(), *ready) if ready else number + want()
        if spec.situations:
            last = -(-last // SHARD) * SHARD  # a shard is made as a whole
        missing = [n for n in range(number, last) if n not in ready]
        try:
            for request, said in _wave(site, spec, key, _parcels(spec, examples, missing, known), say):
                losses = 0
                if kept and known.get(said.number) != said:
                    append(kept, asdict(said))
                    known[said.number] = said
                ready[request.number] = (request, said)
                while number in ready:
                    yield ready.pop(number)
                    number += 1
        except Lost as loss:
            losses += 1
            if losses >= LOSSES:
                raise ValueError(f"the cluster lost its work {losses} times without an answer in between: {loss}") from loss
            say("a node of the cluster was lost; its requests are asked again")
        while number in ready:
            yield ready.pop(number)
            number += 1


def _parcels(spec: AugmentSpec, examples: Sequence[Row], missing: Sequence[int], known: dict[int, Said]) -> list[Parcel]:
    if not spec.situations:
        asked = islice(requests(spec, examples, missing[0]), missing[-1] - missing[0] + 1)
        wanted = set(missing)
        return [Parcel((request,), known=_of(known, [request.number])) for request in asked if request.number in wanted]
    shards: dict[int, list[int]] = {}
    for number in missing:
        shards.setdefault(number // SHARD, []).append(number)
    return [Parcel(shard=shard, wanted=frozenset(numbers), known=_of(known, numbers)) for shard, numbers in shards.items()]


def _of(known: dict[int, Said], numbers: Sequence[int]) -> tuple[Said, ...]:
    return tuple(known[number] for number in numbers if number in known)


def _wave(site: Site, spec: AugmentSpec, key: SecretStr | None, parcels: list[Parcel], say: Say) -> Iterator[tuple[Request, Said]]:
    """Answers as they come. Raises Lost, and what an asker met: ChatError, or ValueError of the situations."""
    make_room(site.ray, Need(), say)
    crew = crew_for(spec, nodes_of(site.ray), len(parcels))
    lean = spec.model_copy(
        update={"teacher": spec.teacher.model_copy(update={"concurrency": max(1, spec.teacher.concurrency // crew.size)})}
    )
    for done in site.carried_out(partial(_asked, [pickle.dumps(parcel) for parcel in parcels], lean, key, crew)):
        outcome: Done = pickle.loads(done)
        yield from outcome.answers
        if outcome.error is not None:
            raise outcome.error


def crew_for(spec: AugmentSpec, nodes: Sequence[dict[str, float]], parcels: int) -> Crew:
    """One asker per CPU where situations are made or a model runs; where a server does the work, one per node with many calls."""
    cpus, most = int(sum(node.get("CPU", 0) for node in nodes)), spec.teacher.concurrency
    served = spec.teacher.model.startswith(("http://", "https://"))
    if served and not spec.situations:
        size = max(1, min(most, parcels, sum(node.get("CPU", 0) > 0 for node in nodes)))
        return Crew(size, max(1, most // size), LIGHT_CPUS)
    return Crew(max(1, min(cpus, parcels, most if served else cpus)), 1, 1.0)


def _asked(parcels: list[bytes], spec: AugmentSpec, key: SecretStr | None, crew: Crew, put: Put, _: Any) -> None:
    """On the cluster: the parcels through Ray Data."""
    import ray.data

    context = ray.data.DataContext.get_current()
    context.enable_progress_bars = False
    pool = ray.data.ActorPoolStrategy(
        min_size=1, max_size=crew.size, initial_size=crew.size,
        max_concurrent_calls_per_actor=crew.calls, enable_true_multi_threading=crew.calls > 1,
    )  # fmt: skip
    rows = ray.data.from_items([{"parcel": parcel} for parcel in parcels], override_num_blocks=len(parcels))
    # An asker that died is not started anew: where its node is gone, there may be no room for it, and all would wait.
    done = rows.map_batches(
        Asker,
        batch_size=1,
        compute=pool,
        fn_constructor_args=(spec, key),
        num_cpus=crew.cpus,
        max_restarts=0,
        udf_modifying_row_count=False,
    )
    for row in done.iter_rows():
        put(row["done"])
