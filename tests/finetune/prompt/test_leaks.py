"""What gives an answer away is refused, and what any good prompt says is not."""

import pytest

from sdx_finetune.prompt.examples import Example, Prompt
from sdx_finetune.prompt.leaks import Guard
from sdx_finetune.rows import check_row


def example(query: str, response: str) -> Example:
    turns = [{"role": "user", "content": query}, {"role": "assistant", "content": response}]
    return Example(check_row({"messages": turns}, "test"), query)


TRAIN = [example("lights seen ahead?", "starboard"), example("a light to the right?", "starboard"), example("two lights", "port")]
TRAIN += [
    example("2 + 3", "5"),
    example("first of four", "C"),
    example("second of four", "C"),
    example("who signs?", "The harbour master, in ink."),
]
TEST = [
    example("three lights", "port"),
    example("who pays?", "The charterer pays the pilot."),
    example("누가 서명하나?", "항만소장이 서명한다"),
]
GUARD = Guard([*TRAIN, *TEST], TEST, "Answer with port or starboard. The pilot boards at dawn.")


@pytest.mark.parametrize(
    "text",
    [
        "Note that the charterer pays the pilot.",
        "Remember: THE HARBOUR MASTER IN INK!",
        "Choose one. The correct answer: C",
        "The answer is 'port' in most cases.",
        "정답은 port",
        "C",
        "참고로 항만소장이 서명한다고 적는다",
    ],
)
def test_an_instruction_that_gives_an_answer_away(text: str) -> None:
    assert GUARD.instruction(text)


@pytest.mark.parametrize(
    "text",
    [
        "Answer with one word: port or starboard.",
        "The answer is port or starboard.",
        "You are a pilot. Think of 5 things, then answer in capital letters such as A, B, C or D.",
        "The harbour master decides.",
        "The pilot boards at dawn, so be brief.",
    ],
)
def test_an_instruction_that_names_labels_or_says_what_the_base_says(text: str) -> None:
    assert GUARD.instruction(text) == ""


def test_demos() -> None:
    assert "test row" in GUARD.demo("Three lights!", "port")
    assert "of a test row" in GUARD.demo("two lights", "port, as the charterer pays the pilot")
    assert GUARD.demo("two lights", "port") == ""
    assert GUARD.demo("who signs?", "The harbour master, in ink.") == "", "an answer of its own training row"
    assert GUARD.prompt(Prompt("Be brief.", (("two lights", "port"), ("three lights", "port"))))


def test_korean_prompts_stay_korean() -> None:
    guard = Guard(TRAIN, TEST, "짧게 답한다.", "ko")
    assert guard.instruction("Answer briefly.") == "it is not in Korean"
    assert guard.instruction("한 단어로 답한다.") == ""
    assert guard.prompt(Prompt("짧게 답한다.")) == ""
