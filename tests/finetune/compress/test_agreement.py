from pathlib import Path
from typing import Any

import pytest

from sdx_finetune.compress.agreement import agreement, greedy_paths
from sdx_finetune.compress.rows import encoded, end_of, prompt_ids
from sdx_finetune.export.gguf_file import Label, export_gguf
from sdx_finetune.rows import Row
from sdx_finetune.scratch.tokenizer import encode_row


@pytest.fixture(scope="module")
def file(learnt_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return export_gguf(learnt_folder, tmp_path_factory.mktemp("file") / "F32.gguf", Label("toy", "", "", ()))


def test_rows_are_encoded_as_training_did(tokenizer: Any, toy: list[Row]) -> None:
    for row in toy[:10]:
        ids, start = encoded(tokenizer, row, end_of(tokenizer))
        wanted = encode_row(tokenizer, row, "last")
        assert ids == wanted.ids
        assert [i >= start for i in range(len(ids))] == wanted.learnt


def test_a_model_agrees_with_itself_and_less_with_another(
    file: Path, model_folder: Path, tokenizer: Any, toy: list[Row], tmp_path: Path
) -> None:
    paths = greedy_paths(file, [prompt_ids(tokenizer, row) for row in toy[150:156]], tmp_path / "paths.json")
    assert all(ids[-1] == end_of(tokenizer) for ids, _ in paths), "a learnt model ends its answers"
    alike = agreement(file, paths)
    assert (alike.top1, alike.greedy, alike.rows) == (1.0, 1.0, 6)
    assert alike.positions == sum(len(ids) - start for ids, start in paths)
    other = agreement(export_gguf(model_folder, tmp_path / "random.gguf", Label("toy", "", "", ())), paths)
    assert other.top1 < 0.2 and other.greedy <= other.top1
    assert greedy_paths(tmp_path / "gone.gguf", [], tmp_path / "paths.json") == [(ids, start) for ids, start in paths]
