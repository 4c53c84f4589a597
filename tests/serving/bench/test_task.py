import json
from pathlib import Path

import pytest

from sdx_serving.bench.task import RowsTask


def chat(asked: str, answer: str) -> str:
    return json.dumps({"messages": [{"role": "user", "content": asked}, {"role": "assistant", "content": answer}]})


def test_rows_of_a_file_are_asked_and_met_word_for_word(tmp_path: Path) -> None:
    path = tmp_path / "colours.jsonl"
    path.write_text("\n".join([chat("sky?", "blue"), chat("grass?", "green"), chat("more?", "no")]))
    task = RowsTask(path, 2)
    assert [question.turns() for question in task.questions] == [[{"role": "user", "content": text}] for text in ("sky?", "grass?")]
    assert (task.score(0, " blue\n"), task.score(0, "green"), task.score(1, "green")) == (1.0, 0.0, 1.0)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (chat("a", "b") + "\n{", ":2: no chat row"),
        ('{"messages": [{"role": "user"}]}', ":1: no chat row"),
        ('{"messages": [{"role": "user", "content": "a"}]}', ":1: the last of at least two messages must be the assistant's answer"),
        (chat("a", "b"), "1 rows, and requests x rounds"),
    ],
)
def test_a_bad_file_is_named_with_its_line(tmp_path: Path, text: str, said: str) -> None:
    path = tmp_path / "rows.jsonl"
    path.write_text(text)
    with pytest.raises(ValueError) as error:
        RowsTask(path, 2)
    assert str(path) in str(error.value)
    assert said in str(error.value)


def test_an_unseen_question_differs_from_its_beginning_on(tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    path.write_text(chat("sky?", "blue"))
    question = RowsTask(path, 1).questions[0]
    assert [question.unseen(mark).messages[0].content for mark in ("1", "2")] == ["[1] sky?", "[2] sky?"]
