"""A recommendation becomes a bundle of the very thing that was recommended."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from sdx_serving.deploy.choice import Choice
from sdx_serving.deploy.manifest import BundleError, Manifest
from sdx_serving.deploy.recommended import recommended
from sdx_serving.devices.device import devices
from sdx_serving.recommend.choose import Question, Recommendation, recommend

CHOICE = Choice(to="systemd", model=Path("unused.gguf"))


@pytest.fixture
def answer(tiny_model: Path) -> Recommendation:
    device = devices()["pc-cpu-ddr5-5600"]
    return recommend(Question("ship", device, concurrency=2, context_tokens=1024, threads=3, models=[str(tiny_model)]))


def test_the_first_choice_is_deployed(
    answer: Recommendation, tiny_model: Path, tmp_path: Path, write_bundle: Callable[..., tuple[Path, Manifest]]
) -> None:
    (tmp_path / "answer.json").write_text(answer.model_dump_json())
    choice = recommended(CHOICE, tmp_path / "answer.json")
    best = answer.choices[0]
    assert (choice.model, choice.engine, choice.context_tokens, choice.parallel, choice.threads) == (tiny_model, best.runtime, 1024, 2, 3)
    assert (choice.device, choice.task, choice.needs_bytes) == ("pc-cpu-ddr5-5600", "ship", best.figures.memory.total)
    _, manifest = write_bundle(
        to="systemd", **{name: getattr(choice, name) for name in ("model", "engine", "device", "task", "needs_bytes")}
    )
    assert manifest.needs_bytes == best.figures.memory.total and manifest.guard


def test_what_cannot_be_deployed_is_said(answer: Recommendation, tmp_path: Path) -> None:
    file = tmp_path / "answer.json"
    best = answer.choices[0]
    away = best.model_copy(update={"run": "sdx serve '/gone/a model.gguf' --engine llama.cpp --context 1024"})
    for choices, complaint in (
        ([], "recommends nothing that can be started"),
        ([away], r"/gone/a model\.gguf, which is not on this machine"),
    ):
        file.write_text(answer.model_copy(update={"choices": tuple(choices)}).model_dump_json())
        with pytest.raises(BundleError, match=complaint):
            recommended(CHOICE, file)
    file.write_text(answer.model_copy(update={"choices": (away,)}).model_dump_json())
    assert recommended(CHOICE, file, own_model=True).model == CHOICE.model
    for content in ("{}", "[", json.dumps(answer.model_dump(mode="json") | {"more": 1})):
        file.write_text(content)
        with pytest.raises(BundleError, match=r"answer\.json: .*sdx recommend"):
            recommended(CHOICE, file)


def test_what_was_said_by_hand_stays(answer: Recommendation, tmp_path: Path) -> None:
    (tmp_path / "answer.json").write_text(answer.model_dump_json())
    asked = replace(CHOICE, name="mine", port=9000, cloud="https://cloud.example.com/v1")
    found = recommended(asked, tmp_path / "answer.json")
    assert (found.name, found.port, found.cloud, found.to) == ("mine", 9000, "https://cloud.example.com/v1", "systemd")
