"""Rows become what TRL reads; what does not fit is counted and told, never cut."""

from collections.abc import Callable
from typing import Any

import pytest

from sdx_finetune.adapt.recipe import AdaptRecipe
from sdx_finetune.adapt.rows import splits, stored_rows
from sdx_finetune.rows import Row

Make = Callable[..., AdaptRecipe]
Keep = Callable[..., str]
Stored = Callable[..., dict[str, Any]]


def test_a_supervised_row_is_a_question_and_its_last_answer(make: Make, tokenizer: Any, toy: list[Row]) -> None:
    found = splits(make(), tokenizer, lambda line: None)
    assert (len(found.train), len(found.held_out)) == (160, 16)
    first = found.train[0]
    assert [turn["role"] for turn in first["prompt"]] == ["system", "user"]
    assert first["completion"] == [{"role": "assistant", "content": toy[0].messages[-1].content}]
    whole = tokenizer.apply_chat_template(toy[0].turns(), tokenize=True)["input_ids"]
    assert found.lengths[0] == len(whole)


def test_pairs_and_questions(make: Make, tokenizer: Any, toy: list[Row]) -> None:
    pair = splits(make(method="dpo"), tokenizer, lambda line: None).train[0]
    assert "T9" in pair["rejected"][0]["content"] and pair["chosen"][0]["content"] == toy[0].messages[-1].content
    spec = {"reward": "toy_rows:letters", "answers": 4, "max_tokens": 8}
    asked = splits(make(method="grpo", grpo=spec), tokenizer, lambda line: None).train[0]
    assert set(asked) == {"prompt", "row"} and Row.model_validate_json(asked["row"]).meta == toy[0].meta


def test_longer_rows_are_left_out_whole_and_told(make: Make, tokenizer: Any) -> None:
    every = splits(make(), tokenizer, lambda line: None).lengths
    limit = sorted(every)[len(every) // 2]
    said: list[str] = []
    found = splits(make(train={"max_length": limit}), tokenizer, said.append)
    assert max(found.lengths) == limit and len(found.train) == sum(length <= limit for length in every) < 160
    assert f"{160 - len(found.train)} of 160 rows are longer than {limit} tokens" in said[0]


def test_nothing_left_says_how_long_rows_are(make: Make, tokenizer: Any) -> None:
    with pytest.raises(ValueError, match=r"split train: no row is left within train.max_length 16; the shortest of 160 has \d+ tokens"):
        splits(make(train={"max_length": 16}), tokenizer, lambda line: None)


def test_an_answer_leaves_room_for_the_question(make: Make, tokenizer: Any) -> None:
    spec = {"reward": "toy_rows:letters", "answers": 4, "max_tokens": 200}
    with pytest.raises(ValueError, match="no row is left within train.max_length 210"):
        splits(make(method="grpo", grpo=spec, train={"max_length": 210}), tokenizer, lambda line: None)


def test_rows_without_rejected_answers_do_not_go_with_dpo(make: Make, tokenizer: Any, toy: list[Row], stored: Stored, keep: Keep) -> None:
    plain, pairs = [stored(row) for row in toy], [stored(row, rejected="no") for row in toy]
    name = keep("plain", train=plain[:50], eval=plain[50:60])
    with pytest.raises(ValueError, match="no row has a rejected answer.*set method: sft"):
        splits(make(method="dpo", data={"dataset": name}), tokenizer, lambda line: None)
    said: list[str] = []
    mixed = keep("mixed", train=plain[:20] + pairs[20:50], eval=pairs[50:60])
    assert len(splits(make(method="dpo", data={"dataset": mixed}), tokenizer, said.append).train) == 30
    assert "20 of 50 rows have no rejected answer" in said[0]


def test_held_out_rows_and_repeats_never_come_into_training(make: Make, toy: list[Row], stored: Stored, keep: Keep) -> None:
    rows = [stored(row) for row in toy]
    name = keep("leaky", train=rows[:50] + rows[:5] + rows[50:54], eval=rows[50:60])
    said: list[str] = []
    train, held_out = stored_rows(make(data={"dataset": name}), said.append)
    assert len(train) == 50 and len(held_out) == 10
    assert not {row.key for row in train} & {row.key for row in held_out}
    assert "4 training rows are held out too" in said[0]


def test_a_question_alone_leaks_where_answers_are_not_learnt(make: Make, toy: list[Row], stored: Stored, keep: Keep) -> None:
    rows = [stored(row) for row in toy[:30]]
    other = rows[25] | {"messages": [*rows[25]["messages"][:-1], {"role": "assistant", "content": "another"}]}
    name = keep("asked", train=[*rows[:20], other], eval=rows[20:])
    spec = {"reward": "toy_rows:letters", "answers": 4, "max_tokens": 8}
    assert len(stored_rows(make(data={"dataset": name}, method="grpo", grpo=spec), lambda line: None)[0]) == 20
    assert len(stored_rows(make(data={"dataset": name}), lambda line: None)[0]) == 21


def test_images_want_a_base_that_sees(make: Make, tokenizer: Any, toy: list[Row], stored: Stored, keep: Keep) -> None:
    row = stored(toy[0]) | {"images": ["/nowhere.png"]}
    row["messages"][1]["content"] = "<image>" + row["messages"][1]["content"]
    name = keep("seen", train=[row], eval=[stored(toy[1])])
    with pytest.raises(ValueError, match="reads text alone: choose a vision-language base.model"):
        splits(make(data={"dataset": name}), tokenizer, lambda line: None)


def test_a_missing_split_says_what_to_run(make: Make, tokenizer: Any, toy: list[Row], stored: Stored, keep: Keep) -> None:
    name = keep("whole", all=[stored(row) for row in toy])
    with pytest.raises(ValueError, match="no split 'eval', only all: sdx data split whole"):
        splits(make(data={"dataset": name}), tokenizer, lambda line: None)
