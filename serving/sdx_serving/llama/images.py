"""Images of a request as the model sees them, through its projector (llama.cpp's mtmd). Start at Eyes."""

import ctypes
import hashlib
import importlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from PIL import Image

from sdx_serving.openai_protocol import Refusal


@dataclass(frozen=True, slots=True)
class Seen:
    """One piece of an image between the text's tokens."""

    chunk: Any
    """llama.cpp's own, valid while its Look is open."""
    cells: tuple[int, ...]
    """One for each position that it takes in the context; negative, and the same for the same image."""
    tokens: int


class Sight(Protocol):
    """What puts pictures into a model's context: Eyes for images, vision.tokens.Tokens for what another encoder made of them."""

    def look(self, image: Any) -> Any:
        """Something with `parts()`, the tokens and Seen pieces of one picture, and `close()`."""
        ...

    def read_in(self, seen: Seen, context: Any, past: int, n_batch: int) -> int:
        """Give the piece to the context, at position `past`; returns the position after it."""
        ...

    def close(self) -> None: ...


class Look:
    """One image cut into what the model reads: tokens around it, and the image itself. Close it when the answer is made."""

    def __init__(self, lib: Any, context: Any, image: Image.Image) -> None:
        self._lib, self._context = lib, context
        (width, height), pixels = image.size, image.convert("RGB").tobytes()
        self._name = int.from_bytes(hashlib.sha256(b"%d %d " % (width, height) + pixels).digest()[:7], "big") + 1
        data = (ctypes.c_uint8 * len(pixels)).from_buffer_copy(pixels)
        self._bitmap = lib.mtmd_bitmap_init(width, height, data)
        self._chunks = lib.mtmd_input_chunks_init()

    def parts(self) -> list[list[int] | Seen]:
        lib, marker = self._lib, self._lib.mtmd_default_marker()
        asked = lib.mtmd_input_text()
        asked.text, asked.text_len, asked.add_special, asked.parse_special = marker, len(marker), False, True
        if lib.mtmd_tokenize(self._context, self._chunks, ctypes.byref(asked), (lib.mtmd_bitmap_p_ctypes * 1)(self._bitmap), 1):
            raise Refusal("image_url: the model's projector cannot take an image of this shape: send another size", "invalid_image")
        return [self._part(lib.mtmd_input_chunks_get(self._chunks, at)) for at in range(lib.mtmd_input_chunks_size(self._chunks))]

    def _part(self, chunk: Any) -> list[int] | Seen:
        lib = self._lib
        if lib.mtmd_input_chunk_get_type(chunk) == lib.MTMD_INPUT_CHUNK_TYPE_TEXT:
            count = ctypes.c_size_t()
            tokens = lib.mtmd_input_chunk_get_tokens_text(chunk, ctypes.byref(count))
            return [int(tokens[at]) for at in range(count.value)]
        cells = (-self._name,) * lib.mtmd_input_chunk_get_n_pos(chunk)
        return Seen(chunk, cells, int(lib.mtmd_input_chunk_get_n_tokens(chunk)))

    def close(self) -> None:
        self._lib.mtmd_input_chunks_free(self._chunks)
        self._lib.mtmd_bitmap_free(self._bitmap)


class Eyes:
    """A projector, loaded beside its model.

    Raises:
        ValueError: the file is no projector of this model.
    """

    def __init__(self, projector: Path, model: Any, n_threads: int) -> None:
        self._lib: Any = importlib.import_module("llama_cpp.mtmd_cpp")
        params = self._lib.mtmd_context_params_default()
        params.print_timings, params.n_threads, params.warmup = False, n_threads, False
        self._context = self._lib.mtmd_init_from_file(str(projector).encode(), model, params)
        if not self._context or not self._lib.mtmd_support_vision(self._context):
            raise ValueError(f"{projector} is no image projector of this model: give the mmproj file that was exported with it")

    def look(self, image: Image.Image) -> Look:
        return Look(self._lib, self._context, image)

    def read_in(self, seen: Seen, context: Any, past: int, n_batch: int) -> int:
        """Give the image to the model's context, at position `past`; returns the position after it."""
        lib: Any = importlib.import_module("llama_cpp")
        after = lib.llama_pos(past)
        code = self._lib.mtmd_helper_eval_chunk_single(self._context, context, seen.chunk, past, 0, n_batch, True, ctypes.byref(after))
        if code:
            raise RuntimeError(f"llama.cpp could not read the image (code {code})")
        return int(after.value)

    def close(self) -> None:
        self._lib.mtmd_free(self._context)
