"""One GGUF model in this process: chat messages in, text pieces out, held to a JSON schema. Not thread-safe.

Stands on llama.cpp's own calls and not on llama_cpp.Llama's: those decode the whole answer anew for each token, cannot be
cancelled while they hold back bytes, and fall back to any JSON when they cannot follow the schema.
"""

import codecs
import ctypes
import importlib
import re
import secrets
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, closing
from functools import lru_cache
from pathlib import Path
from typing import Any

from sdx_serving.llama.amx import spare_amx
from sdx_serving.llama.context import Context, Part, length_of
from sdx_serving.llama.images import Eyes, Sight
from sdx_serving.llama.sampling import Sampler
from sdx_serving.openai_protocol import Answer, Refusal, Sampling, until_stop
from sdx_serving.weights import sha256_of

Message = Mapping[str, Any]
"""As the model's chat template takes it: role, content, and what it knows of tools."""
IMAGE = f"<image {secrets.token_hex(8)}>"
"""Stands in a message's text where an image belongs; nobody outside can write it."""


def open_llama(path: Path, n_ctx: int, n_threads: int, **more: Any) -> Any:
    """A llama_cpp.Llama, on the GPU where llama.cpp was built for one."""
    # By name, because type checkers take `import llama_cpp` for our own module of that name.
    llama_cpp: Any = importlib.import_module("llama_cpp")
    spare_amx(llama_cpp)
    layers = -1 if llama_cpp.llama_supports_gpu_offload() else 0
    given = {"n_batch": min(512, n_ctx), "n_gpu_layers": layers, "verbose": False} | more
    return llama_cpp.Llama(str(path), n_ctx=n_ctx, n_threads=n_threads, n_threads_batch=n_threads, **given)


