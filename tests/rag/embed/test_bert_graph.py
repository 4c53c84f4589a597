"""Graphs held against the same weights in torch."""

import numpy as np
import pytest
from tiny_bert import CONFIG, bert, weights

pytest.importorskip("onnx")
onnxruntime = pytest.importorskip("onnxruntime")

from sdx_rag.embed.bert_graph import bert_graph


def test_each_token_has_the_vector_that_torch_gives_it_and_padding_changes_none() -> None:
    torch = pytest.importorskip("torch")
    session = onnxruntime.InferenceSession(bert_graph(weights(), CONFIG).SerializeToString())
    rng = np.random.default_rng(1)
    ids, mask = rng.integers(4, 30, (3, 17)), np.ones((3, 17), np.int64)
    mask[1, 9:], mask[2, 1:] = 0, 0
    (made,) = session.run(None, {"input_ids": ids, "attention_mask": mask})
    with torch.inference_mode():
        wanted = bert()(input_ids=torch.from_numpy(ids), attention_mask=torch.from_numpy(mask)).last_hidden_state.numpy()
    assert np.allclose(made[mask == 1], wanted[mask == 1], atol=2e-5)
    (alone,) = session.run(None, {"input_ids": ids[1:2, :9], "attention_mask": mask[1:2, :9]})
    assert np.allclose(alone[0], made[1, :9], atol=2e-5)


@pytest.mark.parametrize(
    ("key", "value"), [("hidden_act", "gelu_new"), ("position_embedding_type", "relative_key"), ("model_type", "roberta")]
)
def test_another_kind_of_model_is_not_converted(key: str, value: str) -> None:
    with pytest.raises(ValueError, match=f"{key} is '{value}'"):
        bert_graph(weights(), CONFIG | {key: value})


def test_a_missing_weight_is_named() -> None:
    held = weights()
    del held["encoder.layer.1.output.dense.bias"]
    with pytest.raises(KeyError, match=r"layer\.1\.output\.dense\.bias"):
        bert_graph(held, CONFIG)
