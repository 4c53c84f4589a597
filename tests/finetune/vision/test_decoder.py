"""The decoder learns to read visual tokens, and what is exported answers as what was trained."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from transformers import PreTrainedTokenizerFast

from sdx_domains.medicine.labels import labels
from sdx_finetune.recipe import TrainSpec
from sdx_finetune.rows import Row, check_row
from sdx_finetune.scratch.tokenizer import fit_tokenizer
from sdx_finetune.vision.calibrate import Reader
from sdx_finetune.vision.cases import READER, Cases
from sdx_finetune.vision.decoder import SeeingRun, encode_cases, encode_row, finish, with_visual
from sdx_finetune.vision.encoder import Encoder
from sdx_finetune.vision.parity import Agreement, Trained, faults, judged
from sdx_finetune.vision.pipeline import VisionPipeline
from sdx_finetune.vision.projector import token_count
from sdx_finetune.vision.recipe import VisionRecipe
from sdx_serving.llama.model import IMAGE
from sdx_serving.openai_protocol import Sampling
from sdx_serving.vision.encoder import Encoder as OnnxEncoder
from sdx_serving.vision.marks import replaced
from sdx_serving.vision.tokens import SeeingModel

LABELS = len(labels())
TINY: dict[str, Any] = {
    "name": "toy-reader",
    "description": "Says which of two kinds of volume it sees.",
    "method": "vision",
    "encoder": {"widths": [4, 8, 16], "blocks": 1},
    "tokenizer": {"vocab_size": 320, "fit_rows": 50},
    "model": {"hidden": 64, "ffn": 128, "layers": 2, "heads": 2, "kv_heads": 1, "head_dim": 32, "context": 256},
    "projector_hidden": 32,
    "token_dropout": 0.0,
    "train": {
        "max_steps": 120, "learning_rate": 5e-3, "batch_tokens": 1024, "max_length": 128, "buckets": 1, "compile": False, "eval_rows": 8,
        "precision": "fp32",
    },
    "export": {"quantisations": ["F32", "Q8_0"], "chosen": "Q8_0"},
}  # fmt: skip


def quiet(line: str) -> None:
    """Says nothing."""


def row(number: int, answer: str) -> Row:
    asked = f"look <ct:{number:032x}> F1?"
    said = json.dumps({"findings": {"F1": answer}})
    return check_row({"messages": [{"role": "user", "content": asked}, {"role": "assistant", "content": said}]}, "toy")


def cases(count: int, seed: int, first: int) -> Cases:
    """The words are the same for all; what the answer is shows in one label's token alone."""
    rng = np.random.default_rng(seed)
    answers = ["yes" if number % 2 else "no" for number in range(count)]
    features = rng.normal(0, 1, (count, LABELS, 16 + 6)).astype(np.float16)
    features[:, 3, :8] = np.where(np.array(answers) == "yes", 2.0, -2.0)[:, None]
    slabs = rng.normal(0, 1, (count, 16, 32)).astype(np.float16)
    rows = tuple(row(first + number, answer) for number, answer in enumerate(answers))
    return Cases(rows, np.arange(count), features, slabs, np.arange(first, first + count))


@pytest.fixture(scope="module")
def recipe() -> VisionRecipe:
    return VisionRecipe.model_validate(TINY)


@pytest.fixture(scope="module")
def tokenizer(recipe: VisionRecipe) -> PreTrainedTokenizerFast:
    return fit_tokenizer(cases(20, 0, 0).rows, recipe.decoder().tokenizer)


@pytest.fixture(scope="module")
def pipeline(recipe: VisionRecipe, tokenizer: PreTrainedTokenizerFast, tmp_path_factory: pytest.TempPathFactory) -> VisionPipeline:
    """A work folder after training."""
    work = tmp_path_factory.mktemp("work")
    run = SeeingRun(recipe, tokenizer, cases(64, 1, 0), cases(8, 2, 100), LABELS, work, quiet)
    run.train()
    assert run.state.losses[-1][1] < 0.05
    finish(run, recipe, work / "model")
    torch.manual_seed(1)
    reader = Reader(Encoder(recipe.encoder, LABELS)).eval()
    torch.save({"spec": recipe.encoder.model_dump_json(), "weights": reader.state_dict()}, work / READER)
    made = VisionPipeline(recipe, Path("toy.yaml"), work)
    made.export()
    return made


def test_a_mark_becomes_places_and_words_around_it_are_apart(tokenizer: PreTrainedTokenizerFast) -> None:
    encoded = encode_row(tokenizer, row(7, "yes"), 5)
    place: Any = tokenizer.convert_tokens_to_ids("<|vision|>")
    where = [at for at, token in enumerate(encoded.ids) if token == place]
    assert where == list(range(where[0], where[0] + 5))
    assert tokenizer.decode(encoded.ids[: where[0]]) == "<|im_start|>user\nlook "
    answer = [token for token, learnt in zip(encoded.ids, encoded.learnt, strict=True) if learnt]
    assert tokenizer.decode(answer) == '{"findings": {"F1": "yes"}}<|im_end|>'


