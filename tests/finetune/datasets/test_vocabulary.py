"""Tokens without torch: the embedded model's, and a folder's; what is learnt is the last answer."""

from pathlib import Path

import pytest
from tokenizers import Tokenizer, models, pre_tokenizers

from sdx_finetune.datasets.vocabulary import FolderVocabulary, masked, open_vocabulary

ROW = {"messages": [{"role": "user", "content": "CPA 0.3 NM?"}, {"role": "assistant", "content": "우현 변침."}], "images": [], "meta": {}}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    tokenizer = Tokenizer(models.WordLevel({"a": 0, "b": 1, "?": 2}, unk_token="?"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer.save(str(tmp_path / "tokenizer.json"))
    return tmp_path


def test_the_embedded_vocabulary_gives_the_text_back_with_single_digits() -> None:
    vocabulary = open_vocabulary("embedded")
    text = "CPA 12.5 NM, T3 crosses"
    pieces = vocabulary.pieces(vocabulary.ids(text))
    assert "".join(pieces) == text and {"1", "2", "5", "3"} <= set(pieces)
    assert vocabulary.lengths([text, ""]) == [len(pieces), 0]
    assert len(vocabulary.ids("<|im_start|>")) == 1


def test_the_last_answer_and_its_end_are_learnt() -> None:
    pieces = masked(ROW, open_vocabulary(None))
    learnt = [piece for piece, is_learnt in pieces if is_learnt]
    assert learnt[-1] == "<|im_end|>" and all("CPA" not in piece for piece in learnt)
    assert [is_learnt for _, is_learnt in pieces] == sorted(is_learnt for _, is_learnt in pieces)


def test_a_long_text_is_counted_whole() -> None:
    vocabulary = open_vocabulary("embedded")
    assert vocabulary.lengths(["1" * 20_000]) == [20_000]


def test_a_folders_tokenizer(folder: Path) -> None:
    vocabulary = open_vocabulary(str(folder))
    assert isinstance(vocabulary, FolderVocabulary)
    assert vocabulary.ids("a b a") == [0, 1, 0] and vocabulary.lengths(["a b", "b"]) == [2, 1] and vocabulary.pieces([1]) == ["b"]


@pytest.mark.parametrize("name", ["nowhere.gguf", "nowhere"])
def test_a_missing_tokenizer_says_what_to_give(name: str) -> None:
    with pytest.raises(FileNotFoundError, match="give a GGUF file or a folder"):
        open_vocabulary(name)


def test_a_file_that_is_no_gguf_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.gguf").write_bytes(b"no")
    with pytest.raises(ValueError, match=r"is no GGUF file"):
        open_vocabulary(str(tmp_path / "a.gguf"))
