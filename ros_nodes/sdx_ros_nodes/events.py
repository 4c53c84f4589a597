"""What the JSON of the event topics looks like: operator actions, proposals, verdicts, pending orders.

Closed models: an unknown or missing field is refused with its name. Text in them is data, whoever wrote it.
"""

import json
from collections.abc import Mapping
from typing import Annotated, Any, Literal, TypeVar

from pydantic import Field, TypeAdapter, ValidationError

from sdx_domains.contract import Closed, Order, Passage, Proposal, Verdict, digest
from sdx_ros_nodes.conversions import header
from sdx_ros_nodes.messages import new

T = TypeVar("T", bound=Closed)
S = TypeVar("S")
EVENT_TYPE = "sdx_msgs/msg/Event"
MAX_JSON_CHARS = 2_000_000
ApprovalPolicy = Literal["auto", "ask"]


class Stop(Closed):
    """Latch the stop."""

    kind: Literal["stop"] = "stop"
    by: str
    reason: str = "stop button"


class Reset(Closed):
    """End the stop."""

    kind: Literal["reset"] = "reset"
    by: str


class Override(Closed):
    """A human takes the con with these set-points; the domain holds them to its bounds."""

    kind: Literal["override"] = "override"
    by: str
    setpoints: Mapping[str, Annotated[float, Field(allow_inf_nan=False)]] = Field(min_length=1, max_length=100)
    """By name, unit in it: {"heading_deg": 45.0, "speed_kn": 8.0}."""
    valid_for_s: float = Field(600.0, gt=0.0, le=86_400.0, allow_inf_nan=False)


class Manual(Closed):
    """A human sets one device by hand; position None gives it back to the controller."""

    kind: Literal["manual"] = "manual"
    by: str
    device: str = Field(max_length=100)
    position_pct: float | None = Field(ge=0.0, le=100.0, allow_inf_nan=False)


class Release(Closed):
    """The human gives the con back."""

    kind: Literal["release"] = "release"
    by: str


class Approve(Closed):
    """Carry out the pending order with this id, and no other."""

    kind: Literal["approve"] = "approve"
    by: str
    order_id: str


class Refuse(Closed):
    """Do not carry out the pending order with this id."""

    kind: Literal["refuse"] = "refuse"
    by: str
    order_id: str
    reason: str = ""


class Policy(Closed):
    """Whether the agent's orders wait for a human."""

    kind: Literal["policy"] = "policy"
    by: str
    approval: ApprovalPolicy


Action = Annotated[Stop | Reset | Override | Manual | Release | Approve | Refuse | Policy, Field(discriminator="kind")]
_ACTION: TypeAdapter[Action] = TypeAdapter(Action)


class Proposed(Closed):
    """A decision of the agent, with all that is needed to assure it again."""

    picture_id: str
    picture_t_s: float
    """Plant time of the picture it was made from."""
    options: tuple[dict[str, Any], ...]
    """The options that were shown, as JSON of the domain's Option type."""
    proposal: Proposal
    passages: tuple[Passage, ...] = ()
    documents: tuple[Passage, ...] = ()
    """What the user's library says about the situation; the proposal was not made from it."""
    model: str = ""
    latency_s: float = 0.0
    language: str = "en"
    note: str = ""
    """What the agent's own assurance said, when it was not an accept."""
    failed: Literal["", "timeout", "engine", "answer"] = ""
    """Why no usable answer came from the model; then the proposal abstains."""

    @property
    def id(self) -> str:
        return digest(self.model_dump(mode="json"))


class Judged(Closed):
    """A verdict of the guard, about a proposal or about the order that stands."""

    verdict: Verdict
    about: Literal["proposal", "order"]
    proposal_id: str = ""
    mode: str = ""
    reason: str = ""


class Pending(Closed):
    """An order that waits for a human until `expires_s` of plant time; `order` None: nothing waits."""

    order: Order | None = None
    verdict: Verdict | None = None
    proposal_id: str = ""
    expires_s: float = 0.0
    outcome: str = ""
    """How the last one ended: "approved", "refused", "expired", "replaced", or why it could not be carried out."""


def sayable(value: T) -> T:
    """The same, with half surrogate pairs (as a model or a broken file can write them) as "?": UTF-8 has no form for them."""
    text = json.dumps(value.model_dump(mode="json"), ensure_ascii=False)
    return value if text.isascii() else type(value).model_validate_json(text.encode("utf-8", "replace"))


def event(kind: str, identity: str, payload: Closed, now_s: float) -> Any:
    """The Event message of a payload."""
    return new(EVENT_TYPE, header=header(now_s), kind=kind, id=identity, json=sayable(payload).model_dump_json())


def operator_event(action: Action, now_s: float) -> Any:
    """What the page or any other program sends on `operator`."""
    return event(action.kind, getattr(action, "order_id", ""), action, now_s)


def read_action(message: Any) -> Action:
    """The operator's action in an Event.

    Raises:
        ValueError: too long, no JSON, no such action, a field missing or out of range; says which.
    """
    return _read(_ACTION, message)


def read_event(kind: type[T], message: Any) -> T:
    """The payload of an Event.

    Raises:
        ValueError: as read_action().
    """
    return _read(TypeAdapter(kind), message)


def _read(adapter: TypeAdapter[S], message: Any) -> S:
    if len(message.json) > MAX_JSON_CHARS:
        raise ValueError(f"event {message.kind!r} has {len(message.json)} characters; at most {MAX_JSON_CHARS} are read")
    try:
        return adapter.validate_json(message.json)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        where = ".".join(str(part) for part in first["loc"]) or "the whole"
        raise ValueError(f"event {message.kind!r} refused: {where}: {first['msg']} ({error.error_count()} faults in all)") from error
