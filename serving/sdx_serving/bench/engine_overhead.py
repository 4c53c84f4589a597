"""What a model loses by being served: the engine over HTTP beside llama.cpp called directly, in pairs. Start at engine_overhead()."""

import json
import random
import statistics
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

from sdx_serving.devices.hardware import Root, largest_cache_bytes
from sdx_serving.devices.speed import memory_gb_s
from sdx_serving.engine import Serving
from sdx_serving.engines.llama_cpp import LlamaCpp
from sdx_serving.provenance import provenance
from sdx_serving.recommend.fetch import opened
from sdx_serving.recommend.gguf import gguf_facts

CONTEXT_TOKENS = 2048
_PROMPT_WORDS = 150
_ENOUGH_BYTES = 4e9
_WORDS = ("own", "ship", "target", "course", "speed", "bearing", "range", "crossing", "port", "starboard", "knots", "north")
Say = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Direct:
    """llama_cpp.Llama in this process, as its own generate() goes: no text is made of the tokens."""

    llama: Any

    def tokens(self, prompt: str) -> list[int]:
        return list(self.llama.tokenize(prompt.encode(), special=True))

    def prefill(self, prompt: str) -> float:
        """Seconds to the first token."""
        began = time.perf_counter()
        next(self._generated(prompt))
        return time.perf_counter() - began

    def decode(self, prompt: str, count: int) -> tuple[float, int]:
        """Seconds for `count` tokens, and how many there were before the answer's end."""
        began, made = time.perf_counter(), 0
        for token in self._generated(prompt):
            if token == self.llama.token_eos():
                break
            made += 1
            if made == count:
                break
        return time.perf_counter() - began, made

    def _generated(self, prompt: str) -> Iterator[int]:
        return self.llama.generate(self.tokens(prompt), temp=0.0, repeat_penalty=1.0)


@dataclass(frozen=True, slots=True)
class Engine:
    """The same model behind its HTTP address."""

    http: httpx.Client

    def prefill(self, prompt: str) -> float:
        return self.whole(prompt, 1)[0]

    def whole(self, prompt: str, count: int) -> tuple[float, int]:
        began = time.perf_counter()
        told = self.http.post("completions", json=_body(prompt, count)).raise_for_status().json()
        return time.perf_counter() - began, int(told["usage"]["completion_tokens"])

    def streamed(self, prompt: str, count: int) -> tuple[float, int]:
        """Every event is read and parsed, as a client does."""
        began, made = time.perf_counter(), 0
        body = _body(prompt, count) | {"stream": True, "stream_options": {"include_usage": True}}
        with self.http.stream("POST", "completions", json=body) as response:
            response.raise_for_status()
            for line in response.iter_lines():
                if line.startswith("data: {"):
                    made = int((json.loads(line[6:]).get("usage") or {}).get("completion_tokens", made))
        return time.perf_counter() - began, made


def _body(prompt: str, count: int) -> dict[str, Any]:
    return {"prompt": prompt, "max_tokens": count, "temperature": 0.0}


@contextmanager
def _both(model: Path, threads: int) -> Iterator[tuple[Direct, Engine, str]]:
    from sdx_serving.llama.model import open_llama

    with closing(open_llama(model, CONTEXT_TOKENS, threads)) as llama:
        engine = LlamaCpp(Serving(str(model), context_tokens=CONTEXT_TOKENS, threads=threads))
        with engine, httpx.Client(base_url=f"{engine.base_url}/", timeout=120.0, trust_env=False) as http:
            yield Direct(llama), Engine(http), "llama-server" if engine.facts.parallel else "our own server"


def _prompts(direct: Direct, count: int, answer_tokens: int, seed: int) -> Iterator[str]:
    """Texts that begin differently, and after which the model goes on for so many tokens. ValueError when it seldom does, or cannot."""
    rng, found = random.Random(seed), 0
    for _ in range(30 * count):
        prompt = " ".join([str(rng.randrange(10**6)), *rng.choices(_WORDS, k=_PROMPT_WORDS)])
        if (taken := len(direct.tokens(prompt))) + answer_tokens > CONTEXT_TOKENS:
            raise ValueError(f"a prompt of {taken} tokens and an answer of {answer_tokens} do not fit {CONTEXT_TOKENS}: ask for fewer")
        if direct.decode(prompt, answer_tokens)[1] == answer_tokens:
            yield prompt
            if (found := found + 1) == count:
                return
    raise ValueError(f"after {found} of {count} random texts the model goes on for {answer_tokens} tokens: ask for fewer")


