"""Answers held to a JSON schema: the schema as a llama.cpp grammar, and the next token under it. Start at grammar_of()."""

import ctypes
import importlib
from functools import lru_cache
from typing import Any

import numpy as np

from sdx_serving.openai_protocol import Refusal

_ANY_CHARACTER = r'char ::= [^"\\] |'
_PRINTED_CHARACTER = r'char ::= [^"\\\x00-\x1F\x7F] |'


@lru_cache(maxsize=128)
def grammar_of(schema: str) -> str:
    """The llama.cpp grammar (GBNF) of a JSON schema given as JSON text; keys come in the schema's order.

    Raises:
        Refusal: the schema has no grammar.
    """
    try:
        rules: str = importlib.import_module("llama_cpp.llama_grammar").json_schema_to_gbnf(schema)
    except Exception as error:
        raise Refusal(f"response_format: this JSON schema has no grammar ({error or type(error).__name__}): simplify it") from error
    # JSON forbids bare control characters in strings; the converter's rule for a character lets them pass.
    return rules.replace(_ANY_CHARACTER, _PRINTED_CHARACTER)


class Grammar:
    """Where an answer stands in its grammar.

    Greedy choice looks at the likeliest token first and at all others only where the grammar forbids it: the same token,
    without asking the grammar about the whole vocabulary each time.

    Raises:
        Refusal: llama.cpp cannot read the grammar.
    """

    def __init__(self, vocab: Any, rules: str) -> None:
        self._lib: Any = importlib.import_module("llama_cpp")
        self.state = self._lib.llama_sampler_init_grammar(vocab, rules.encode(), b"root")
        if not self.state:
            raise Refusal("response_format: llama.cpp cannot follow the grammar of this JSON schema: simplify it")

    def close(self) -> None:
        self._lib.llama_sampler_free(self.state)

    def take(self, logits: np.ndarray) -> int:
        """The likeliest token (of `logits`, one per token) that is allowed here; the grammar moves on past it."""
        token = int(logits.argmax())
        if not self._allows(token):
            token = self._likeliest(logits)
        self._lib.llama_sampler_accept(self.state, token)
        return token

    def _allows(self, token: int) -> bool:
        one = (self._lib.llama_token_data * 1)()
        one[0].id, one[0].logit = token, 1.0
        self._narrow(one, 1)
        return one[0].logit > -np.inf

    def _likeliest(self, logits: np.ndarray) -> int:
        kind = np.dtype([("id", np.int32), ("logit", np.float32), ("p", np.float32)])
        every = np.zeros(len(logits), kind)
        every["id"], every["logit"] = np.arange(len(logits)), logits
        self._narrow(every.ctypes.data, len(logits))
        token = int(every["logit"].argmax())
        if every["logit"][token] == -np.inf:  # to accept a forbidden token would end the process
            raise RuntimeError("no token of the model's vocabulary continues this answer under its schema")
        return token

    def _narrow(self, tokens: Any, count: int) -> None:
        """Forbidden ones among the tokens get the logit -inf."""
        pointer = ctypes.cast(tokens, self._lib.llama_token_data_p)
        held = self._lib.llama_token_data_array(data=pointer, size=count, selected=-1, sorted=False)
        self._lib.llama_sampler_apply(self.state, ctypes.byref(held))
