"""What the page shows, kept as it arrives from the wire; snapshot() is the JSON of /api/state.

Knows nothing of ROS or HTTP. Thread-safe: the wire writes, the server reads.
"""

import itertools
import json
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from pydantic import ValidationError

from sdx_domains.contract import Language, load_domain
from sdx_ui.page.trails import trail_of

AUDIT_LINES = 60
ALIVE_S = 3.0
"""A part that was not heard for so long counts as silent; as the guard's watchdog."""

Payload = dict[str, Any]


@dataclass
class Command:
    """Something the operator asked for, until its effect is seen on the wire."""

    id: str
    kind: str
    done: Callable[["BridgeStore"], bool]


@dataclass
class BridgeStore:
    """The newest of everything, plus trails and the last lines of the record."""

    parts: tuple[str, ...] = ("plant", "guard", "agent", "engine")
    now: Callable[[], float] = time.monotonic
    domain: Any = field(default_factory=lambda: load_domain("ship"))
    """contract.Domain, whichever is shown."""

    def __post_init__(self) -> None:
        self._lock = threading.RLock()
        self._heard: dict[str, float] = {}
        self._trail = trail_of(self.domain)
        self._bounds = dict(self.domain.bounds())
        self._audit: deque[Payload] = deque(maxlen=AUDIT_LINES)
        self._picture_heard = float("-inf")
        self._commands: dict[str, Command] = {}
        self._acks: deque[str] = deque(maxlen=20)
        self._numbers = itertools.count(1)
        self._words: tuple[str, Payload] = ("", {})
        self.picture: Any = None
        self.options: Sequence[Any] = ()
        self.proposal: Payload | None = None
        self.verdict: Payload | None = None
        """Of the newest proposal."""
        self.standing: Payload | None = None
        """Of the order that stands, whoever gave it."""
        self.order: Payload | None = None
        self.pending: Payload | None = None
        self.decision: Payload = {}
        self.mode, self.mode_reason = "", ""
        self.estop = False

    # --- from the wire

    def heard(self, part: str) -> None:
        """A sign of life of a part."""
        with self._lock:
            self._heard[part] = self.now()

    def put_picture(self, payload: Mapping[str, Any]) -> None:
        """A new picture. One that is not valid is recorded and dropped."""
        try:
            picture = self.domain.load_picture(payload)
        except ValidationError as error:
            return self.record("fault", f"a picture was not readable: {error.error_count()} errors, first: {error.errors()[0]['msg']}")
        with self._lock:
            if self.picture is not None and picture.t_s < self.picture.t_s - 1.0:
                self._trail.clear()
            self.picture = picture
            self._picture_heard = self.now()
            self._trail.extend(picture)

    def put_decision(self, proposal: Payload | None, options: list[Payload], about: Mapping[str, Any]) -> None:
        """What the agent proposed, among which options; `about`: model, latency_s, documents."""
        try:
            shown = self.domain.load_options(options)
        except ValidationError as error:
            return self.record("fault", f"options were not readable: {error.errors()[0]['msg']}")
        with self._lock:
            self.proposal, self.options, self.decision = proposal, shown, dict(about)
        if proposal:
            label = next((option.label for option in shown if option.id == proposal.get("option_id")), "abstains")
            self.record("proposal", "; ".join(text for text in (label, proposal.get("reason")) if text))

    def put_verdict(self, verdict: Payload, about: str = "proposal", reason: str = "") -> None:
        """A verdict of the guard: about a proposal, or about the order that stands from now on."""
        with self._lock:
            if about == "order":
                known, self.standing = self.standing == verdict, verdict
                self.order = verdict.get("order")
                self.mode_reason = reason or self.mode_reason
            else:
                known, self.verdict = self.verdict == verdict, verdict
            self._settle()
        if not known:
            label = (verdict.get("order") or {}).get("label", "")
            self.record(f"{about}: {verdict['kind']}", "; ".join(text for text in (label, reason, *verdict.get("reasons", ())) if text))

    def put_pending(self, pending: Payload | None, outcome: str = "") -> None:
        """The order that waits for a person: id, label, setpoints, expires_s. None: none waits; `outcome` of the last."""
        with self._lock:
            changed = (pending or {}).get("id") != (self.pending or {}).get("id")
            self.pending = pending
            self._settle()
        if changed:
            self.record("approval", f"waits: {pending['label']}" if pending else f"none waits {outcome}".strip())

    def put_mode(self, mode: str, reason: str = "") -> None:
        """The guard's mode; its reason may also come with the standing order's verdict, before or after."""
        with self._lock:
            changed = mode != self.mode
            self.mode, self.mode_reason = mode, reason or self.mode_reason
            self._settle()
        if changed:
            self.record("mode", f"{mode} {reason}".strip())

    def put_estop(self, active: bool) -> None:
        with self._lock:
            changed = active != self.estop
            self.estop = active
            self._settle()
        if changed:
            self.record("stop", "the stop is on" if active else "the stop is off")

    def record(self, kind: str, text: str) -> None:
        """A line for the page's record; the audit file is the agent's and the guard's."""
        with self._lock:
            self._audit.append({"t_s": self.picture.t_s if self.picture else 0.0, "kind": kind, "text": text[:400]})

    # --- from the operator

    def expect(self, kind: str, setpoints: Mapping[str, float] | None = None) -> str:
        """Remember a command that goes out now; the id shows up among the acks when its effect is seen.

        Args:
            setpoints: of a takeover: the order in force must have those that it carries under the same name.
        """
        wish, order_before, picture_before = dict(setpoints or {}), self.order, self.picture
        pending_id = (self.pending or {}).get("id")
        effects: dict[str, Callable[[BridgeStore], bool]] = {
            "stop": lambda store: store.estop,
            "reset": lambda store: not store.estop,
            "takeover": lambda store: store.mode == "override" and store.order != order_before and carries(store.order, wish),
            "manual": lambda store: store.picture is not picture_before,
            "release": lambda store: store.mode not in ("override", ""),
            "approve": lambda store: (store.pending or {}).get("id") != pending_id,
            "reject": lambda store: (store.pending or {}).get("id") != pending_id,
        }
        if kind not in effects:
            raise KeyError(f"no command {kind!r}; known: {', '.join(effects)}")
        with self._lock:
            command = Command(f"{kind}-{next(self._numbers)}", kind, effects[kind])
            # One at a time: the newest command of a kind replaces an unanswered older one.
            self._commands[kind] = command
        self.record("operator", kind)
        return command.id

    def _settle(self) -> None:
        for kind, command in list(self._commands.items()):
            if command.done(self):
                self._acks.append(command.id)
                del self._commands[kind]

    # --- to the page

    def snapshot(self) -> Payload:
        """Everything the page draws, as JSON values."""
        with self._lock:
            now = self.now()
            self._settle()
            ages = {part: now - self._heard[part] if part in self._heard else None for part in self.parts}
            return {
                "picture": self.picture.model_dump(mode="json") if self.picture else None,
                "picture_age_s": round(now - self._picture_heard, 2) if self.picture else None,
                "parts": {part: {"age_s": age, "ok": age is not None and age < ALIVE_S} for part, age in ages.items()},
                "mode": self.mode,
                "mode_reason": self.mode_reason,
                "estop": self.estop,
                "options": [option.model_dump(mode="json") for option in self.options],
                "proposal": self.proposal,
                "verdict": self.verdict,
                "standing": self.standing,
                "order": self.order,
                "approval": {"waiting": self.pending},
                "trails": self._trail.points(),
                "bounds": self._bounds,
                "acks": list(self._acks),
                "audit": list(self._audit),
                **self.decision,
                **self._in_words(),
            }

    def healthy(self) -> bool:
        """Is there a fresh picture, and is every part alive?"""
        with self._lock:
            now = self.now()
            alive = all(now - self._heard.get(part, float("-inf")) < ALIVE_S for part in self.parts)
            return alive and self.picture is not None and now - self._picture_heard < ALIVE_S

    def _in_words(self) -> Payload:
        """Description and advice in both languages; kept until picture or proposal change."""
        if self.picture is None:
            return {"description": {}, "advice": {}}
        key = f"{self.picture.t_s} {json.dumps(self.proposal, sort_keys=True)}"
        if self._words[0] != key:
            chosen_id = (self.proposal or {}).get("option_id")
            chosen = next((option for option in self.options if option.id == chosen_id), None)
            languages: tuple[Language, ...] = ("en", "ko")
            picture = self.picture
            words = {
                "description": {language: self.domain.describe(picture, language) for language in languages},
                "advice": {language: self.domain.advise(picture, chosen, language) if chosen else "" for language in languages},
            }
            self._words = (key, words)
        return self._words[1]


def carries(order: Payload | None, wish: Mapping[str, float]) -> bool:
    """Whether the order holds what was wished, as far as it has set-points of those names."""
    held = (order or {}).get("setpoints", {})
    return order is not None and all(held.get(name, value) == value for name, value in wish.items())
