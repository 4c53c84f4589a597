"""Who answers a request: the first of its route that can, may, is well, and will be in time. Start at choose()."""

import time
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass

from sdx_serving.gateway import config
from sdx_serving.gateway.requests import Asked
from sdx_serving.gateway.upstream import Upstream
from sdx_serving.registry import Registry

_MARGIN, _SPARE = 1.25, 0.1
"""What a fallback is left beyond its own time: a quarter more, and a tenth of all that is left."""
_MOST = 0.7
"""Of the time left that is kept for fallbacks."""
_PATIENCE = 10.0
"""Who takes so many times its p95, and a third of the time that is left, is not coming."""
_REGISTRY_S = 5.0
"""How long an answer of the registry is believed."""


@dataclass(frozen=True, slots=True)
class Target:
    """One of a route's upstreams, in the order of the file."""

    place: int
    upstream: Upstream
    model: str
    """"" sends the client's word."""


@dataclass(frozen=True, slots=True)
class Route:
    """A model name that clients ask for."""

    name: str
    told: config.Route
    targets: tuple[Target, ...]


@dataclass(frozen=True, slots=True)
class Choice:
    """Who is asked now, for how long, and who comes next."""

    target: Target
    budget_s: float
    following: Target | None


Passed = Callable[[str, str], bool]


class Tasks:
    """Which weights have passed which task, from the registry; read anew after a few seconds."""

    def __init__(self, registry: Registry) -> None:
        self._registry = registry
        self._known: dict[tuple[str, str], tuple[float, bool]] = {}

    def passed(self, sha256: str, task: str) -> bool:
        at_s, answer = self._known.get((sha256, task), (0.0, False))
        if time.monotonic() - at_s > _REGISTRY_S or not at_s:
            answer = bool(sha256) and self._registry.passed(sha256, task)
            self._known[sha256, task] = (time.monotonic(), answer)
        return answer


def why_not(route: Route, target: Target, asked: Asked, passed: Passed) -> str:
    """Why this one may never answer this request; "" if it may."""
    lacking = sorted((asked.needs | set(route.told.needs)) - (target.upstream.facts or frozenset()))
    if lacking:
        unknown = "is not known to serve" if target.upstream.facts is None else "does not serve"
        return f"{target.upstream.name} {unknown} {', '.join(lacking)}"
    if target.place and route.told.task and not passed(target.upstream.sha256, route.told.task):
        return f"{target.upstream.name}'s weights have not passed the task {route.told.task} (`sdx registry list`)"
    return ""


def choose(
    route: Route, asked: Asked, left_s: float, now_s: float, tried: Collection[int], passed: Passed
) -> tuple[Choice | None, list[str]]:
    """Who is asked next, and why those before are not.

    Args:
        left_s: until the client's deadline.
        tried: places that have failed for this request.
    """
    reasons: list[str] = []
    usable: list[Target] = []
    for target in route.targets:
        if target.place in tried:
            continue
        reason = why_not(route, target, asked, passed)
        if not reason and not target.upstream.breaker.passes:
            reason = f"{target.upstream.name} is left alone after failures"
        if reason:
            reasons.append(reason)
        else:
            usable.append(target)
    usable.sort(key=lambda target: target.upstream.restarting)  # asked if nobody else is there: it will be back
    for target, following in zip(usable, [*usable[1:], None], strict=False):
        budget_s, expected_s = _budget(target, following, left_s, now_s, asked.tokens)
        late = following and expected_s is not None and expected_s > left_s - (_alone(following, now_s, asked.tokens) or 0.0)
        if late and not target.upstream.may_try_slow(now_s):
            reasons.append(f"{target.upstream.name} would take {expected_s:.2f} s of the {left_s:.2f} s left")
            continue
        if following and (late or target.upstream.breaker.state == "half-open"):
            budget_s = min(budget_s, left_s / 2)  # to find out whether it is well again, not to rely on it
        skipped = [
            f"{other.upstream.name} is starting again" for other in usable if other.place < target.place and other.upstream.restarting
        ]
        return Choice(target, budget_s, following), reasons + skipped
    return None, reasons


def _alone(target: Target, now_s: float, tokens: int | None) -> float | None:
    return target.upstream.expect(now_s, tokens, 1)


def _budget(target: Target, following: Target | None, left_s: float, now_s: float, tokens: int | None) -> tuple[float, float | None]:
    """(time it is given, time it is expected to take). The one after it keeps the time for all who may come down to it."""
    slots = target.upstream.slots
    expected_s = target.upstream.expect(now_s, tokens, slots.waves())
    if following is None:
        return left_s, expected_s
    then_s = following.upstream.expect(now_s, tokens, following.upstream.slots.waves(leaning=True))
    if then_s is None:
        return left_s / 2, expected_s
    kept_s = min(_MARGIN * then_s + _SPARE * left_s, _MOST * left_s)
    patience_s = left_s if expected_s is None else max(_PATIENCE * expected_s, left_s / 3)
    return min(left_s - kept_s, patience_s), expected_s


def by_name(routes: Mapping[str, config.Route], upstreams: Mapping[str, Upstream]) -> dict[str, Route]:
    """The file's routes with their upstreams."""
    return {name: Route(name, told, _targets(told.to, upstreams)) for name, told in routes.items()}


def _targets(to: Sequence[config.Target], upstreams: Mapping[str, Upstream]) -> tuple[Target, ...]:
    return tuple(
        Target(place, upstreams[target.upstream], target.model or upstreams[target.upstream].told.model) for place, target in enumerate(to)
    )
