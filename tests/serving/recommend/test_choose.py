"""What is recommended, in which order, and what is ruled out and why."""

from pathlib import Path

import pytest

from sdx_serving.connect import embedded_model_path
from sdx_serving.devices.device import find_device
from sdx_serving.recommend.answer import Recommendation
from sdx_serving.recommend.choose import Question, recommend
from sdx_serving.recommend.facts import BadModel
from sdx_serving.registry import Entry, Registry, Score
from sdx_serving.results import Results

ORIN = find_device("jetson-agx-orin-64")


def ask(tmp_path: Path, device: str = "jetson-agx-orin-64", **asked: object) -> Recommendation:
    question = {"registry": Registry(own=tmp_path / "registry.json"), "results": Results(tmp_path / "results.jsonl"), **asked}
    return recommend(Question("ship", find_device(device), **question))  # type: ignore[arg-type]


def why(found: Recommendation, model: str, how: str) -> str:
    return next(out.why for out in found.ruled_out if (out.model, out.quantisation) == (model, how))


def test_without_names_the_registry_is_looked_through(tmp_path: Path) -> None:
    found = ask(tmp_path)
    first = found.choices[0]
    assert (first.model, first.here, first.accuracy.passed) == ("sdx-embedded-Q8_0", True, True)
    assert first.run == f"sdx serve {embedded_model_path()} --engine llama.cpp --context 768"
    assert {choice.quantisation for choice in found.choices} == {"F32", "Q8_0", "Q4_K_M"}
    assert Recommendation.model_validate_json(found.model_dump_json()) == found


def test_too_much_memory_is_ruled_out_with_the_sum(tmp_path: Path) -> None:
    found = ask(tmp_path, "jetson-orin-nano-8", models=["llama-3.1-8b:Q4_K_M", "llama-3.2-3b:Q4_K_M"])
    assert [choice.model for choice in found.choices] == ["llama-3.2-3b"]
    assert why(found, "llama-3.1-8b", "Q4_K_M") == "needs 5.5 GB (weights 4.9, context 0.1, runtime 0.5), 5.2 usable"


@pytest.mark.parametrize(
    ("device", "model", "told"),
    [
        ("jetson-agx-orin-64", "qwen3-8b:FP8", "Ampere (sm_87) has no FP8"),
        ("jetson-agx-xavier-32", "qwen3-4b:BF16", "no runtime of this device takes safetensors"),
        ("rk3588-16", "qwen3-1.7b:W4A16", "no runtime of this device takes safetensors"),
        ("rtx-3090", "qwen3-8b:NVFP4", "Ampere has no FP4"),
    ],
)
def test_what_a_device_cannot_do_is_said(tmp_path: Path, device: str, model: str, told: str) -> None:
    found = ask(tmp_path, device, models=[model])
    assert not found.choices and {out.why for out in found.ruled_out} == {told}


def test_a_context_beyond_the_models_is_ruled_out(tmp_path: Path) -> None:
    found = ask(tmp_path, models=[str(embedded_model_path())], context_tokens=4096)
    assert not found.choices and "the model's at most 2048" in found.ruled_out[0].why
    small = ask(tmp_path, models=[str(embedded_model_path())], context_tokens=256)
    assert "question and answer take 638 tokens, the context is 256" in small.ruled_out[0].why


def test_the_deadline_decides_the_order(tmp_path: Path) -> None:
    models = ["qwen3-32b:W4A16", "qwen3-8b:W4A16", "qwen3-0.6b:BF16"]
    calm = ask(tmp_path, models=models, runtimes=["vllm"])
    assert [choice.model for choice in calm.choices] == ["qwen3-32b", "qwen3-8b", "qwen3-0.6b"], "the largest first, when time is no matter"
    hurried = ask(tmp_path, models=models, runtimes=["vllm"], deadline_s=8.0)
    assert [(choice.model, choice.surely) for choice in hurried.choices] == [("qwen3-8b", True), ("qwen3-0.6b", True), ("qwen3-32b", False)]
    hopeless = ask(tmp_path, models=models, runtimes=["vllm"], deadline_s=0.1)
    assert [choice.model for choice in hopeless.choices] == ["qwen3-0.6b", "qwen3-8b", "qwen3-32b"], "nothing is in time: the fastest first"
    assert not any(choice.meets_deadline for choice in hopeless.choices)


def test_a_measured_score_outweighs_size_and_its_loss_is_told(tmp_path: Path) -> None:
    registry = Registry(own=tmp_path / "registry.json")
    for how, value in (("F16", 0.9), ("Q4_K_M", 0.88)):
        score = Score(metric="turn_side", value=value, rows=300, passed=True)
        base = "f" * 64 if how != "F16" else ""
        entry = Entry(
            name=f"qwen3-0.6b-{how}", sha256="f" * 64 if how == "F16" else "a" * 64, compression=how, base_sha256=base,
            parameters=596_000_000, weights_bytes=400_000_000, context_tokens=40960, tasks={"ship": score},
        )  # fmt: skip
        registry.record(entry)
    found = ask(tmp_path, registry=registry, deadline_s=60.0)
    others = [choice for choice in found.choices if choice.model.startswith("qwen3")]
    assert found.choices[0].model == "sdx-embedded-Q8_0", "the better score, though the smaller model"
    assert [choice.quantisation for choice in others] == ["F16", "Q4_K_M"]
    assert others[1].accuracy.lost_points == 2.0 and "+2.0 points lost" in others[1].accuracy.words


def test_less_power_is_slower_and_impossible_power_is_refused(tmp_path: Path) -> None:
    full, low = (ask(tmp_path, models=["qwen3-8b:W4A16"], runtimes=["vllm"], watts=watts).choices[0] for watts in (None, 30.0))
    assert low.figures.tokens_per_s.high < (full.figures.tokens_per_s.middle or 0.0)
    with pytest.raises(ValueError, match="no power mode within 3 W"):
        ask(tmp_path, watts=3.0)
    with pytest.raises(ValueError, match="takes 350 W and has no power modes"):
        ask(tmp_path, "rtx-3090", watts=100.0)


def test_wrong_questions_are_told(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="no task 'tanker': known are ship"):
        recommend(Question("tanker", ORIN))
    with pytest.raises(ValueError, match="has no runtime tflite: known are llama.cpp"):
        ask(tmp_path, runtimes=["tflite"])
    with pytest.raises(BadModel, match=r"none\.gguf: no such file"):
        ask(tmp_path, models=["none.gguf"])


def test_an_engine_that_is_not_installed_is_ruled_out_with_what_to_type(tmp_path: Path) -> None:
    found = ask(tmp_path, missing={"llama.cpp": "type `pip install llama-cpp-python`"})
    assert not found.choices and {out.why for out in found.ruled_out} == {"type `pip install llama-cpp-python`"}


def test_a_power_that_cannot_be_held_is_remarked(tmp_path: Path) -> None:
    unknown = find_device("rtx-3090").model_copy(update={"watts": None})
    found = recommend(
        Question("ship", unknown, watts=100.0, registry=Registry(own=tmp_path / "r.json"), results=Results(tmp_path / "m.jsonl"))
    )
    assert found.notes == ("rtx-3090 tells no power: 100.0 W are not held",)
