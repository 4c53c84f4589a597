"""Where a user's document says otherwise than a shipped rule: differs() says in what. The rule is shown first and stays in force."""

from collections.abc import Sequence

from sdx_rag.support import figures, negated, sides, wrong_side
from sdx_rag.words import query_tokens

ALIKE = 0.5
"""Least share of the shorter sentence's words in the other for both to speak of the same thing."""


def differs(sentence: str, rules: Sequence[str]) -> str:
    """ "figures", "side" or "negation" where a rule that speaks of the same thing has another; "" where none has."""
    words = set(query_tokens(sentence))
    for rule in rules:
        held = set(query_tokens(rule))
        if not words or not held or len(words & held) < ALIKE * min(len(words), len(held)):
            continue
        if kind := _other(sentence, rule):
            return kind
    return ""


def _other(sentence: str, rule: str) -> str:
    said, told = figures(sentence), figures(rule)
    units = {unit for _, unit in said} & {unit for _, unit in told}
    if any({value for value, of in said if of == unit}.isdisjoint({value for value, of in told if of == unit}) for unit in units):
        return "figures"
    if sides(sentence) and sides(rule) and wrong_side(sentence, [rule]):
        return "side"
    return "negation" if negated(sentence) != negated(rule) else ""
