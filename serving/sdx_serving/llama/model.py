"""One GGUF model in this process: chat messages in, text pieces out, held to a JSON schema. Not thread-safe.

Stands on llama_cpp.Llama.generate and not on its create_chat_completion: that one decodes the whole answer anew for each
token, cannot be cancelled while it holds back bytes, and falls back to any JSON when it cannot follow the schema.
"""

import codecs
import ctypes
import hashlib
import importlib
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

_ANY_CHARACTER = r'char ::= [^"\\] |'
_PRINTED_CHARACTER = r'char ::= [^"\\\x00-\x1F\x7F] |'


class Refusal(Exception):
    """The request cannot be served as it is; the message says which part and what to do."""

    def __init__(self, message: str, code: str = "invalid_request_error", status: int = 400) -> None:
        super().__init__(message)
        self.code = code
        self.status = status


@dataclass(slots=True)
class Answer:
    """What is known of an answer while it is made."""

    prompt_tokens: int = 0
    completion_tokens: int = 0
    finish_reason: str = "stop"
    """"stop", or "length" when the token limit or the context ended it."""


@dataclass(frozen=True, slots=True)
class Sampling:
    """How the next token is taken. Temperature 0 is greedy: the same answer each time."""

    max_tokens: int | None = None
    temperature: float = 0.0
    top_p: float = 1.0
    seed: int = 0
    stop: tuple[str, ...] = ()
    schema: str | None = None
    """JSON text of the schema that the answer must follow."""


@lru_cache(maxsize=128)
def grammar_of(schema: str) -> Any:
    """The llama.cpp grammar of a JSON schema given as JSON text; keys come in the schema's order.

    Raises:
        Refusal: the schema has no grammar.
    """
    grammars = importlib.import_module("llama_cpp.llama_grammar")
    try:
        rules = grammars.json_schema_to_gbnf(schema)
    except Exception as error:
        raise Refusal(f"response_format: this JSON schema has no grammar ({error or type(error).__name__}): simplify it") from error
    # JSON forbids bare control characters in strings; the converter's rule for a character lets them pass.
    return grammars.LlamaGrammar.from_string(rules.replace(_ANY_CHARACTER, _PRINTED_CHARACTER))


def spare_amx(llama_cpp: Any) -> None:
    """Load models without llama.cpp's repacked weight buffers.

    On CPUs with AMX a gcc-12 build of llama.cpp crashes on quantised weights in them (ldtilecfg with an unset tile
    configuration); Llama() has no argument for it, so its defaults are changed.
    """
    if getattr(llama_cpp.llama_model_default_params, "spares_amx", False):
        return
    defaults = llama_cpp.llama_model_default_params

    def without_repacking() -> Any:
        params = defaults()
        params.use_extra_bufts = False
        return params

    without_repacking.spares_amx = True  # type: ignore[attr-defined]
    llama_cpp.llama_cpp.llama_model_default_params = without_repacking
    llama_cpp.llama_model_default_params = without_repacking