def _pair(direct: Direct, engine: Engine, prompt: str, count: int, engine_first: bool) -> dict[str, float]:
    """Seconds of each way with one prompt that neither has seen last. A decode begins with the prompt in the cache."""
    ways: dict[str, Callable[[], float]] = {
        "direct prefill": lambda: direct.prefill(prompt),
        "direct decode": lambda: direct.decode(prompt, count)[0],
        "engine prefill": lambda: engine.prefill(prompt),
        "engine whole": lambda: _all(engine.whole(prompt, count), count),
        "engine streamed": lambda: _all(engine.streamed(prompt, count), count),
    }
    order = sorted(ways, key=lambda name: (name.startswith("engine") != engine_first, list(ways).index(name)))
    return {name: ways[name]() for name in order}


def _all(taken: tuple[float, int], count: int) -> float:
    """ValueError when the engine said less than llama.cpp itself."""
    seconds, made = taken
    if made != count:
        raise ValueError(f"the engine made {made} tokens, llama.cpp itself {count}: they do not compute the same")
    return seconds


def engine_overhead(model: Path, threads: int, pairs: int, answer_tokens: int, seed: int, say: Say) -> dict[str, Any]:
    """Tokens per second through the engine over those of llama.cpp called directly, same prompts, threads and answers, in turn.

    Also the share of the memory's bandwidth that decoding reaches: bytes of weights read for a token, from the file's header, times
    tokens per second, over the bandwidth measured here. Weights that fit the processor's cache are not read from memory.

    Raises:
        ValueError: the model ends its answers sooner than `answer_tokens`, or both ways differ in what they say.
    """
    with opened(str(model)) as source:
        token_bytes = gguf_facts(source).read_bytes()
    cache_bytes = largest_cache_bytes(Root())
    bandwidth_gb_s = memory_gb_s(threads, cache_bytes, _ENOUGH_BYTES)
    with _both(model, threads) as (direct, engine, server):
        prompts = list(_prompts(direct, pairs + 1, answer_tokens, seed))
        prompt_tokens = len(direct.tokens(prompts[0]))
        _pair(direct, engine, prompts[0], answer_tokens, False)  # what is loaded on first use
        rows = []
        for at, prompt in enumerate(prompts[1:]):
            rows.append(_pair(direct, engine, prompt, answer_tokens, at % 2 == 1))
            say(f"{at + 1}/{pairs}: whole {_ratio(rows[-1:], 'whole'):.3f}, streamed {_ratio(rows[-1:], 'streamed'):.3f}")
    rate = {
        name: statistics.median(answer_tokens / row[name] for row in rows) for name in ("direct decode", "engine whole", "engine streamed")
    }
    best = max(rate["engine whole"], rate["engine streamed"])
    return {
        "model": model.name,
        "server": server,
        "threads": threads,
        "pairs": pairs,
        "prompt_tokens": prompt_tokens,
        "answer_tokens": answer_tokens,
        "seed": seed,
        "ratio": {"decode whole": _ratio(rows, "whole"), "decode streamed": _ratio(rows, "streamed"), "prefill": _ratio(rows, "prefill")},
        "tokens_per_s": {name: round(value, 1) for name, value in rate.items()},
        "prefill_tokens_per_s": {
            name: round(statistics.median(prompt_tokens / row[f"{name} prefill"] for row in rows), 1) for name in ("direct", "engine")
        },
        "bytes_per_token": int(token_bytes),
        "read_gb_s": bandwidth_gb_s,
        "share_of_bandwidth": round(token_bytes * best / 1e9 / bandwidth_gb_s, 3),
        "weights_fit_cache": token_bytes <= cache_bytes,
        "provenance": provenance(),
    }


def _ratio(rows: list[dict[str, float]], way: str) -> float:
    """Median of the pairs' ratios of speed, engine over direct."""
    direct = "direct prefill" if way == "prefill" else "direct decode"
    return round(statistics.median(row[direct] / row[f"engine {way}"] for row in rows), 4)
