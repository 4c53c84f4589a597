"""One closed-loop run in lock-step: plant, perceiver, decider, guard on one simulated clock.

The same guard and agent run as processes over DDS (`sdx up`); here time is simulated, so a run is fast and
repeatable. A decision takes `decision_delay_s` of simulated time before it is offered to the guard, as a model
on the edge would; between decisions the guard checks the held order on every tick.
"""

import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from sdx_agents.guard import Guard
from sdx_domains.contract import Domain, Option, Order, Picture, Plant, Proposal, Verdict


@dataclass(frozen=True)
class Decided:
    """What a decider returns: options as shown, the proposal, its own verdict if it already failed (timeout, fallback)."""

    options: Sequence[Option]
    proposal: Proposal
    failed: Verdict | None = None
    latency_s: float = 0.0


Decider = Callable[[Picture], Decided]


@dataclass(frozen=True)
class Step:
    """One thing that happened: a decision was offered, or the order in force changed."""

    kind: str
    """ "decision" or "order"."""
    t_s: float
    picture: Picture
    verdict: Verdict | None = None
    proposal: Proposal | None = None
    order: Order | None = None
    mode: str = ""
    latency_s: float = 0.0


@dataclass
class Episode:
    """A run in progress; `run()` yields its steps until the plant is done, `ticks()` the same tick by tick."""

    domain: Domain
    plant: Plant
    decide: Decider
    guarded: bool = True
    until_s: float = float("inf")
    """Plant time at which the run ends, if the plant is not done before."""
    verdicts: Counter[str] = field(default_factory=Counter[str])
    latencies_s: list[float] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.pace = self.domain.pace
        self._guard = Guard(self.domain)
        self._decided_s = float("-inf")
        self._salience = ""
        self._waiting: tuple[float, Decided] | None = None
        self._order_id = ""

    def run(self) -> Iterator[Step]:
        for _, happened in self.ticks():
            yield from happened

    def ticks(self) -> Iterator[tuple[Picture, list[Step]]]:
        """Each look of the guard: the picture, and what happened; the plant moves on after it."""
        perceiver = self.domain.perceiver()
        while not self.plant.done and self.plant.t_s < self.until_s:
            now_s = self.plant.t_s
            picture = perceiver.take(self.plant.readings(), now_s)
            yield picture, [*self._think(picture, now_s), *self._act(picture, now_s)]
            self._advance()

    def _advance(self) -> None:
        for _ in range(round(self.pace.tick_s / self.pace.step_s)):
            self.plant.step(self.pace.step_s)

    def _think(self, picture: Picture, now_s: float) -> Iterator[Step]:
        if self._waiting is None and self._due(picture, now_s):
            self._decided_s, self._salience = now_s, picture.salience
            self._guard.remember(picture)
            decided = self.decide(picture)
            self.latencies_s.append(decided.latency_s)
            self._waiting = (now_s + self.pace.decision_delay_s, decided)
        self._guard.agent_seen(now_s)
        if self._waiting is not None and now_s >= self._waiting[0]:
            decided, self._waiting = self._waiting[1], None
            verdict = self._offer(picture, decided)
            self.verdicts[verdict.kind] += 1
            if not self.guarded and verdict.order is not None:
                self.plant.apply(verdict.order)
            yield Step("decision", now_s, picture, verdict, decided.proposal, verdict.order, latency_s=decided.latency_s)

    def _due(self, picture: Picture, now_s: float) -> bool:
        since = now_s - self._decided_s
        changed = picture.salience != self._salience and since >= self.pace.decide_at_most_every_s
        return since >= self.pace.decide_every_s or changed

    def _offer(self, picture: Picture, decided: Decided) -> Verdict:
        if decided.failed is not None:
            return decided.failed
        if self.guarded:
            return self._guard.offer(picture, decided.options, decided.proposal)
        return self._unguarded(picture, decided)

    def _unguarded(self, picture: Picture, decided: Decided) -> Verdict:
        """What the ablation without a guard does: whatever was proposed is carried out, in simulation only."""
        chosen = next((o for o in decided.options if o.id == decided.proposal.option_id), None)
        if chosen is None:
            return Verdict(kind="reject", picture_id=picture.id, reasons=("no option was chosen",))
        order = Order(
            domain=picture.domain, setpoints=chosen.setpoints, issued_s=picture.t_s, valid_for_s=1e6,
            source="model", picture_id=picture.id, option_id=chosen.id, label=chosen.label,
        )  # fmt: skip
        return Verdict(kind="override", picture_id=picture.id, reasons=("guard switched off",), order=order)

    def _act(self, picture: Picture, now_s: float) -> Iterator[Step]:
        if not self.guarded:
            return
        tick = self._guard.tick(picture, now_s)
        if tick.order is not None and tick.order.id != self._order_id:
            self._order_id = tick.order.id
            self.plant.apply(tick.order)
            if tick.mode == "fallback":
                self.verdicts["fallback"] += 1
            yield Step("order", now_s, picture, tick.verdict, order=tick.order, mode=tick.mode)


def planner_decider(domain: Domain) -> Decider:
    """Decides with the domain's own deterministic planner: the run without a model."""

    def decide(picture: Picture) -> Decided:
        started = time.perf_counter()
        options = domain.options(picture)
        return Decided(options, domain.planned(picture, options), latency_s=time.perf_counter() - started)

    return decide


def silent_decider(picture: Picture) -> Decided:
    """Decides nothing: the guard's fallback alone, what every agent is measured against."""
    return _silent(picture, "fallback", "nobody decides")


def with_outage(decide: Decider, from_s: float, until_s: float) -> Decider:
    """The same decider, but without an answer between two times of the plant's clock, as a model that is dead."""

    def decide_when_alive(picture: Picture) -> Decided:
        return _silent(picture, "timeout", "no answer: outage") if from_s <= picture.t_s < until_s else decide(picture)

    return decide_when_alive


def _silent(picture: Picture, kind: Literal["fallback", "timeout"], reason: str) -> Decided:
    verdict = Verdict(kind=kind, picture_id=picture.id, reasons=(reason,))
    return Decided((), Proposal(option_id=None, source="fallback"), failed=verdict)


def agent_decider(agent: Any, language: str = "en") -> Decider:
    """Decides with a model behind the graph (sdx_agents.graph.Agent)."""

    def decide(picture: Picture) -> Decided:
        decision = agent.decide(picture, language=language)
        failed = decision.verdict if decision.verdict.kind in ("timeout", "fallback") else None
        return Decided(decision.options, decision.proposal, failed, decision.latency_s)

    return decide
