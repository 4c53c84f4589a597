from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sdx_finetune.recipe import Recipe
from sdx_finetune.rows import Row
from sdx_finetune.scratch.batches import TokenRows, assemble, batches, bucket_lengths, cached_rows, encode_rows


def quiet(_: str) -> None:
    pass


def rows_of(lengths: list[int]) -> TokenRows:
    """Row i holds i + 1 only; its last half is learnt."""
    ids = np.concatenate([np.full(length, i + 1) for i, length in enumerate(lengths)]).astype(np.uint16)
    learnt = np.concatenate([np.arange(length) >= length // 2 for length in lengths])
    return TokenRows(ids, learnt, np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64), 0)


@given(st.lists(st.integers(2, 700), min_size=1, max_size=60), st.integers(1, 5))
def test_buckets_hold_every_row_and_more_never_pad_more(lengths: list[int], count: int) -> None:
    array = np.array(lengths)

    def padded(buckets: list[int]) -> int:
        return sum(buckets[int(np.searchsorted(buckets, length))] for length in lengths)

    fewer, more = bucket_lengths(array, count), bucket_lengths(array, count + 1)
    assert len(fewer) <= count
    assert all(length % 32 == 0 for length in fewer)
    assert padded(more) <= padded(fewer)


def test_two_buckets_are_the_best_two() -> None:
    assert bucket_lengths(np.array([30] * 10 + [60] * 2 + [300] * 10), 2) == [64, 320]


def test_an_epoch_sees_every_row_and_the_order_depends_on_the_seed_alone(recipe: Recipe) -> None:
    rows = rows_of([20, 25, 90, 100, 150, 40, 33, 21])
    spec = recipe.train.model_copy(update={"batch_tokens": 192})
    buckets = bucket_lengths(rows.lengths, 2)

    def first(count: int, start: int) -> list[list[int]]:
        return [batch.ids[:, 0].tolist() for _, batch in islice(batches(rows, buckets, spec, 0, start), count)]

    one_epoch = first(6, 0)
    assert {row for batch in one_epoch for row in batch} == set(range(1, 9))
    assert first(20, 0)[7:] == first(13, 7)
    assert first(6, 0) != [
        batch.ids[:, 0].tolist() for _, batch in islice(batches(rows, buckets, spec.model_copy(update={"seed": 1}), 0, 0), 6)
    ]


def test_the_first_batches_hold_the_shortest_rows_where_there_are_any(recipe: Recipe) -> None:
    spec = recipe.train.model_copy(update={"batch_tokens": 192, "short_batches": 7})
    mixed, long_only = rows_of([20, 25, 90, 30, 100, 150, 40, 33, 21]), rows_of([90, 100, 150])
    shapes = [batch.ids.shape[1] for _, batch in islice(batches(mixed, [64, 160], spec, 0, 0), 30)]
    assert set(shapes[:7]) == {64} and 160 in shapes[7:]
    assert [batch.ids.shape[1] for _, batch in islice(batches(long_only, [64, 160], spec, 0, 0), 4)] == [160] * 4


def test_weights_are_on_the_answer_and_never_on_padding() -> None:
    batch = assemble(rows_of([4, 6]), 8, np.array([0, 1]), 0.25, pad=0)
    assert batch.tokens == 10
    assert batch.ids.tolist() == [[1, 1, 1, 1, 0, 0, 0, 0], [2, 2, 2, 2, 2, 2, 0, 0]]
    assert batch.weights.tolist() == [[0.25, 1, 1, 0, 0, 0, 0], [0.25, 0.25, 1, 1, 1, 0, 0]]


def test_rows_are_tokenised_once(tokenizer: Any, toy: list[Row], recipe: Recipe, tmp_path: Path) -> None:
    made = encode_rows(toy, tokenizer, recipe.train, quiet)
    path = tmp_path / "cache" / "rows.npz"
    first = cached_rows(path, lambda: made)
    second = cached_rows(path, lambda: pytest.fail("tokenised again"))
    for name in ("ids", "learnt", "starts"):
        assert np.array_equal(getattr(first, name), getattr(made, name))
        assert np.array_equal(getattr(second, name), getattr(made, name))


def test_too_many_long_rows_are_an_error_with_the_figures(tokenizer: Any, toy: list[Row], recipe: Recipe) -> None:
    spec = recipe.train.model_copy(update={"max_length": 40})
    with pytest.raises(ValueError, match=r"200 of 200 rows are longer than train.max_length 40 \(longest \d+\)"):
        encode_rows(toy, tokenizer, spec, quiet)
