"""Holds an answer to a JSON schema: which tokens may come next. Start at Schemas."""

from collections.abc import Collection
from functools import lru_cache
from typing import Any

import numpy as np
from tokenizers import Tokenizer

from sdx_serving.openai_protocol import Refusal

_SPACE = r"[ ]?|\n[ ]{0,20}"
"""What may stand between the parts of an answer: bounded, because weak models would write line ends for ever."""


class Schemas:
    """Grammars of schemas for one tokenizer. Keys come in the schema's order. Refusal when the tokenizer is of another kind."""

    def __init__(self, tokenizer: Tokenizer, ends: Collection[int]) -> None:
        from llguidance import LLTokenizer

        try:
            self._tokenizer = LLTokenizer(tokenizer.to_str(), eos_token=sorted(ends))
        except ValueError as error:
            raise Refusal(f"response_format: answers in the tokens of this model cannot be held to a schema ({error})") from error
        self._grammar = lru_cache(maxsize=128)(self._grammar_of)

    def begin(self, schema: str) -> "Follower":
        """For one answer. Refusal when the schema has no grammar. `schema`: its JSON text."""
        return Follower(self._grammar(schema).deep_copy())

    def _grammar_of(self, schema: str) -> Any:
        from llguidance import LLMatcher

        options: Any = {"whitespace_pattern": _SPACE, "coerce_one_of": True}
        try:
            matcher = LLMatcher(self._tokenizer, LLMatcher.grammar_from_json_schema(schema, overrides=options))
        except ValueError as error:
            raise Refusal(f"response_format: this JSON schema has no grammar ({error}): simplify it") from error
        _check(matcher)
        return matcher


class Follower:
    """Where one answer stands in its schema."""

    def __init__(self, matcher: Any) -> None:
        self._matcher = matcher

    def mask(self, logits: np.ndarray) -> np.ndarray:
        """`logits` (vocabulary,) with -inf at all tokens that may not come next."""
        allowed = np.unpackbits(np.frombuffer(self._matcher.compute_bitmask(), np.uint8), bitorder="little")[: len(logits)]
        _check(self._matcher)
        return np.where(allowed == 1, logits, -np.inf)

    def take(self, token: int) -> bool:
        """Go on past `token`; False when the answer is whole."""
        self._matcher.consume_token(token)
        _check(self._matcher)
        return not self._matcher.is_stopped()


def _check(matcher: Any) -> None:
    if matcher.is_error():
        raise Refusal(f"response_format: this JSON schema cannot be followed ({matcher.get_error().splitlines()[0]}): simplify it")
