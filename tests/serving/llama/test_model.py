"""The model in this process: schema, stop strings, characters in pieces, and a prefix that is not computed twice."""

import importlib.util
import json
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sdx_serving.llama.grammar import Grammar, grammar_of
from sdx_serving.llama.model import LlamaModel
from sdx_serving.openai_protocol import Answer, Refusal, Sampling, until_stop

pytestmark = pytest.mark.skipif(importlib.util.find_spec("llama_cpp") is None, reason="llama-cpp-python is not installed")
ASK = [{"role": "user", "content": "which?"}]


@pytest.fixture(scope="module")
def model(tiny_model: Path, llama_cpp_library: Any) -> Iterator[LlamaModel]:
    loaded = LlamaModel(tiny_model, n_ctx=4096)
    yield loaded
    loaded.close()


def test_any_string_in_an_answer_is_strict_json(model: LlamaModel) -> None:
    schema = json.dumps({"type": "array", "items": {"type": "string", "maxLength": 30}, "minItems": 8, "maxItems": 8})
    for seed in range(5):
        sampling = Sampling(max_tokens=600, temperature=2.0, seed=seed, schema=schema)
        assert len(json.loads("".join(model.answer(ASK, sampling)))) == 8  # strict: json refuses bare control characters


def test_a_seed_gives_the_same_answer_again_and_another_another(model: LlamaModel) -> None:
    said = ["".join(model.answer(ASK, Sampling(max_tokens=30, temperature=1.5, seed=seed))) for seed in (1, 2, 1)]
    assert said[0] == said[2] != said[1]


def test_an_answer_stops_when_nobody_wants_it(model: LlamaModel) -> None:
    told = Answer()
    list(model.answer(ASK, Sampling(max_tokens=2000), told, cancelled=lambda: told.completion_tokens >= 5))
    assert told.completion_tokens == 5


def test_a_prompt_that_begins_as_the_last_is_computed_from_where_it_differs(model: LlamaModel) -> None:
    def first_token_s(text: str) -> float:
        began = time.process_time()
        list(model.answer([{"role": "user", "content": text}], Sampling(max_tokens=1)))
        return time.process_time() - began

    facts = "own ship 000 12.0 kn " * 150
    cold = first_token_s(facts + "a")
    warm = min(first_token_s(facts + letter) for letter in "bcd")
    assert warm < cold / 3


@given(text=st.text("abs<|>", max_size=40), cut=st.integers(1, 5), stops=st.lists(st.text("abs<|>", min_size=1, max_size=4), max_size=3))
def test_an_answer_ends_before_its_stop_string_however_it_comes_in_pieces(text: str, cut: int, stops: list[str]) -> None:
    pieces = iter([text[at : at + cut] for at in range(0, len(text), cut)])
    ends = [text.find(stop) for stop in stops if stop in text]
    assert "".join(until_stop(pieces, tuple(stops), Answer())) == text[: min(ends, default=len(text))]


@pytest.mark.parametrize(
    "schema", [None, '{"type": "array", "items": {"type": "number"}, "minItems": 9}', '{"enum": ["give way", "stand on"]}']
)
def test_the_likeliest_answer_is_the_one_of_llama_cpp_itself(
    model: LlamaModel, llama_cpp_library: Any, greedy: Any, schema: str | None
) -> None:
    said = "".join(model.answer(ASK, Sampling(max_tokens=60, schema=schema)))
    grammar = llama_cpp_library.LlamaGrammar.from_string(grammar_of(schema)) if schema else None
    with closing(llama_cpp_library.Llama(str(model.path), n_ctx=4096, n_threads=1, n_threads_batch=1, verbose=False)) as llama:
        tokens = llama.tokenize(model.prompt(ASK).encode(), add_bos=False, special=True)
        assert said == greedy(llama, tokens, 60, grammar=grammar)


def test_what_a_grammar_cannot_be_read_from_is_refused(model: LlamaModel) -> None:
    with pytest.raises(Refusal, match="cannot follow the grammar"):
        Grammar(model._vocab, "root ::= nowhere")


def test_a_schema_without_a_grammar_is_refused() -> None:
    with pytest.raises(Refusal, match="no grammar"):
        grammar_of('{"$ref": "#/nowhere"}')


def test_a_model_without_a_chat_template_is_refused(tiny_model: Path, tmp_path: Path) -> None:
    mute = tmp_path / "mute.gguf"
    mute.write_bytes(tiny_model.read_bytes().replace(b"tokenizer.chat_template", b"tokenizer.chat_tamplate"))
    with pytest.raises(ValueError, match="carries no chat template"):
        LlamaModel(mute)
