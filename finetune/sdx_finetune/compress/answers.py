"""A compressed model that is no GGUF file, as something to ask the task's rows. Start at answering()."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from sdx_finetune.measure.evaluate import Answerer, EndpointAnswerer, Schema
from sdx_finetune.measure.side_by_side import Measure
from sdx_finetune.parity.stacks import vllm
from sdx_serving.client import OpenAIChat
from sdx_serving.onnx.decoder import Decoder
from sdx_serving.onnx.graph import Hardware, open_graph
from sdx_serving.openai_protocol import Answer, Sampling


@contextmanager
def answering(folder: Path, how: Measure) -> Iterator[Answerer]:
    """ONNX in this process; other folders through vLLM. FileNotFoundError: vLLM is not installed."""
    if (folder / "model.onnx").is_file():
        yield OnnxAnswerer(folder, how)
        return
    with vllm(folder, how.context) as server, OpenAIChat(f"{server.client.base_url}/v1", "parity") as client:
        yield EndpointAnswerer(client, folder.name, max_tokens=how.max_tokens)


class OnnxAnswerer:
    """Greedy, one at a time."""

    concurrency = 1

    def __init__(self, folder: Path, how: Measure) -> None:
        graph = open_graph(folder / "model.onnx", Hardware(threads=how.threads))
        self.decoder, self.max_tokens = Decoder(folder, graph, how.context), how.max_tokens
        self.name = f"{folder.name} sha256:{graph.sha256[:12]}"

    def answer(self, turns: list[dict[str, str]], schema: Schema | None) -> str:
        text = json.dumps(schema, ensure_ascii=False) if schema is not None else None
        return "".join(self.decoder.answer(self.decoder.text.chat_ids(turns), Sampling(max_tokens=self.max_tokens, schema=text), Answer()))
