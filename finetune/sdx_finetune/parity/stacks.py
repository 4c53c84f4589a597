"""The stacks that a model is served by, opened for comparison with the training stack: llama.cpp, ONNX Runtime, vLLM."""

import json
import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Protocol, Self

import numpy as np

from sdx_finetune.recipe import Quantisation
from sdx_serving.llama.model import spare_amx

Turns = list[dict[str, str]]
VLLM_START_S = 600.0
_FILE_TYPES: dict[int, Quantisation] = {
    0: "F32", 1: "F16", 7: "Q8_0", 18: "Q6_K", 17: "Q5_K_M", 15: "Q4_K_M", 30: "IQ4_XS", 12: "Q3_K_M", 10: "Q2_K",
}  # fmt: skip


def kind_of(path: Path) -> Quantisation:
    """How coarse the weights of a file or folder are, from what it says of itself. ValueError: a quantisation without a threshold."""
    if path.suffix == ".gguf":
        import gguf

        try:
            fields = gguf.GGUFReader(path).fields
        except (ValueError, IndexError, KeyError) as error:
            raise ValueError(f"{path} is no whole GGUF file: {error}") from error
        stored = fields["general.file_type"].contents() if "general.file_type" in fields else None
        if stored not in _FILE_TYPES:
            raise ValueError(f"{path}: general.file_type {stored!r} has no threshold here, only {', '.join(_FILE_TYPES.values())}")
        return _FILE_TYPES[stored]
    if (path / "model.onnx").is_file():
        import onnx

        nodes = {node.op_type for node in onnx.load(path / "model.onnx", load_external_data=False).graph.node}
        return "Q8_0" if nodes & {"DynamicQuantizeLinear", "QuantizeLinear"} else "F32"
    config = path / "config.json"
    if not config.is_file():
        raise ValueError(f"{path}: neither a .gguf file, nor a folder with model.onnx or config.json")
    return "Q4_K_M" if "quantization_config" in json.loads(config.read_text(encoding="utf-8")) else "F32"


class Stack(Protocol):
    """A served model: how it reads a chat and what it makes of token ids."""

    def chat_ids(self, turns: Turns, prompt: str) -> list[int]:
        """Ids of `turns` up to the answer; `prompt` is the text that training makes of them."""
        ...

    def tokens(self, text: str) -> list[int]:
        """As the file asks: with a beginning token only if its metadata say so."""
        ...

    def render(self, turns: Turns) -> str | None:
        """The chat template's text; None: this stack gives only ids."""
        ...

    def ends(self, token: int) -> bool: ...

    def scores(self, ids: Sequence[int]) -> tuple[np.ndarray, np.ndarray | None]:
        """First choice after each id, int, at most len(ids) of them; and logits (the same, vocabulary) where the stack gives them."""
        ...

    def greedy(self, ids: Sequence[int], count: int) -> list[int]:
        """The next `count` tokens without any stop."""
        ...


class GgufModel:
    """A GGUF file, with a GGUF adapter on it if given: float32 cache, logits of all positions. Use as a context manager."""

    def __init__(self, path: Path, context: int, threads: int = 1, lora: Path | None = None) -> None:
        import llama_cpp

        spare_amx(llama_cpp)
        self.path = path
        self.ends = lambda token: bool(llama_cpp.llama_vocab_is_eog(self.llama._model.vocab, token))
        self.llama = llama_cpp.Llama(
            str(path), n_ctx=context, n_batch=context, n_threads=threads, n_threads_batch=threads, logits_all=True, verbose=False,
            type_k=llama_cpp.GGML_TYPE_F32, type_v=llama_cpp.GGML_TYPE_F32, lora_path=str(lora) if lora else None,
        )  # fmt: skip

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.llama.close()

    def chat_ids(self, turns: Turns, prompt: str) -> list[int]:
        return list(self.llama.tokenize(prompt.encode(), add_bos=False, special=True))

    def tokens(self, text: str) -> list[int]:
        return list(self.llama.tokenize(text.encode(), add_bos=True, special=True))

    def render(self, turns: Turns) -> str:
        from llama_cpp.llama_chat_format import Jinja2ChatFormatter

        def piece(key: str) -> str:
            token = self.llama.metadata.get(f"tokenizer.ggml.{key}_token_id")
            return self.llama._model.token_get_text(int(token)) if token else ""

        template = self.llama.metadata.get("tokenizer.chat_template", "")
        formatter = Jinja2ChatFormatter(template, eos_token=piece("eos"), bos_token=piece("bos"))
        return formatter(messages=turns).prompt  # type: ignore[arg-type]

    def scores(self, ids: Sequence[int]) -> tuple[np.ndarray, np.ndarray]:
        self.llama.reset()
        self.llama.eval(list(ids))
        logits = np.array(self.llama.scores[: len(ids)], np.float32)
        return logits.argmax(1), logits

    def greedy(self, ids: Sequence[int], count: int) -> list[int]:
        made: list[int] = []
        self.llama.reset()
        self.llama.eval(list(ids))
        for _ in range(count):
            made.append(int(np.argmax(self.llama.scores[self.llama.n_tokens - 1])))
            self.llama.eval([made[-1]])
        return made


