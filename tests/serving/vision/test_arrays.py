"""What comes as a volume over the wire is hostile until it is one."""

import io
import zipfile

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sdx_serving.openai_protocol import Refusal
from sdx_serving.vision.arrays import slabs_of

SHAPE = (2, 1, 4, 4)


def packed(**arrays: np.ndarray) -> bytes:
    file = io.BytesIO()
    np.savez_compressed(file, allow_pickle=True, **arrays)  # pyright: ignore[reportArgumentType]
    return file.getvalue()


def zipped(name: str, content: bytes) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as made:
        made.writestr(name, content)
    return file.getvalue()


@given(st.binary(min_size=32, max_size=32))
def test_bytes_come_back_as_they_were(content: bytes) -> None:
    if content[:2] == b"PK":
        return
    array = slabs_of(content, "2,1,4,4", SHAPE)
    assert array.shape == SHAPE and array.tobytes() == content
    assert (slabs_of(packed(slabs=array), None, SHAPE) == array).all()


@given(st.binary(max_size=200), st.one_of(st.none(), st.text(max_size=12)))
def test_anything_else_is_refused_and_nothing_worse(content: bytes, told: str | None) -> None:
    for body in (content, b"PK\x03\x04" + content, zipped("slabs.npy", content)):
        try:
            assert slabs_of(body, told, SHAPE).shape == SHAPE
        except Refusal as refusal:
            assert str(refusal)


@pytest.mark.parametrize(
    ("body", "why"),
    [
        (packed(slabs=np.zeros((300, 300), np.uint8)), "unpacks to more"),
        (packed(other=np.zeros(SHAPE, np.uint8)), "other.npy"),
        (packed(slabs=np.zeros(SHAPE, np.float32)), "float32"),
        (packed(slabs=np.array([{"a": 1}], dtype=object)), "cannot be read"),
        (packed(slabs=np.zeros(SHAPE, np.uint8), more=np.zeros(1)), "more.npy"),
        (zipped("../slabs.npy", b"x"), "../slabs.npy"),
    ],
)
def test_an_archive_of_something_else_says_what(body: bytes, why: str) -> None:
    with pytest.raises(Refusal, match=why):
        slabs_of(body, None, SHAPE)