def test_visual_tokens_stand_where_they_belong() -> None:
    ids = torch.tensor([[1, 9, 9, 2], [9, 9, 3, 3]])
    tokens = torch.arange(8.0).reshape(2, 2, 2) + 100
    made = with_visual(torch.zeros(2, 4, 2), ids, 9, tokens)
    assert made[0, 1].tolist() == [100, 101] and made[1, 1].tolist() == [106, 107] and not made[0, 0].any()


def test_rows_that_are_too_long_are_told(tokenizer: PreTrainedTokenizerFast) -> None:
    spec = TrainSpec(max_steps=1, max_length=20, batch_tokens=64)  # pyright: ignore[reportCallIssue]
    with pytest.raises(ValueError, match="longest"):
        encode_cases(cases(4, 0, 0), tokenizer, spec, LABELS, 0)


def test_the_trained_model_reads_the_token_and_the_files_answer_alike(pipeline: VisionPipeline, recipe: VisionRecipe) -> None:
    trained, held_out = Trained(pipeline.exported(), pipeline.work / "model"), cases(10, 3, 200)
    decoder = SeeingModel(pipeline.work / "release" / "decoder.gguf", 256)
    projector = trained.exported.projector
    try:
        for number, asked in enumerate(held_out.rows):
            with torch.no_grad():
                tokens = projector(
                    *(torch.from_numpy(part[number : number + 1]).float() for part in (held_out.label_tokens, held_out.slab_tokens))
                )
            assert tokens.shape == (1, token_count(LABELS), recipe.model.hidden)
            wanted = judged(asked.messages[-1].content)
            assert judged(trained.answer(asked, tokens, 40)) == wanted
            messages = [{"role": "user", "content": replaced(asked.messages[0].content, IMAGE)}]
            said = "".join(decoder.answer(messages, Sampling(max_tokens=40), images=[tokens[0].numpy()]))
            assert judged(said) == wanted
    finally:
        decoder.close()


def test_the_exported_encoder_sees_what_the_trained_one_does(pipeline: VisionPipeline) -> None:
    encoder, exported = OnnxEncoder(pipeline.work / "release" / "encoder.onnx"), pipeline.exported()
    assert encoder.labels == tuple(label.key for label in labels())
    slabs = np.random.default_rng(0).integers(0, 256, encoder.shape, dtype=np.uint8)
    seen = encoder.look(slabs)
    with torch.no_grad():
        probability, maps, tokens, unlike = exported(torch.from_numpy(slabs[None]))
    np.testing.assert_allclose(list(seen.probability.values()), probability[0], atol=1e-4)
    np.testing.assert_allclose(seen.maps, maps[0], atol=1e-4)
    np.testing.assert_allclose(seen.tokens, tokens[0], atol=1e-3)
    assert seen.unlike_training == pytest.approx(float(unlike[0]), rel=1e-3)


def test_a_run_goes_on_from_its_checkpoint(recipe: VisionRecipe, tokenizer: PreTrainedTokenizerFast, tmp_path: Path) -> None:
    short = recipe.model_copy(update={"train": recipe.train.model_copy(update={"max_steps": 4})})
    held = cases(16, 4, 0), cases(4, 5, 50)
    (tmp_path / "b").mkdir()
    (tmp_path / "a").mkdir()
    whole = SeeingRun(short, tokenizer, *held, LABELS, tmp_path / "a", quiet)
    whole.train()
    first = SeeingRun(short.model_copy(update={"train": short.train.model_copy(update={"max_steps": 4, "checkpoint_minutes": 1e-9})}),
                      tokenizer, *held, LABELS, tmp_path / "b", quiet)  # fmt: skip
    first.train()
    again = SeeingRun(short, tokenizer, *held, LABELS, tmp_path / "b", quiet)
    assert again.resume() and again.state.step == 4
    for name, value in whole.model.state_dict().items():
        torch.testing.assert_close(again.model.state_dict()[name], value)


def test_the_card_tells_what_is_known_and_what_is_not(pipeline: VisionPipeline) -> None:
    pipeline.card()
    text = (pipeline.work / "release" / "README.md").read_text(encoding="utf-8")
    assert "not a medical device" in text and "Encoder: not trained yet" in text and "decoder.gguf" in text


def test_judged_answers_are_found_wherever_they_stand() -> None:
    assert judged('{"findings":{"F1":"yes","F2":"no"},"confidence":"high","impression":["F1"]}') == {
        ".findings.F1": "yes",
        ".findings.F2": "no",
    }
    assert judged("no json") == {}


def test_files_that_differ_are_not_released() -> None:
    good = Agreement(100, 2000, 0.999, 0.01, 0.01, 300, 0.995, 0.9, 1)
    assert faults(good, 0.99) == []
    assert "finding_agreement 0.9800" in faults(replace(good, finding_agreement=0.98), 0.99)[0]
    assert "label_agreement" in faults(replace(good, label_agreement=0.9), 0.99)[0]
    assert "5 of 100 answers" in faults(replace(good, wrong_form=5), 0.99)[0]