class LlamaModel:
    """A loaded GGUF file.

    The key-value cache is kept between calls: a prompt that begins as the last one did is only computed from where it differs.

    Args:
        n_ctx: context length in tokens, shared by prompt and answer.
        n_threads: CPU threads.
        projector: GGUF file through which it sees images.
        adapters: GGUF files of LoRA adapters, by the name under which answer() takes them.

    Raises:
        ValueError: a file is not what it should be.
    """

    def __init__(
        self, path: Path, n_ctx: int = 2048, n_threads: int = 1, projector: Path | None = None, adapters: Mapping[str, Path] | None = None
    ) -> None:
        self.path, self.sha256 = path, sha256_of(path)
        self._lib: Any = importlib.import_module("llama_cpp")
        self._llama = open_llama(path, n_ctx, n_threads)
        self._vocab = self._llama._model.vocab
        template = self._llama.metadata.get("tokenizer.chat_template")
        if not template:
            raise ValueError(f"{path} carries no chat template (tokenizer.chat_template): export the model again with one")
        self._format = importlib.import_module("llama_cpp.llama_chat_format").Jinja2ChatFormatter(
            template, eos_token=self._text_of(self._llama.token_eos()), bos_token=self._text_of(self._llama.token_bos())
        )
        self.template: str = template
        self.eyes = self._sight(projector, n_threads)
        self.adapters = {name: _Adapter(self._lib, self._llama.model, file) for name, file in (adapters or {}).items()}
        self._adapter = ""
        self._context = Context(self._llama, self.eyes)
        control = [text for token in range(self.n_vocab) if (text := self._text_of(token)) and self._is_control(token)]
        self._control = re.compile("|".join(map(re.escape, sorted(control, key=len, reverse=True)))) if control else None
        self._piece = lru_cache(maxsize=None)(self._piece_of)

    def _sight(self, projector: Path | None, n_threads: int) -> Sight | None:
        return Eyes(projector, self._llama.model, n_threads) if projector else None

    @property
    def n_vocab(self) -> int:
        return int(self._llama.n_vocab())

    @property
    def n_ctx(self) -> int:
        return int(self._llama.n_ctx())

    def close(self) -> None:
        """Free the model now: llama-cpp-python's own finaliser fails at interpreter exit."""
        if self.eyes:
            self.eyes.close()
        self._llama.close()

    def knows(self, variable: str) -> bool:
        """Whether the chat template makes use of it, e.g. of "tools"."""
        meta = importlib.import_module("jinja2.meta")
        return variable in meta.find_undeclared_variables(self._format._environment.environment.parse(self.template))

    def prompt(self, messages: Sequence[Message], tools: Sequence[Any] | None = None) -> str:
        """The chat as the model's own template writes it.

        Text inside a message cannot end it: control tokens spelt out there are broken by a space.

        Raises:
            Refusal: the template does not take these messages.
        """
        try:
            formatted = self._format(messages=self._harmless(list(messages)), tools=self._harmless(tools))
        except Exception as error:
            raise Refusal(f"messages: the model's chat template does not take them ({error})") from error
        return str(formatted.prompt)

    def tokens_of(self, text: str, add_bos: bool = False) -> list[int]:
        """Tokens; control tokens written in the text are taken as such. With `add_bos` as the model wants its texts to begin."""
        begin = add_bos and bool(self._lib.llama_vocab_get_add_bos(self._vocab))
        return list(self._llama.tokenize(text.encode(), add_bos=begin, special=True))

    def answer(
        self,
        messages: Sequence[Message],
        sampling: Sampling,
        told: Answer | None = None,
        cancelled: Callable[[], bool] = lambda: False,
        tools: Sequence[Any] | None = None,
        images: Sequence[Any] = (),
        adapter: str = "",
    ) -> Iterator[str]:
        """Text pieces until the end, a stop string, the token limit, or `cancelled()`.

        Args:
            told: filled while the answer is made.
            tools: what the chat template is given as such.
            images: what `eyes` looks at, RGB images as a rule; one for each IMAGE in the messages.
            adapter: a name in `adapters`; "" for the model as it is.

        Raises:
            Refusal: the prompt does not fit the context, or the schema has no grammar.
        """
        texts = self.prompt(messages, tools).split(IMAGE)
        if len(texts) != len(images) + 1:
            raise Refusal(f"messages: the model's chat template keeps {len(texts) - 1} of {len(images)} images: put them in a user's turn")
        with ExitStack() as held:
            parts: list[Part] = [self.tokens_of(texts[0])]
            for image, text in zip(images, texts[1:], strict=True):
                assert self.eyes
                parts += [*held.enter_context(closing(self.eyes.look(image))).parts(), self.tokens_of(text)]
            yield from self.continued(parts, sampling, told or Answer(), cancelled, adapter)

    def continued(
        self, parts: Sequence[Part], sampling: Sampling, told: Answer, cancelled: Callable[[], bool], adapter: str = ""
    ) -> Iterator[str]:
        """What comes after a prompt that is given as tokens and images. See answer()."""
        told.prompt_tokens = length_of(parts)
        room = self.n_ctx - told.prompt_tokens
        if room < 1 or not told.prompt_tokens:
            raise Refusal(
                f"the messages take {told.prompt_tokens} tokens, the context has {self.n_ctx}: shorten them or start with a larger --n-ctx",
                "context_length_exceeded",
            )
        limit = min(sampling.max_tokens or room, room)
        self._use(adapter)
        yield from until_stop(self._decoded(self._tokens(parts, sampling, limit, told, cancelled)), sampling.stop, told)

    def _use(self, adapter: str) -> None:
        """Put an adapter on the weights; what the context holds belongs to those of before."""
        if adapter == self._adapter:
            return
        self._context.forget()
        chosen = [self.adapters[adapter].c] if adapter else []
        array = (self._lib.llama_adapter_lora_p_ctypes * len(chosen))(*chosen)
        scales = (ctypes.c_float * len(chosen))(*[1.0] * len(chosen))
        if self._lib.llama_set_adapters_lora(self._context.c, array, len(chosen), scales):
            raise RuntimeError(f"llama.cpp could not put the adapter {adapter!r} on the model")
        self._adapter = adapter

    def _tokens(self, parts: Sequence[Part], sampling: Sampling, limit: int, told: Answer, cancelled: Callable[[], bool]) -> Iterator[int]:
        with closing(Sampler(self._vocab, self.n_vocab, sampling)) as sampler:
            told.cached_tokens = self._context.keep(parts)
            if not self._context.read_in(parts, told.cached_tokens, cancelled):
                return
            while True:
                token = sampler.take(self._context.c)
                if cancelled() or self._lib.llama_vocab_is_eog(self._vocab, token):
                    return
                told.completion_tokens += 1
                if told.completion_tokens >= limit:
                    told.finish_reason = "length"
                yield token
                if told.completion_tokens >= limit:
                    return
                self._context.append((token,))

    def _decoded(self, tokens: Iterator[int]) -> Iterator[str]:
        """Text of the tokens; a character spread over several tokens waits for its last byte."""
        decoder = codecs.getincrementaldecoder("utf-8")("replace")
        for token in tokens:
            if text := decoder.decode(self._piece(token)):
                yield text
        if rest := decoder.decode(b"", final=True):
            yield rest

    def _piece_of(self, token: int) -> bytes:
        size = 64
        while True:
            buffer = (ctypes.c_char * size)()
            length = self._lib.llama_token_to_piece(self._vocab, token, buffer, size, 0, False)
            if length >= 0:
                return bytes(buffer[:length])
            size = -length

    def _text_of(self, token: int) -> str:
        return self._lib.llama_vocab_get_text(self._vocab, token).decode(errors="replace") if token >= 0 else ""

    def _is_control(self, token: int) -> bool:
        return bool(self._lib.llama_vocab_is_control(self._vocab, token))

    def _harmless(self, told: Any) -> Any:
        """Every text in it, keys too, without control tokens."""
        if isinstance(told, str):
            return self._control.sub(lambda found: f"{found[0][0]} {found[0][1:]}", told) if self._control else told
        if isinstance(told, Mapping):
            return {self._harmless(key): self._harmless(item) for key, item in told.items()}
        return [self._harmless(item) for item in told] if isinstance(told, list | tuple) else told


class _Adapter:
    """A LoRA adapter of a loaded model; freed with it. ValueError when it does not fit."""

    def __init__(self, lib: Any, model: Any, path: Path) -> None:
        self.path = path
        self.c = lib.llama_adapter_lora_init(model, str(path).encode()) if path.is_file() else None
        if not self.c:
            raise ValueError(f"{path} is no LoRA adapter (GGUF) of this model: export it with `sdx finetune export` from the same base")
        self.sha256 = sha256_of(path)
