"""Shapes of published models stand for what their makers state."""

import pytest

from sdx_serving.connect import embedded_model_path
from sdx_serving.recommend.facts import BadModel
from sdx_serving.recommend.headers import facts_of
from sdx_serving.recommend.shapes import find_shape, guessed_facts, kernel_of, named_facts, shapes


@pytest.mark.parametrize("name", shapes().shapes)
def test_a_shape_has_the_parameters_of_its_model_card(name: str) -> None:
    assert named_facts(name).parameters / 1e9 == pytest.approx(shapes().shapes[name].billions, rel=0.005)


def test_the_embedded_models_shape_costs_what_its_file_says() -> None:
    told, computed = facts_of(str(embedded_model_path())), named_facts("sdx-embedded", "Q8_0")
    assert computed.weights_bytes == pytest.approx(told.weights_bytes, rel=0.005)
    assert computed.read_bytes() == pytest.approx(told.read_bytes(), rel=0.005)
    assert computed.kv_bytes(100) == told.kv_bytes(100) and computed.layers == told.layers


def test_known_files_have_the_size_that_is_published() -> None:
    # Meta-Llama-3-8B Q4_K_M: 4.92 GB; Qwen3-8B-AWQ: 6.1 GB, of which 5.0 are read for a token
    assert named_facts("llama-3-8b", "Q4_K_M").weights_bytes == pytest.approx(4.92e9, rel=0.01)
    awq = named_facts("qwen3-8b", "AWQ")
    assert awq.weights_bytes == pytest.approx(6.1e9, rel=0.02) and awq.read_bytes() == pytest.approx(5.0e9, rel=0.04)


@pytest.mark.parametrize(
    ("said", "meant"),
    [("Qwen/Qwen3-8B", "qwen3-8b"), ("meta-llama/Llama-3.1-8B-Instruct", "llama-3.1-8b"), ("Qwen2.5-1.5B-Instruct-AWQ", "qwen2.5-1.5b"),
     ("sdx-embedded-Q4_K_M.gguf", "sdx-embedded"), ("sdx-embedded-onnx-int8", "sdx-embedded")],
)  # fmt: skip
def test_names_are_known_in_their_usual_forms(said: str, meant: str) -> None:
    assert find_shape(said) is shapes().shapes[meant]


def test_unknown_names_get_suggestions() -> None:
    with pytest.raises(BadModel, match="qwen3-8b"):
        facts_of("qwen3-8")
    with pytest.raises(BadModel, match="quantisation 'Q9'"):
        facts_of("qwen3-8b:Q9")
    with pytest.raises(BadModel, match="no such file"):
        facts_of("somewhere/m.gguf")


def test_of_a_guess_it_is_said_that_it_is_one() -> None:
    guess, known = guessed_facts("x", 8.2, "Q4_K_M"), named_facts("qwen3-8b", "Q4_K_M")
    assert not guess.exact and known.exact
    assert guess.read_bytes() == pytest.approx(known.read_bytes(), rel=0.1) and guess.layers == pytest.approx(known.layers, rel=0.15)
    assert [kernel_of(name) for name in ("Q5_K_S", "awq", "onnx-int8", "BF16", "IQ4_XS")] == ["k-quant", "int4", "int8", "float", "k-quant"]
