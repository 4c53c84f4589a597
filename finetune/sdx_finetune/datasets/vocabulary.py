"""A tokenizer without torch: the embedded model's GGUF, any other GGUF file, or a folder with tokenizer.json."""

import logging
from collections.abc import Mapping, Sequence
from ctypes import create_string_buffer
from functools import cached_property
from pathlib import Path
from typing import Any, Protocol

from sdx_finetune.datasets.formats import Row

TURN_START, TURN_END = "<|im_start|>", "<|im_end|>"


class Vocabulary(Protocol):
    """Text to token ids and back."""

    name: str

    def ids(self, text: str) -> list[int]: ...

    def lengths(self, texts: Sequence[str]) -> list[int]: ...

    def pieces(self, ids: Sequence[int]) -> list[str]: ...


class GgufVocabulary:
    """The tokenizer inside a GGUF file, through llama.cpp's own functions; the weights are not loaded."""

    def __init__(self, path: Path) -> None:
        import llama_cpp

        if not path.is_file():
            raise FileNotFoundError(f"{path} does not exist; give a GGUF file or a folder with tokenizer.json")
        self.name = path.name
        self._llama = llama_cpp
        logging.getLogger("llama-cpp-python").setLevel(logging.ERROR)  # llama.cpp tells a page about each file
        llama_cpp.llama_backend_init()
        params = llama_cpp.llama_model_default_params()
        params.vocab_only = True
        # Held for the object's life: the vocabulary is a part of it.
        self._model = llama_cpp.llama_model_load_from_file(str(path).encode(), params)
        if not self._model:
            raise ValueError(f"{path} is no GGUF file that llama.cpp reads; make it again, or give a folder with tokenizer.json")
        self._vocab = llama_cpp.llama_model_get_vocab(self._model)
        self._space = (llama_cpp.llama_token * 4096)()

    def ids(self, text: str) -> list[int]:
        data = text.encode()
        if len(data) > len(self._space):
            self._space = (self._llama.llama_token * (2 * len(data)))()
        # A token is at least one byte, so the space is always enough.
        count = self._llama.llama_tokenize(self._vocab, data, len(data), self._space, len(self._space), False, True)
        return self._space[:count]

    def lengths(self, texts: Sequence[str]) -> list[int]:
        return [len(self.ids(text)) for text in texts]

    def pieces(self, ids: Sequence[int]) -> list[str]:
        return [self._piece(token) for token in ids]

    def _piece(self, token: int) -> str:
        space = create_string_buffer(256)
        count = self._llama.llama_token_to_piece(self._vocab, token, space, len(space), 0, True)
        return space.raw[:count].decode(errors="replace")


class FolderVocabulary:
    """tokenizer.json of a Hugging Face folder."""

    def __init__(self, path: Path) -> None:
        self._path = path / "tokenizer.json" if path.is_dir() else path
        if not self._path.is_file():
            raise FileNotFoundError(f"{self._path} does not exist; give a GGUF file or a folder with tokenizer.json")
        self.name = str(path)

    @cached_property
    def _tokenizer(self) -> Any:
        try:
            from tokenizers import Tokenizer
        except ImportError as error:
            raise ValueError(
                "reading tokenizer.json wants the package tokenizers: pip install 'sdx[train]', or give a GGUF file"
            ) from error
        return Tokenizer.from_file(str(self._path))

    def ids(self, text: str) -> list[int]:
        return self._tokenizer.encode(text, add_special_tokens=False).ids

    def lengths(self, texts: Sequence[str]) -> list[int]:
        return [len(encoded) for encoded in self._tokenizer.encode_batch_fast(list(texts), add_special_tokens=False)]

    def pieces(self, ids: Sequence[int]) -> list[str]:
        return [self._tokenizer.decode([token], skip_special_tokens=False) for token in ids]


def open_vocabulary(name: str | None) -> Vocabulary:
    """ "embedded" or None: the model that ships; else a GGUF file or a folder. FileNotFoundError says what to give."""
    if name in (None, "embedded"):
        from sdx_serving.connect import embedded_model_path

        return GgufVocabulary(embedded_model_path())
    path = Path(name or "")
    return GgufVocabulary(path) if path.suffix == ".gguf" else FolderVocabulary(path)


def chatml(messages: Sequence[Mapping[str, str]], to_answer: bool = False) -> str:
    """The turns as a ChatML template writes them; `to_answer` opens the assistant's turn."""
    text = "".join(f"{TURN_START}{message['role']}\n{message['content']}{TURN_END}\n" for message in messages)
    return text + f"{TURN_START}assistant\n" if to_answer else text


def masked(row: Row, vocabulary: Vocabulary) -> list[tuple[str, bool]]:
    """(piece, is it learnt) of a row as a ChatML model is trained on it: the last answer and the mark that ends it are learnt."""
    *before, last = row["messages"]
    parts = [(chatml(before, to_answer=True), False), (f"{last['content']}{TURN_END}", True)]
    return [(piece, learnt) for text, learnt in parts for piece in vocabulary.pieces(vocabulary.ids(text))]
