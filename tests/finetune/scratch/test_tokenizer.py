from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sdx_finetune.datasets.vocabulary import TURN_END, chatml
from sdx_finetune.rows import Row, check_row
from sdx_finetune.scratch.tokenizer import encode_row, load_tokenizer


def ids(tokenizer: Any, text: str) -> list[int]:
    return tokenizer.backend_tokenizer.encode(text, add_special_tokens=False).ids


def test_any_text_comes_back(tokenizer: Any) -> None:
    @settings(max_examples=60, deadline=None)
    @given(st.text())
    def check(text: str) -> None:
        assert tokenizer.backend_tokenizer.decode(ids(tokenizer, text), skip_special_tokens=False) == text

    check()


def test_digits_are_single_and_markers_are_one_token(tokenizer: Any) -> None:
    assert tokenizer.convert_ids_to_tokens(ids(tokenizer, "2048")) == ["2", "0", "4", "8"]
    assert [len(ids(tokenizer, marker)) for marker in ("<|im_start|>", "<|im_end|>", "<|endoftext|>")] == [1, 1, 1]
    assert tokenizer.eos_token == TURN_END


@pytest.mark.parametrize("to_answer", [True, False])
def test_the_template_writes_what_training_sees(tokenizer: Any, toy: list[Row], to_answer: bool) -> None:
    turns = toy[0].turns()
    assert tokenizer.apply_chat_template(turns, tokenize=False, add_generation_prompt=to_answer) == chatml(turns, to_answer)


def test_the_prompt_is_tokenised_as_serving_will(tokenizer: Any, toy: list[Row]) -> None:
    for row in toy[:20]:
        encoded = encode_row(tokenizer, row, "last")
        prompt = ids(tokenizer, chatml(row.turns()[:-1], to_answer=True))
        assert encoded.ids[: len(prompt)] == prompt
        assert encoded.learnt == [False] * len(prompt) + [True] * (len(encoded.ids) - len(prompt))
        assert (
            tokenizer.backend_tokenizer.decode(encoded.ids[len(prompt) :], skip_special_tokens=False) == row.messages[-1].content + TURN_END
        )


def test_all_assistant_turns_are_learnt_when_asked(tokenizer: Any) -> None:
    turns = [("user", "a"), ("assistant", "one"), ("user", "b"), ("assistant", "two")]
    row = check_row({"messages": [{"role": role, "content": text} for role, text in turns]}, "test")

    def learnt_text(loss_on: Any) -> str:
        encoded = encode_row(tokenizer, row, loss_on)
        chosen = [token for token, learnt in zip(encoded.ids, encoded.learnt, strict=True) if learnt]
        return tokenizer.backend_tokenizer.decode(chosen, skip_special_tokens=False)

    assert learnt_text("last") == f"two{TURN_END}"
    assert learnt_text("all") == f"one{TURN_END}two{TURN_END}"


def test_it_is_saved_with_its_template(tokenizer: Any, tmp_path: Path) -> None:
    tokenizer.save_pretrained(tmp_path)
    again = load_tokenizer(tmp_path)
    assert (again.chat_template, again.eos_token_id, len(again)) == (tokenizer.chat_template, tokenizer.eos_token_id, len(tokenizer))
    with pytest.raises(FileNotFoundError, match="run the stage `tokenizer` first"):
        load_tokenizer(tmp_path / "elsewhere")
