"""Ask a vision model: show it a volume, then talk about it. Start at open_reader()."""

import base64
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any

import httpx
import numpy as np
from numpy.typing import NDArray

from sdx_serving.client import Completion, DeadlineExceeded, EngineUnavailable, Message, OpenAIChat, RequestRefused
from sdx_serving.engine import EngineError, Serving
from sdx_serving.vision.arrays import SHAPE_HEADER
from sdx_serving.vision.marks import Held, handles

REMEMBERED = 4
"""Volumes that a client keeps (7 MB each), to show them again to an engine that was restarted."""
_GONE = 410


@dataclass(frozen=True, slots=True)
class Looked:
    """What a vision model sees in a volume."""

    handle: str
    """Stands for it in prompts: write "<ct:HANDLE>"."""
    probability: Mapping[str, float]
    """By label, 0..1."""
    maps: Mapping[str, NDArray[np.float32]]
    """By label: (slabs, rows, columns), 0..1."""
    unlike_training: float
    """Distance from what it was trained on; above 1 the volume is unlike that."""
    model: str
    model_sha256: str
    trained_on: str = ""
    """"phantoms" where it never saw a patient; "" where nothing is said."""
    latency_s: float = 0.0


def look(url: str, slabs: NDArray[np.uint8], api_key: str | None = None, deadline_s: float = 30.0) -> Looked:
    """Show a volume to the engine at `url` (with the version, e.g. "http://127.0.0.1:8080/v1"). Raises ChatError only."""
    address, began = f"{url.rstrip('/')}/look", time.perf_counter()
    headers = {SHAPE_HEADER: ",".join(map(str, slabs.shape)), "content-type": "application/octet-stream"}
    headers |= {"authorization": f"Bearer {api_key}"} if api_key else {}
    local = httpx.URL(address).host in ("127.0.0.1", "localhost", "::1")
    try:
        with httpx.Client(timeout=deadline_s, trust_env=not local) as http:
            answer = http.post(address, content=np.ascontiguousarray(slabs).tobytes(), headers=headers)
    except httpx.TimeoutException as error:
        raise DeadlineExceeded(f"{url} did not look at the volume within {deadline_s:.2f} s") from error
    except httpx.HTTPError as error:
        raise EngineUnavailable(
            f"nothing looks at volumes at {url} ({error or type(error).__name__}): start a vision engine there"
        ) from error
    if answer.status_code != httpx.codes.OK:
        raise RequestRefused(f"{url} refused the volume with HTTP {answer.status_code}: {answer.text[:500]}", answer.status_code)
    try:
        return _read(answer.json(), time.perf_counter() - began)
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise RequestRefused(f"{url} did not answer as a vision engine ({error!r}): does it serve one?") from error


def _read(told: Mapping[str, Any], latency_s: float) -> Looked:
    probability = {str(label): float(value) for label, value in told["probability"].items()}
    maps = np.frombuffer(base64.b64decode(told["maps"]["float16"]), "<f2").reshape(told["maps"]["shape"]).astype(np.float32)
    sha256 = str(told["system_fingerprint"]).removeprefix("sha256:")
    named = dict(zip(probability, maps, strict=True))
    unlike, trained_on = float(told["unlike_training"]), str(told.get("trained_on", ""))
    return Looked(str(told["handle"]), probability, named, unlike, str(told["model"]), sha256, trained_on, latency_s)


class SeeingChat(OpenAIChat):
    """A ChatClient that also looks at volumes.

    The engine holds visual tokens in memory only: after a restart it knows no handle. The last volumes are therefore kept here and
    shown again, once, when it says so.
    """

    def __init__(self, base_url: str, model: str = "default", api_key: str | None = None, model_sha256: str = "") -> None:
        super().__init__(base_url, model, api_key, model_sha256)
        self._api_key = api_key
        self._shown: Held[NDArray[np.uint8]] = Held(REMEMBERED)

    def look(self, slabs: NDArray[np.uint8], deadline_s: float = 30.0) -> Looked:
        """See look()."""
        seen = look(self.base_url, slabs, self._api_key, deadline_s)
        self._shown.hold(seen.handle, slabs)
        return seen

    def remembers(self, handle: str) -> bool:
        """Whether prompts may name it: its volume is here, for an engine that does not know it any more."""
        return handle in self._shown

    def complete(
        self,
        messages: Sequence[Message],
        schema: Mapping[str, Any] | None = None,
        max_tokens: int = 512,
        temperature: float = 0.0,
        deadline_s: float = 30.0,
    ) -> Completion:
        """See ChatClient.complete."""
        began = time.monotonic()
        try:
            return super().complete(messages, schema, max_tokens, temperature, deadline_s)
        except RequestRefused as error:
            left_s = deadline_s - (time.monotonic() - began)
            if not self._shown_again(error, messages, left_s):
                raise
            return super().complete(messages, schema, max_tokens, temperature, deadline_s - (time.monotonic() - began))

    def stream(
        self,
        messages: Sequence[Message],
        schema: Mapping[str, Any] | None = None,
        max_tokens: int = 512,
        temperature: float = 0.0,
        deadline_s: float = 60.0,
    ) -> Iterator[str]:
        """See ChatClient.stream. An unknown handle is told before the first piece, so nothing is said twice."""
        began = time.monotonic()
        try:
            yield from super().stream(messages, schema, max_tokens, temperature, deadline_s)
        except RequestRefused as error:
            left_s = deadline_s - (time.monotonic() - began)
            if not self._shown_again(error, messages, left_s):
                raise
            yield from super().stream(messages, schema, max_tokens, temperature, deadline_s - (time.monotonic() - began))

    def _shown_again(self, error: RequestRefused, messages: Sequence[Message], deadline_s: float) -> bool:
        """Whether all volumes of the messages are known to the engine now."""
        wanted = [handle for message in messages for handle in handles(str(message.get("content", "")))]
        if error.status != _GONE or not wanted or any(handle not in self._shown for handle in wanted):
            return False
        return all(self.look(self._shown[handle], deadline_s).handle == handle for handle in dict.fromkeys(wanted))


def shipped_reader() -> Path:
    """The folder of the vision model that ships with this package. FileNotFoundError says where it was looked for."""
    models = Path(str(files("sdx_serving").joinpath("models")))
    found = sorted(path.parent for path in models.glob("*/encoder.onnx") if (path.parent / "decoder.gguf").is_file())
    if not found:
        raise FileNotFoundError(
            f"no folder with encoder.onnx and decoder.gguf in {models}: make one with `sdx finetune run finetune/recipes/medicine.yaml`"
        )
    return found[-1]


@contextmanager
def open_reader(model: str = "embedded", threads: int = 1, api_key: str | None = None, log: Path | None = None) -> Iterator[SeeingChat]:
    """A client of a vision model; an engine that had to be started for it ends with the block.

    Args:
        model: "embedded", a folder with encoder.onnx and decoder.gguf, or the address of a running engine ("http://host:8000/v1").

    Raises:
        EngineError: the model is not there or cannot be served.
    """
    if model.startswith(("http://", "https://")):
        with SeeingChat(model, api_key=api_key) as chat:
            yield chat
        return
    from sdx_serving.engines.vision import Vision  # it makes clients of this kind

    try:
        folder = str(shipped_reader()) if model == "embedded" else model
    except FileNotFoundError as error:
        raise EngineError(str(error)) from error
    with Vision(Serving(folder, threads=threads), log=log) as engine, engine.chat() as chat:
        yield chat
