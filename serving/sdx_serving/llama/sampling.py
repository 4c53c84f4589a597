"""How the next token is taken. Start at Sampler."""

import importlib
from typing import Any

import numpy as np

from sdx_serving.llama.grammar import Grammar, grammar_of
from sdx_serving.openai_protocol import Sampling

_TOP_K = 40
_PENALTY_LAST_TOKENS = 64


class Sampler:
    """Takes one token after another from a context's logits. Close it.

    Greedy choice is made here, as the largest logit; the rest is llama.cpp's chain of samplers. No penalty of repetition unless
    it is asked for: it would forbid a JSON answer to repeat its own words.
    """

    def __init__(self, vocab: Any, n_vocab: int, sampling: Sampling) -> None:
        self._lib: Any = importlib.import_module("llama_cpp")
        self._n_vocab = n_vocab
        rules = grammar_of(sampling.schema) if sampling.schema is not None else None
        grammar = Grammar(vocab, rules) if rules else None
        greedy = sampling.temperature == 0.0 and not (sampling.frequency_penalty or sampling.presence_penalty)
        self._grammar = grammar if greedy else None
        self._chain = None if greedy else self._chain_of(sampling, grammar)

    def _chain_of(self, sampling: Sampling, grammar: Grammar | None) -> Any:
        lib = self._lib
        chain = lib.llama_sampler_chain_init(lib.llama_sampler_chain_default_params())
        links: list[Any] = [
            lib.llama_sampler_init_penalties(
                self._n_vocab, _PENALTY_LAST_TOKENS, 1.0, sampling.frequency_penalty, sampling.presence_penalty
            )
        ]
        if grammar:
            links.append(grammar.state)  # the chain frees it
        if sampling.temperature == 0.0:
            links.append(lib.llama_sampler_init_greedy())
        else:
            links += [
                lib.llama_sampler_init_top_k(_TOP_K),
                lib.llama_sampler_init_top_p(sampling.top_p, 1),
                lib.llama_sampler_init_temp(sampling.temperature),
                lib.llama_sampler_init_dist(sampling.seed & 0xFFFFFFFF),
            ]
        for link in links:
            lib.llama_sampler_chain_add(chain, link)
        return chain

    def take(self, context: Any) -> int:
        """The next token after what the context was last given."""
        if self._chain:
            return int(self._lib.llama_sampler_sample(self._chain, context, -1))
        logits = np.ctypeslib.as_array(self._lib.llama_get_logits_ith(context, -1), (self._n_vocab,))
        return self._grammar.take(logits) if self._grammar else int(logits.argmax())

    def close(self) -> None:
        if self._grammar:
            self._grammar.close()
        if self._chain:
            self._lib.llama_sampler_free(self._chain)
