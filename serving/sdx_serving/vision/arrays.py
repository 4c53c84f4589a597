"""Volumes on the wire: raw bytes with their shape, or npz; nothing unpacks to more than was asked for. Start at slabs_of()."""

import io
import math
import zipfile
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from sdx_serving.openai_protocol import Refusal

SHAPE_HEADER = "x-shape"
"""Of a raw body: "32,6,192,192"."""
MEMBER = "slabs.npy"
"""The one array of an npz file, as np.savez(file, slabs=...) writes it."""
_NPY_HEADER_BYTES = 4096


def slabs_of(body: bytes, told_shape: str | None, wanted: Sequence[int]) -> NDArray[np.uint8]:
    """A uint8 array of the wanted shape. Refusal says what came instead."""
    if body[:2] == b"PK":
        return _from_npz(body, wanted)
    if told_shape is None:
        raise Refusal(f"the body is neither npz nor told by a header {SHAPE_HEADER}: send raw uint8 with {SHAPE_HEADER}: {_words(wanted)}")
    if told_shape.replace(" ", "") != _words(wanted):
        raise Refusal(f"{SHAPE_HEADER} is {told_shape[:60]!r}, this model takes {_words(wanted)}")
    if len(body) != math.prod(wanted):
        raise Refusal(f"the body has {len(body)} bytes, {_words(wanted)} of uint8 are {math.prod(wanted)}")
    return np.frombuffer(body, np.uint8).reshape(wanted)


def _from_npz(body: bytes, wanted: Sequence[int]) -> NDArray[np.uint8]:
    most = math.prod(wanted) + _NPY_HEADER_BYTES
    try:
        with zipfile.ZipFile(io.BytesIO(body)) as packed:
            if packed.namelist() != [MEMBER]:
                raise Refusal(f"the npz holds {packed.namelist()[:5]}, wanted is one array: np.savez(file, slabs=...)")
            if packed.getinfo(MEMBER).file_size > most:
                raise Refusal(f"{MEMBER} unpacks to more than {most} bytes: this model takes uint8 {_words(wanted)}")
            with packed.open(MEMBER) as file:
                array = np.lib.format.read_array(io.BytesIO(file.read(most)), allow_pickle=False)
    except (zipfile.BadZipFile, ValueError, EOFError, OSError, NotImplementedError, RuntimeError) as error:
        raise Refusal(f"the body begins as npz and cannot be read as such ({error})") from error
    if array.dtype != np.uint8 or array.shape != tuple(wanted):
        raise Refusal(f"slabs are {array.dtype} {array.shape}, this model takes uint8 {_words(wanted)}")
    return array


def _words(shape: Sequence[int]) -> str:
    return ",".join(map(str, shape))
