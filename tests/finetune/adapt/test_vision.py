"""A model that sees learns from images: the mark stands where the image goes, the loss falls, and the result is a whole model."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from sdx_finetune.adapt.merge import merge
from sdx_finetune.adapt.recipe import AdaptRecipe
from sdx_finetune.adapt.rows import sees, splits
from sdx_finetune.adapt.train import train
from sdx_finetune.adapt.trainers import load_reader

COLOURS = {"red": (220, 20, 20), "green": (20, 200, 20), "blue": (20, 20, 220)}
TEMPLATE = (
    "{% for m in messages %}{{ '<|im_start|>' + m['role'] + '\\n' }}{% if m['content'] is string %}{{ m['content'] }}{% else %}"
    "{% for p in m['content'] %}{% if p['type'] == 'image' %}<image>{% else %}{{ p['text'] }}{% endif %}{% endfor %}{% endif %}"
    "{{ '<|im_end|>\\n' }}{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}"
)


@pytest.fixture(scope="module")
def seeing(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A random LLaVA: SigLIP of two layers on 32 x 32 pixels, a decoder of two layers."""
    import torch
    from transformers import LlavaConfig, LlavaForConditionalGeneration, LlavaProcessor, Qwen3Config, SiglipVisionConfig
    from transformers.models.siglip.image_processing_pil_siglip import SiglipImageProcessorPil

    from sdx_finetune.recipe import TokenizerSpec
    from sdx_finetune.rows import Message, Row
    from sdx_finetune.scratch.tokenizer import fit_tokenizer

    turns = tuple(Message(role=role, content=text) for role, text in (("user", "Which colour is it?"), ("assistant", "red green blue")))
    tokenizer = fit_tokenizer([Row(messages=turns)] * 4, TokenizerSpec(vocab_size=330, extra_special=("<image>",)))
    image = tokenizer.convert_tokens_to_ids("<image>")
    vision = SiglipVisionConfig(
        hidden_size=32, intermediate_size=64, num_hidden_layers=2, num_attention_heads=2, image_size=32, patch_size=16
    )
    text = Qwen3Config(
        vocab_size=len(tokenizer), hidden_size=64, intermediate_size=128, num_hidden_layers=2, num_attention_heads=2, num_key_value_heads=1,
        head_dim=32, max_position_embeddings=256, eos_token_id=tokenizer.eos_token_id, pad_token_id=tokenizer.pad_token_id,
    )  # fmt: skip
    torch.manual_seed(0)
    config = LlavaConfig(
        vision_config=vision,
        text_config=text,
        image_token_index=image,
        vision_feature_select_strategy="full",
        vision_feature_layer=-1,
        image_seq_length=4,
    )
    folder = tmp_path_factory.mktemp("seeing")
    LlavaForConditionalGeneration(config).save_pretrained(folder)
    LlavaProcessor(
        image_processor=SiglipImageProcessorPil(size={"height": 32, "width": 32}), tokenizer=tokenizer, patch_size=16,
        vision_feature_select_strategy="full", num_additional_image_tokens=0, chat_template=TEMPLATE,
    ).save_pretrained(folder)  # fmt: skip
    return folder


@pytest.fixture
def pictures(tmp_path: Path, keep: Callable[..., str]) -> str:
    rows: list[dict[str, Any]] = []
    for number in range(60):
        name = list(COLOURS)[number % 3]
        path = tmp_path / f"{number}.png"
        Image.new("RGB", (40, 40), tuple(max(0, part - number) for part in COLOURS[name])).save(path)
        turns = [("user", "Which colour is it?\n<image>"), ("assistant", name)]
        rows.append({"messages": [{"role": role, "content": text} for role, text in turns], "images": [str(path)], "meta": {}})
    return keep("pictures", train=rows[:48], eval=rows[48:])


def test_a_model_that_sees_learns_colours(make: Callable[..., AdaptRecipe], seeing: Path, pictures: str, tmp_path: Path) -> None:
    change = {"max_steps": 30, "eval_every": 10, "learning_rate": 3e-3}
    recipe = make(base={"model": str(seeing)}, data={"dataset": pictures}, weights="full", train=change)
    work = tmp_path / "work"
    train(recipe, work, lambda line: None, lambda figures, step: None)
    losses = [value for _, value in json.loads((work / "run.json").read_text())["held_out"]]
    assert losses[-1] < 0.5 * losses[0]
    assert sees(load_reader(work / "model"))


def test_an_adapter_leaves_alone_what_looks(make: Callable[..., AdaptRecipe], seeing: Path, pictures: str, tmp_path: Path) -> None:
    from safetensors import safe_open

    recipe = make(base={"model": str(seeing)}, data={"dataset": pictures}, train={"max_steps": 2, "eval_every": 2})
    train(recipe, tmp_path / "work", lambda line: None, lambda figures, step: None)
    with safe_open(tmp_path / "work/adapter/adapter_model.safetensors", "numpy") as file:
        names = list(file.keys())
    assert names and not [name for name in names if "vision_tower" in name or "projector" in name]
    assert (merge(seeing, tmp_path / "work/adapter", tmp_path / "work/model") / "model.safetensors").exists()


def test_the_mark_stands_where_the_image_goes(make: Callable[..., AdaptRecipe], seeing: Path, pictures: str) -> None:
    found = splits(make(base={"model": str(seeing)}, data={"dataset": pictures}), load_reader(seeing), lambda line: None)
    first = found.train[0]
    assert [part["type"] for part in first["prompt"][0]["content"]] == ["text", "image"]
    assert first["images"][0].size == (40, 40)


def test_an_image_that_is_gone_is_named(make: Callable[..., AdaptRecipe], seeing: Path, pictures: str, tmp_path: Path) -> None:
    (tmp_path / "7.png").unlink()
    with pytest.raises(ValueError, match=r"images.0: .*7.png is no image that can be opened .*: put it back"):
        splits(make(base={"model": str(seeing)}, data={"dataset": pictures}), load_reader(seeing), lambda line: None)
    with pytest.raises(ValueError, match="learnt from by method sft without train.packing"):
        splits(
            make(base={"model": str(seeing)}, data={"dataset": pictures}, train={"packing": True}), load_reader(seeing), lambda line: None
        )