class FolderText:
    """Tokenizer and template of a folder in Hugging Face's layout."""

    def __init__(self, folder: Path) -> None:
        from transformers import GenerationConfig, PreTrainedTokenizerFast

        self.tokenizer = PreTrainedTokenizerFast.from_pretrained(folder)
        given = GenerationConfig.from_pretrained(folder).eos_token_id
        self.eos: set[int] = set(given if isinstance(given, list) else [given])

    def chat_ids(self, turns: Turns, prompt: str) -> list[int]:
        return self.tokenizer.backend_tokenizer.encode(str(self.render(turns)), add_special_tokens=False).ids

    def tokens(self, text: str) -> list[int]:
        return list(self.tokenizer(text).input_ids)

    def render(self, turns: Turns) -> str | None:
        return str(self.tokenizer.apply_chat_template(turns, tokenize=False, add_generation_prompt=True))

    def ends(self, token: int) -> bool:
        return token in self.eos


class OnnxModel(FolderText):
    """model.onnx of a decoder, with its key-value cache, in a folder with its tokenizer."""

    def __init__(self, folder: Path, threads: int = 1) -> None:
        from sdx_serving.onnx.decoder import CachedGraph
        from sdx_serving.onnx.graph import Hardware, open_graph

        super().__init__(folder)
        self.graph = CachedGraph(open_graph(folder / "model.onnx", Hardware(threads=threads)))

    def scores(self, ids: Sequence[int]) -> tuple[np.ndarray, np.ndarray]:
        logits, _ = self.graph.read(ids, self.graph.nothing())
        return logits.argmax(1), logits

    def greedy(self, ids: Sequence[int], count: int) -> list[int]:
        made: list[int] = []
        past = self.graph.nothing()
        for _ in range(count):
            logits, past = self.graph.read(made[-1:] or ids, past)
            made.append(int(logits[-1].argmax()))
        return made


class VllmModel(FolderText):
    """A folder that vLLM serves at `url`; ids of a chat are vLLM's own."""

    def __init__(self, folder: Path, url: str) -> None:
        import httpx

        super().__init__(folder)
        self.client = httpx.Client(base_url=url, timeout=VLLM_START_S)

    def chat_ids(self, turns: Turns, prompt: str) -> list[int]:
        asked = {"model": "parity", "messages": turns, "add_generation_prompt": True, "add_special_tokens": False}
        return list(self._post("/tokenize", asked)["tokens"])

    def tokens(self, text: str) -> list[int]:
        return list(self._post("/tokenize", {"model": "parity", "prompt": text})["tokens"])

    def render(self, turns: Turns) -> None:
        return None

    def scores(self, ids: Sequence[int]) -> tuple[np.ndarray, None]:
        """vLLM tells the first choice for each token that it was given, so one fewer than ids."""
        told = self._complete(ids, 1, prompt_logprobs=1)["prompt_logprobs"][1:]
        return np.array([next(int(token) for token, at in place.items() if at["rank"] == 1) for place in told]), None

    def greedy(self, ids: Sequence[int], count: int) -> list[int]:
        return list(self._complete(ids, count, return_token_ids=True)["token_ids"])

    def _complete(self, ids: Sequence[int], count: int, **more: Any) -> dict[str, Any]:
        asked = {"model": "parity", "prompt": list(ids), "max_tokens": count, "temperature": 0, "ignore_eos": True, **more}
        return self._post("/v1/completions", asked)["choices"][0]

    def _post(self, path: str, body: dict[str, Any]) -> dict[str, Any]:
        answer = self.client.post(path, json=body)
        answer.raise_for_status()
        return answer.json()


def vllm_command() -> list[str] | None:
    """How vLLM is started here: SDX_VLLM (a Python that has it), or `vllm` on the PATH; None: it is not installed."""
    if python := os.environ.get("SDX_VLLM"):
        return [python, "-m", "vllm.entrypoints.cli.main"]
    found = shutil.which("vllm")
    return [found] if found else None


@contextmanager
def vllm(folder: Path, context: int) -> Iterator[VllmModel]:
    """Serve `folder` as long as the block lasts. FileNotFoundError without vLLM, RuntimeError when it does not start."""
    from sdx_serving.ports import free_port

    command = vllm_command()
    if command is None:
        raise FileNotFoundError("vLLM is not here: put `vllm` on the PATH, or the path of its Python into SDX_VLLM")
    url = f"http://127.0.0.1:{(port := free_port('127.0.0.1'))}"
    flags = [
        "--served-model-name",
        "parity",
        "--host",
        "127.0.0.1",
        "--port",
        str(port),
        "--max-model-len",
        str(context),
        "--dtype",
        "float32",
    ]
    told = {"VLLM_CPU_KVCACHE_SPACE": "1", "VLLM_CPU_OMP_THREADS_BIND": "nobind", "VLLM_NO_USAGE_STATS": "1", "HF_HUB_OFFLINE": "1"}
    with tempfile.TemporaryFile() as log:
        server = subprocess.Popen(
            [*command, "serve", str(folder), *flags, "--enforce-eager"], stdout=log, stderr=log, env={**told, **os.environ}
        )
        try:
            until = time.monotonic() + VLLM_START_S
            while not _healthy(url):
                if server.poll() is not None or time.monotonic() > until:
                    log.seek(0)
                    raise RuntimeError(f"vLLM did not start with {folder}: {log.read()[-2000:].decode(errors='replace')}")
                time.sleep(1)
            yield VllmModel(folder, url)
        finally:
            server.terminate()
            try:
                server.wait(30)
            except subprocess.TimeoutExpired:
                server.kill()


def _healthy(url: str) -> bool:
    import httpx

    try:
        return httpx.get(f"{url}/health", timeout=5).is_success
    except httpx.TransportError:
        return False
