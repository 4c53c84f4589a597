"""What a made row must pass. Accepted or rejected, it keeps the reason."""

import json
from collections import Counter
from collections.abc import Callable, Iterable
from typing import Any

from sdx_domains.contract import language_of
from sdx_finetune.augment.spec import AugmentSpec
from sdx_finetune.datasets.check import text_of
from sdx_finetune.datasets.formats import Row
from sdx_finetune.datasets.near import Neighbours
from sdx_finetune.rows import load_function

Reason = str
"""Why a row is rejected; "" when it is not."""


class Acceptance:
    """Checks rows one after another; what was accepted counts for those that follow."""

    def __init__(self, spec: AugmentSpec, examples: Iterable[Row], unseen: Iterable[Row]) -> None:
        self.spec = spec
        self.counts: Counter[tuple[str, str]] = Counter()
        self._known = Neighbours(spec.checks.near)
        for row in examples:
            self._known.add(text_of(row), "an example")
        for row in unseen:
            self._known.add(text_of(row), "a row that is kept apart")
        self._domain: Callable[[Row], str] | None = load_function(spec.checks.domain) if spec.checks.domain else None
        self._schema: Any = json.loads(spec.checks.answer_schema.read_text(encoding="utf-8")) if spec.checks.answer_schema else None

    def take(self, row: Row, verify: Callable[[str], str] | None = None) -> Reason:
        """ "" and the row counts from now on; else why not. `verify`: the situation's own check of an answer."""
        answer = row["messages"][-1]["content"]
        checks: tuple[Callable[[], str], ...] = (
            lambda: self._wrong_language(row),
            lambda: self._wrong_answer(answer),
            lambda: verify(answer) if verify else "",
            lambda: self._domain_says(row),
            lambda: self._over_balance(row),
            lambda: self._known.near(text_of(row)),
        )
        for check in checks:
            if reason := check():
                return reason
        self.count(row)
        return ""

    def count(self, row: Row) -> None:
        """Remember an accepted row, of this run or an earlier one."""
        self._known.add(text_of(row), "an accepted row")
        for key in self.spec.balance:
            self.counts[key, str(row["meta"].get(key))] += 1

    def _domain_says(self, row: Row) -> Reason:
        if self._domain is None:
            return ""
        try:
            return self._domain(row)
        except Exception as error:  # noqa: BLE001 - a user's check that stumbles over a row has not passed it
            return f"{self.spec.checks.domain} failed on it: {type(error).__name__}: {error}"

    def _wrong_language(self, row: Row) -> Reason:
        asked = row["meta"].get("language")
        told = language_of(row["messages"][-1]["content"])
        # A JSON answer, or one of labels, has no language.
        worded = not row["messages"][-1]["content"].lstrip().startswith(("{", "["))
        return f"asked for in {asked}, written in {told}" if asked == "ko" and told != "ko" and worded else ""

    def _wrong_answer(self, answer: str) -> Reason:
        if self._schema is None and not self.spec.checks.ranges:
            return ""
        try:
            value = json.loads(answer)
        except json.JSONDecodeError as error:
            return f"answer: not JSON ({error.msg} at {error.pos})"
        if self._schema is not None:
            import jsonschema

            first = next(jsonschema.Draft202012Validator(self._schema).iter_errors(value), None)
            if first is not None:
                return f"answer{''.join(f'.{part}' for part in first.absolute_path)}: {first.message[:160]}"
        return next((reason for name, span in self.spec.checks.ranges.items() if (reason := _outside(value, name, span))), "")

    def _over_balance(self, row: Row) -> Reason:
        for key, shares in self.spec.balance.items():
            value = str(row["meta"].get(key))
            most = shares.get(value)
            if most is not None and self.counts[key, value] >= most * self.spec.rows:
                return f"{key}={value} has its {most:.0%} of the rows already"
        return ""


def _outside(value: Any, name: str, span: tuple[float, float]) -> Reason:
    for part in name.split("."):
        if not isinstance(value, dict) or part not in value:
            return f"answer.{name}: missing"
        value = value[part]
    if isinstance(value, bool) or not isinstance(value, int | float):
        return f"answer.{name}: {value!r} is no number"
    low, high = span
    return "" if low <= value <= high else f"answer.{name}: {value} is outside {low:g}..{high:g}"
