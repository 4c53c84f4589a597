"""The ONNX graph of a BERT encoder, from its weights and config.json, in float32 and standard operators. Start at bert_graph().

ONNX Runtime fuses attention, GELU and LayerNorm of it when a session opens: its own fused operators, written in here, were no faster.
Devlin et al. 2019, https://arxiv.org/abs/1810.04805; names of weights as transformers' BertModel has them.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np
from onnx import ModelProto, NodeProto, TensorProto, checker, helper, numpy_helper

_HIDDEN = "last_hidden_state"
_OPSET = 20
_IR = 9


class _Drawing:
    """Nodes and weights of a graph, one after the other."""

    def __init__(self, weights: Mapping[str, np.ndarray], config: Mapping[str, Any]) -> None:
        self._given, self.config = weights, config
        self.nodes: list[NodeProto] = []
        self.constants: dict[str, TensorProto] = {}

    def __call__(self, operator: str, *inputs: str, **attributes: Any) -> str:
        name = f"{operator}_{len(self.nodes)}"
        self.nodes.append(helper.make_node(operator, list(inputs), [name], **attributes))
        return name

    def constant(self, name: str, values: Any, dtype: Any = np.float32) -> str:
        if name not in self.constants:
            self.constants[name] = numpy_helper.from_array(np.ascontiguousarray(values, dtype), name)
        return name

    def weight(self, name: str) -> str:
        return self.constant(name, self._given[name])

    def linear(self, x: str, name: str) -> str:
        product = self("MatMul", x, self.constant(f"{name}.weight", self._given[f"{name}.weight"].T))
        return self("Add", product, self.weight(f"{name}.bias"))

    def norm(self, x: str, name: str) -> str:
        scale, bias = self.weight(f"{name}.weight"), self.weight(f"{name}.bias")
        return self("LayerNormalization", x, scale, bias, axis=-1, epsilon=self.config["layer_norm_eps"])

    def embeddings(self) -> str:
        """Of tokens and positions; all tokens are of the first sentence, whose vector is added to the positions here."""
        places = self._given["embeddings.position_embeddings.weight"] + self._given["embeddings.token_type_embeddings.weight"][0]
        zero, length = self.constant("zero", [0], np.int64), self("Shape", "input_ids", start=1, end=2)
        position = self("Slice", self.constant("positions", places), zero, length, zero)
        word = self("Gather", self.weight("embeddings.word_embeddings.weight"), "input_ids")
        return self.norm(self("Add", word, position), "embeddings.LayerNorm")

    def padding(self) -> str:
        """(batch, 1, 1, length): 0 on tokens, and on padding what no softmax lets through."""
        absent = self("Sub", self.constant("one", 1.0), self("Cast", "attention_mask", to=TensorProto.FLOAT))
        hidden = self("Mul", absent, self.constant("never", np.finfo(np.float32).min))
        return self("Unsqueeze", hidden, self.constant("head_and_query", [1, 2], np.int64))

    def attention(self, x: str, padding: str, name: str) -> str:
        heads = self.config["num_attention_heads"]
        size = self.config["hidden_size"] // heads

        def split(part: str, axes: list[int]) -> str:
            shaped = self("Reshape", self.linear(x, f"{name}.self.{part}"), self.constant("split", [0, 0, heads, size], np.int64))
            return self("Transpose", shaped, perm=axes)

        scores = self("MatMul", split("query", [0, 2, 1, 3]), split("key", [0, 2, 3, 1]))
        scaled = self("Add", self("Mul", scores, self.constant("scale", size**-0.5)), padding)
        mixed = self("MatMul", self("Softmax", scaled, axis=-1), split("value", [0, 2, 1, 3]))
        joined = self("Reshape", self("Transpose", mixed, perm=[0, 2, 1, 3]), self.constant("joined", [0, 0, heads * size], np.int64))
        return self.norm(self("Add", self.linear(joined, f"{name}.output.dense"), x), f"{name}.output.LayerNorm")

    def layer(self, x: str, padding: str, name: str) -> str:
        x = self.attention(x, padding, f"{name}.attention")
        wide = self("Gelu", self.linear(x, f"{name}.intermediate.dense"))
        return self.norm(self("Add", self.linear(wide, f"{name}.output.dense"), x), f"{name}.output.LayerNorm")


def bert_graph(weights: Mapping[str, np.ndarray], config: Mapping[str, Any]) -> ModelProto:
    """input_ids, attention_mask (batch, length) -> last_hidden_state (batch, length, hidden_size).

    Raises:
        ValueError: another kind of BERT than this graph is of.
        KeyError: a weight is missing.
    """
    for key, wanted in (("model_type", "bert"), ("hidden_act", "gelu"), ("position_embedding_type", "absolute")):
        if config.get(key, wanted) != wanted:
            raise ValueError(f"config.json: {key} is {config[key]!r}, only {wanted!r} is converted")
    draw = _Drawing(weights, config)
    x, padding = draw.embeddings(), draw.padding()
    for index in range(config["num_hidden_layers"]):
        x = draw.layer(x, padding, f"encoder.layer.{index}")
    draw.nodes.append(helper.make_node("Identity", [x], [_HIDDEN]))
    sizes = ["batch", "length"]
    graph = helper.make_graph(
        draw.nodes,
        "bert",
        [helper.make_tensor_value_info(name, TensorProto.INT64, sizes) for name in ("input_ids", "attention_mask")],
        [helper.make_tensor_value_info(_HIDDEN, TensorProto.FLOAT, [*sizes, config["hidden_size"]])],
        list(draw.constants.values()),
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", _OPSET)], ir_version=_IR)
    checker.check_model(model)
    return model
