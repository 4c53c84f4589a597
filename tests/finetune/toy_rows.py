"""A generator of toy rows: numbered ships, which one passes nearest, English and Korean."""

import json
import random
from collections.abc import Iterator
from typing import Any


def rows(count: int, seed: int, ships: int = 3) -> Iterator[dict[str, Any]]:
    """`count` rows that depend on `seed` alone."""
    rng = random.Random(seed)
    for index in range(count):
        language = rng.choice(("en", "ko"))
        miles = [rng.randrange(1, 99) / 10 for _ in range(ships)]
        facts = "\n".join(f"T{i + 1} cpa {mile:.1f} tcpa {rng.randrange(5, 40)}" for i, mile in enumerate(miles))
        nearest = min(range(ships), key=miles.__getitem__)
        words = {"en": f"T{nearest + 1} passes nearest.", "ko": f"T{nearest + 1}이 가장 가깝다."}[language]
        answer = json.dumps({"nearest": f"T{nearest + 1}", "reason": words}, ensure_ascii=False, separators=(",", ":"))
        asked = {"en": "Which ship passes nearest?", "ko": "어느 배가 가장 가까운가?"}[language]
        yield {
            "messages": [
                {"role": "system", "content": "Answer in JSON."},
                {"role": "user", "content": f"{facts}\n{asked}"},
                {"role": "assistant", "content": answer},
            ],
            "meta": {"language": language, "index": index, "nearest": f"T{nearest + 1}"},
        }


def short_rows(count: int, seed: int) -> Iterator[dict[str, Any]]:
    """One row fewer than asked."""
    return rows(count - 1, seed)


def broken_rows(count: int, seed: int) -> Iterator[dict[str, Any]]:
    """The second row ends with the user's turn."""
    for number, row in enumerate(rows(count, seed)):
        yield row | {"messages": row["messages"][:-1]} if number == 1 else row


def letters(row: object, answer: str) -> float:
    """A reward that is easily raised: the share of small letters."""
    return sum("a" <= letter <= "z" for letter in answer) / max(1, len(answer))


def no_number(row: object, answer: str) -> float:
    """A reward that is broken."""
    return float("nan")


def schema_of(row: Any) -> dict[str, Any]:
    """What an answer looks like."""
    return {"type": "object", "properties": {"nearest": {"type": "string"}, "reason": {"type": "string"}}, "title": row.meta["nearest"]}
