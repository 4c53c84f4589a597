"""A model as a function in this process, for the way without a server. A runtime that can do it has a line in OPENERS."""

import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

from sdx_serving.bench.task import Question


@dataclass(slots=True)
class Told:
    """What an answer took."""

    prompt_tokens: int = 0
    completion_tokens: int = 0


Ask = Callable[[Question, int, Told], Iterator[str]]
"""(question, most tokens, what is filled in at the end) -> the answer in pieces."""
Open = Callable[[Path, int, int], AbstractContextManager[Ask]]
"""(weights, context in tokens, threads)"""


@contextmanager
def _llama(path: Path, context_tokens: int, threads: int) -> Iterator[Ask]:
    from sdx_serving.llama.model import Answer, LlamaModel, Sampling

    with closing(LlamaModel(path, context_tokens, threads)) as model:

        def ask(question: Question, max_tokens: int, told: Told) -> Iterator[str]:
            answer = Answer()
            yield from model.answer(question.turns(), Sampling(max_tokens=max_tokens, schema=_schema(question)), answer)
            told.prompt_tokens, told.completion_tokens = answer.prompt_tokens, answer.completion_tokens

        yield ask


@contextmanager
def _onnx(path: Path, context_tokens: int, threads: int) -> Iterator[Ask]:
    from sdx_serving.onnx.decoder import Decoder
    from sdx_serving.onnx.folder import graph_file
    from sdx_serving.onnx.graph import Hardware, open_graph
    from sdx_serving.openai_protocol import Answer, Sampling

    decoder = Decoder(path if path.is_dir() else path.parent, open_graph(graph_file(path), Hardware(threads=threads)), context_tokens)

    def ask(question: Question, max_tokens: int, told: Told) -> Iterator[str]:
        answer = Answer()
        prompt = decoder.text.chat_ids(question.turns())
        yield from decoder.answer(prompt, Sampling(max_tokens=max_tokens, schema=_schema(question)), answer)
        told.prompt_tokens, told.completion_tokens = answer.prompt_tokens, answer.completion_tokens

    yield ask


OPENERS: Mapping[str, Open] = {"llama.cpp": _llama, "onnx": _onnx}


def open_model(runtime: str, path: Path, context_tokens: int, threads: int) -> AbstractContextManager[Ask]:
    """KeyError for a runtime that is not among OPENERS."""
    return OPENERS[runtime](path, context_tokens, threads)


def _schema(question: Question) -> str | None:
    return json.dumps(question.json_schema) if question.json_schema is not None else None
