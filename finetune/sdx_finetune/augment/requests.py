"""What the teacher is asked, request by request: a function of the spec and a number alone, so that a resumed run asks the same."""

import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from importlib.resources import files
from random import Random
from typing import Any

from jinja2 import Environment, StrictUndefined, TemplateError

from sdx_domains.contract import Language, Situation, digest
from sdx_finetune.augment.shots import choose_shots
from sdx_finetune.augment.spec import AugmentSpec
from sdx_finetune.datasets.formats import Row, parse
from sdx_finetune.rows import load_function

_FENCE = re.compile(r"^\s*```(?:json)?\s*|\s*```\s*$")
SHARD, SHARD_SEEDS = 20, 1000
"""Situations made at once, and the seeds set aside for them: a resumed run makes at most one shard again."""


@dataclass(frozen=True, slots=True)
class Request:
    """One call of the teacher and how its answer becomes rows."""

    number: int
    messages: list[dict[str, str]]
    schema: Mapping[str, Any] | None
    temperature: float
    read: Callable[[str], list[tuple[Row | None, str]]]
    """Answer -> (row, "") or (None, why it is none), for each row in it."""
    verify: Callable[[str], str] | None = None
    own_answer: str = ""
    """What the domain itself answers."""

    def key(self, model: str, max_tokens: int) -> str:
        """Content key: the same prompt, model and parameters."""
        return digest([self.messages, self.schema, self.temperature, model, max_tokens, self.number])


def requests(spec: AugmentSpec, examples: Sequence[Row], first: int) -> Iterator[Request]:
    """Requests from number `first` on, without end."""
    return _to_answer(spec, first) if spec.situations else _to_write(spec, examples, first)


def _to_write(spec: AugmentSpec, examples: Sequence[Row], first: int) -> Iterator[Request]:
    systems = {row["messages"][0]["content"] for row in examples if row["messages"][0]["role"] == "system"}
    system = systems.pop() if len(systems) == 1 else ""
    number = first
    while True:
        language = spec.languages[number % len(spec.languages)]
        temperature = spec.teacher.temperatures[number // len(spec.languages) % len(spec.teacher.temperatures)]
        shots = choose_shots(examples, spec.shots, Random(f"{spec.seed}:{number}"))
        text = prompt_text(spec, language, shots)
        read = partial(_rows_in, system=system, language=language, number=number)
        yield Request(number, [{"role": "user", "content": text}], _rows_schema(), temperature, read)
        number += 1


def prompt_text(spec: AugmentSpec, language: Language, shots: Sequence[Row]) -> str:
    """The filled template. ValueError names the template and what it lacks."""
    shipped = files("sdx_finetune.augment") / f"prompts/write.{language}.j2"
    source = spec.prompt.read_text(encoding="utf-8") if spec.prompt else shipped.read_text(encoding="utf-8")
    environment = Environment(undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True, autoescape=False)
    environment.policies["json.dumps_kwargs"] = {"ensure_ascii": False}
    told = [{m["role"]: m["content"] for m in row["messages"] if m["role"] != "system"} for row in shots]
    try:
        return environment.from_string(source).render(task=spec.task, language=language, shots=told, count=spec.per_request)
    except TemplateError as error:
        raise ValueError(f"{spec.prompt or shipped}: {error}; it may use task, language, shots and count") from error


def _rows_schema() -> dict[str, Any]:
    # Servers differ in what they know of JSON schema: lengths and counts are checked when the answer is read.
    text = {"type": "string"}
    row = {
        "type": "object",
        "properties": {"user": text, "assistant": text},
        "required": ["user", "assistant"],
        "additionalProperties": False,
    }
    rows = {"type": "array", "items": row}
    return {"type": "object", "properties": {"rows": rows}, "required": ["rows"], "additionalProperties": False}


def _rows_in(said: str, system: str, language: Language, number: int) -> list[tuple[Row | None, str]]:
    try:
        given = json.loads(_FENCE.sub("", said))["rows"]
        pairs = [(item["user"], item["assistant"]) for item in given]
    except (ValueError, KeyError, TypeError) as error:
        return [(None, f'the answer is no {{"rows": [{{"user", "assistant"}}]}} ({error!r}): {said[:80]!r}')]
    return [_row(system, user, answer, {"language": language, "request": number, "item": i}) for i, (user, answer) in enumerate(pairs)]


def _row(system: str, user: object, answer: object, meta: dict[str, Any]) -> tuple[Row | None, str]:
    before = [{"role": "system", "content": system}] if system else []
    turns = [*before, {"role": "user", "content": user}, {"role": "assistant", "content": answer}]
    return _parsed(turns, meta)


def _parsed(turns: list[dict[str, Any]], meta: Mapping[str, Any]) -> tuple[Row | None, str]:
    row, faults = parse({"messages": turns, "meta": meta}, "made")
    return (row, "") if row is not None else (None, f"{faults[0].field}: {faults[0].problem}")


def _to_answer(spec: AugmentSpec, first: int) -> Iterator[Request]:
    make = load_function(spec.situations or "")
    shard, skip = divmod(first, SHARD)
    while True:
        made: list[Situation] = list(make(SHARD, spec.seed + shard * SHARD_SEEDS))
        if len(made) != SHARD:
            raise ValueError(
                f"{spec.situations}({SHARD}, {spec.seed + shard * SHARD_SEEDS}) gave {len(made)} situations; it must give {SHARD}"
            )
        for place, situation in enumerate(made[skip:], skip):
            number = shard * SHARD + place
            temperature = spec.teacher.temperatures[number % len(spec.teacher.temperatures)]
            read = partial(_answered, situation)
            yield Request(number, situation.messages, situation.schema, temperature, read, situation.verify, situation.answer)
        shard, skip = shard + 1, 0


def _answered(situation: Situation, said: str) -> list[tuple[Row | None, str]]:
    return [_parsed([*situation.messages, {"role": "assistant", "content": said.strip()}], situation.meta)]
