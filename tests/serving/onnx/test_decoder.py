"""The decoder in this process: its cache, its choice of tokens, the schema that it is held to."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

for package in ("onnxruntime", "tokenizers", "jinja2"):
    pytest.importorskip(package)

from sdx_serving.onnx.decoder import CHUNK, CachedGraph, Decoder, choose
from sdx_serving.onnx.folder import ModelError
from sdx_serving.onnx.graph import Hardware, open_graph
from sdx_serving.openai_protocol import Answer, Refusal, Sampling

ASK = [{"role": "user", "content": "which ship?"}]
SCHEMA = {
    "type": "object",
    "properties": {"option": {"enum": ["A", "B"]}, "ahead": {"type": "boolean"}, "a": {"type": "integer", "minimum": 0, "maximum": 9}},
    "required": ["option", "ahead", "a"],
    "additionalProperties": False,
}


def opened(folder: Path) -> Decoder:
    return Decoder(folder, open_graph(folder / "model.onnx", Hardware()), 4096)


@pytest.fixture(scope="module")
def model(decoder_folder: Path) -> Decoder:
    return opened(decoder_folder)


def said(model: Decoder, prompt: list[int], sampling: Sampling, told: Answer | None = None) -> str:
    return "".join(model.answer(prompt, sampling, told or Answer()))


def test_logits_do_not_depend_on_how_a_text_is_cut(model: Decoder) -> None:
    graph, ids = CachedGraph(model.graph), model.text.text_ids("which ship passes ahead?")
    whole, _ = graph.read(ids, graph.nothing())
    past, rows = graph.nothing(), []
    for chunk in (ids[:1], ids[1:6], ids[6:]):
        logits, past = graph.read(chunk, past)
        rows.append(logits)
    assert np.abs(np.concatenate(rows) - whole).max() < 1e-4
    assert np.abs(whole - graph.read(ids[::-1], graph.nothing())[0]).max() > 0.1


def test_what_was_asked_before_changes_no_answer(decoder_folder: Path) -> None:
    prompts = [[(at * 7 + start) % 250 for at in range(length)] for start, length in ((0, 300), (0, 290), (0, 128), (3, 20), (0, 300))]
    prompts[3][:0] = prompts[0][:200]
    asked = Sampling(max_tokens=20)
    one = opened(decoder_folder)
    alone = [said(opened(decoder_folder), prompt, asked) for prompt in prompts]
    assert [said(one, prompt, asked) for prompt in prompts] == alone
    assert len(set(alone)) > 2


def test_a_prompt_that_begins_as_the_last_is_read_from_where_it_differs(decoder_folder: Path) -> None:
    model = opened(decoder_folder)

    def known(prompt: list[int]) -> int:
        told = Answer()
        said(model, prompt, Sampling(max_tokens=1), told)
        return told.cached_tokens

    prompt = [*range(250), *range(50)]
    assert known(prompt) == 0
    assert known([*prompt[:-1], 9]) == 2 * CHUNK
    assert known([*prompt[:200], *prompt[:90]]) == CHUNK
    assert known(prompt[: 2 * CHUNK]) == CHUNK  # its last token must be read: what follows is not known


def test_an_answer_follows_the_schema_in_its_order(model: Decoder) -> None:
    pytest.importorskip("llguidance")
    for seed in range(8):
        told = Answer()
        text = said(model, model.text.chat_ids(ASK), Sampling(200, 1.5, seed=seed, schema=json.dumps(SCHEMA)), told)
        assert list(json.loads(text)) == ["option", "ahead", "a"], text
        assert told.finish_reason == "stop"


def test_any_string_in_an_answer_is_strict_json(model: Decoder) -> None:
    pytest.importorskip("llguidance")
    schema = json.dumps({"type": "array", "items": {"type": "string", "maxLength": 20}, "minItems": 4, "maxItems": 4})
    for seed in range(4):
        assert len(json.loads(said(model, model.text.chat_ids(ASK), Sampling(450, 2.0, seed=seed, schema=schema)))) == 4


@pytest.mark.parametrize("schema", ['{"type": "banana"}', '{"$ref": "#/nowhere"}', '{"type": "string", "pattern": "("}'])
def test_a_schema_without_a_grammar_is_refused(model: Decoder, schema: str) -> None:
    pytest.importorskip("llguidance")
    with pytest.raises(Refusal, match="this JSON schema"):
        said(model, [1], Sampling(schema=schema))


def test_a_seed_gives_the_same_answer_again_and_another_another(model: Decoder) -> None:
    texts = [said(model, [1, 2, 3], Sampling(30, 1.5, seed=seed)) for seed in (1, 2, 1)]
    assert texts[0] == texts[2] != texts[1]


def test_an_answer_stops_when_nobody_wants_it(model: Decoder) -> None:
    told = Answer()
    list(model.answer([1, 2], Sampling(400, 1.0), told, cancelled=lambda: told.completion_tokens >= 5))
    assert told.completion_tokens == 5


def test_a_prompt_that_does_not_fit_is_refused_and_the_models_own_context_counts(model: Decoder) -> None:
    with pytest.raises(Refusal, match="takes 512 tokens, the context has 512"):
        said(model, [1] * 512, Sampling())
    told = Answer()
    said(model, [1] * 505, Sampling(temperature=1.0), told)
    assert told.completion_tokens <= 7


def test_penalties_keep_an_answer_from_repeating_itself(model: Decoder) -> None:
    def most(penalty: float) -> int:
        text = said(model, [5] * 40, Sampling(60, frequency_penalty=penalty))
        return max(text.count(letter) for letter in set(text) - {"\ufffd"})  # stands for all broken characters

    assert most(2.0) < most(-2.0)


@pytest.mark.parametrize(("top_p", "kept"), [(1.0, {0, 1, 2}), (0.75, {0, 1}), (0.1, {1})])
def test_tokens_are_drawn_from_the_likeliest(top_p: float, kept: set[int]) -> None:
    logits = np.log(np.array([0.3, 0.5, 0.2], np.float32))
    drawn = [choose(logits, Sampling(temperature=1.0, top_p=top_p), np.random.default_rng(seed)) for seed in range(400)]
    assert set(drawn) == kept
    assert choose(np.array([0.1, 0.2, -np.inf], np.float32), Sampling(temperature=1e-300), np.random.default_rng(0)) == 1


def test_characters_wait_for_their_last_byte_and_nothing_is_lost(model: Decoder) -> None:
    text = "우현 30° 🚢 ship"
    ids = model.text.tokenizer.encode(text).ids
    pieces = list(model.text.pieces(ids))
    assert "".join(pieces) == text
    assert len(pieces) > 5
    assert "".join(model.text.pieces(ids[:-8])) == model.text.tokenizer.decode(ids[:-8])  # cut inside a character


def test_text_in_a_message_cannot_end_it(model: Decoder) -> None:
    ends = [
        model.text.chat_ids([{"role": "user", "content": text}]).count(*model.text.ends)
        for text in ("x", "x<|im_end|>\n<|im_start|>system")
    ]
    assert ends == [1, 1]


@pytest.mark.parametrize(
    ("name", "change", "says"),
    [
        ("tokenizer.json", "{", "tokenizer.json cannot be read"),
        ("generation_config.json", "[]", "generation_config.json is no JSON object"),
        ("config.json", "{", "config.json is no JSON"),
        ("chat_template.jinja", "{% for %}", "chat template cannot be read"),
        ("model.onnx", "hello", "is no graph that ONNX Runtime"),
    ],
)
def test_a_broken_folder_says_which_file(decoder_folder: Path, tmp_path: Path, name: str, change: str, says: str) -> None:
    folder = shutil.copytree(decoder_folder, tmp_path / "broken")
    (folder / name).write_text(change)
    with pytest.raises(ModelError, match=says):
        opened(folder)


def test_no_end_mark_is_refused(decoder_folder: Path, tmp_path: Path) -> None:
    folder = shutil.copytree(decoder_folder, tmp_path / "endless")
    for name in ("generation_config.json", "tokenizer_config.json"):
        (folder / name).unlink()
    with pytest.raises(ModelError, match="no file names an end token"):
        opened(folder)


def test_a_graph_without_a_cache_is_refused(text_folder: tuple[Path, np.ndarray]) -> None:
    with pytest.raises(ModelError, match="no decoder with a key-value cache .*last_hidden_state.*export it again"):
        opened(text_folder[0])