class LlamaModel:
    """A loaded GGUF file.

    The key-value cache is kept between calls: a prompt that begins as the last one did is only computed from where it differs.

    Args:
        n_ctx: context length in tokens, shared by prompt and answer.
        n_threads: CPU threads.
    """

    def __init__(self, path: Path, n_ctx: int = 2048, n_threads: int = 1) -> None:
        # By name, because type checkers take `import llama_cpp` for our own module of that name.
        llama_cpp: Any = importlib.import_module("llama_cpp")
        Jinja2ChatFormatter = importlib.import_module("llama_cpp.llama_chat_format").Jinja2ChatFormatter
        spare_amx(llama_cpp)
        with path.open("rb") as file:
            self.sha256 = hashlib.file_digest(file, "sha256").hexdigest()
        self.path = path
        self._lib = llama_cpp
        self._llama = llama_cpp.Llama(
            str(path), n_ctx=n_ctx, n_threads=n_threads, n_threads_batch=n_threads, n_batch=min(512, n_ctx), verbose=False
        )
        template = self._llama.metadata.get("tokenizer.chat_template")
        if not template:
            raise ValueError(f"{path} carries no chat template (tokenizer.chat_template): export the model again with one")
        self._format = Jinja2ChatFormatter(
            template, eos_token=self._text_of(self._llama.token_eos()), bos_token=self._text_of(self._llama.token_bos())
        )
        control = [text for token in range(self.n_vocab) if (text := self._text_of(token)) and self._is_control(token)]
        self._control = re.compile("|".join(map(re.escape, sorted(control, key=len, reverse=True)))) if control else None
        self._piece = lru_cache(maxsize=None)(self._piece_of)

    @property
    def n_vocab(self) -> int:
        return int(self._llama.n_vocab())

    @property
    def n_ctx(self) -> int:
        return int(self._llama.n_ctx())

    def close(self) -> None:
        """Free the model now: llama-cpp-python's own finaliser fails at interpreter exit."""
        self._llama.close()

    def prompt(self, messages: Sequence[Mapping[str, str]]) -> list[int]:
        """Tokens of the chat, as the model's own template writes it.

        Text inside a message cannot end it: control tokens spelt out there are broken by a space.
        """
        safe = [{"role": message["role"], "content": self._harmless(message["content"])} for message in messages]
        formatted = self._format(messages=safe)  # type: ignore[arg-type]
        return list(self._llama.tokenize(formatted.prompt.encode(), add_bos=False, special=True))

    def answer(
        self,
        messages: Sequence[Mapping[str, str]],
        sampling: Sampling,
        told: Answer | None = None,
        cancelled: Callable[[], bool] = lambda: False,
    ) -> Iterator[str]:
        """Text pieces until the end, a stop string, the token limit, or `cancelled()`.

        Args:
            told: filled while the answer is made.

        Raises:
            Refusal: the prompt does not fit the context, or the schema has no grammar.
        """
        told = told if told is not None else Answer()
        tokens = self.prompt(messages)
        told.prompt_tokens = len(tokens)
        room = self.n_ctx - len(tokens)
        if room < 1:
            raise Refusal(
                f"the messages take {len(tokens)} tokens, the context has {self.n_ctx}: shorten them or start with a larger --n-ctx",
                "context_length_exceeded",
            )
        limit = min(sampling.max_tokens or room, room)
        yield from until_stop(self._decoded(self._tokens(tokens, sampling, limit, told, cancelled)), sampling.stop, told)

    def _tokens(self, prompt: list[int], sampling: Sampling, limit: int, told: Answer, cancelled: Callable[[], bool]) -> Iterator[int]:
        self._llama.set_seed(sampling.seed)
        generated = self._llama.generate(
            prompt,
            top_k=40,
            top_p=sampling.top_p,
            min_p=0.0,
            temp=sampling.temperature,
            repeat_penalty=1.0,  # none: a penalty would forbid a JSON answer to repeat its own words
            grammar=grammar_of(sampling.schema) if sampling.schema is not None else None,
        )
        try:
            for token in generated:
                if cancelled():
                    return
                if self._lib.llama_vocab_is_eog(self._llama._model.vocab, token):
                    return
                told.completion_tokens += 1
                yield token
                if told.completion_tokens >= limit:
                    told.finish_reason = "length"
                    return
        finally:
            generated.close()  # type: ignore[attr-defined]

    def _decoded(self, tokens: Iterator[int]) -> Iterator[str]:
        """Text of the tokens; a character spread over several tokens waits for its last byte."""
        decoder = codecs.getincrementaldecoder("utf-8")("replace")
        for token in tokens:
            if text := decoder.decode(self._piece(token)):
                yield text
        if rest := decoder.decode(b"", final=True):
            yield rest

    def _piece_of(self, token: int) -> bytes:
        vocab, size = self._llama._model.vocab, 64
        while True:
            buffer = (ctypes.c_char * size)()
            length = self._lib.llama_token_to_piece(vocab, token, buffer, size, 0, False)
            if length >= 0:
                return bytes(buffer[:length])
            size = -length

    def _text_of(self, token: int) -> str:
        return self._lib.llama_vocab_get_text(self._llama._model.vocab, token).decode(errors="replace") if token >= 0 else ""

    def _is_control(self, token: int) -> bool:
        return bool(self._lib.llama_vocab_is_control(self._llama._model.vocab, token))

    def _harmless(self, text: str) -> str:
        return self._control.sub(lambda found: f"{found[0][0]} {found[0][1:]}", text) if self._control else text


def until_stop(pieces: Iterator[str], stops: tuple[str, ...], told: Answer) -> Iterator[str]:
    """The pieces up to the first stop string; what may be the beginning of one is held back."""
    if not stops:
        yield from pieces
        return
    held = ""
    keep = max(len(stop) for stop in stops) - 1
    for piece in pieces:
        held += piece
        found = [at for stop in stops if (at := held.find(stop)) >= 0]
        if found and not _may_begin_earlier(held, min(found), stops):
            break
        if not found and len(held) > keep:
            yield held[: len(held) - keep]
            held = held[len(held) - keep :]
    found = [at for stop in stops if (at := held.find(stop)) >= 0]
    if found:
        told.finish_reason = "stop"
    yield held[: min(found, default=len(held))]


def _may_begin_earlier(held: str, found: int, stops: tuple[str, ...]) -> bool:
    """Is what stands before the stop that was found the beginning of another, whose end has not come?"""
    return any(stop.startswith(held[at:]) for at in range(found) for stop in stops)
