"""The embedded model as ONNX, behind our server, says what torch says."""

from itertools import islice
from pathlib import Path
from typing import Any

import pytest

from sdx_domains.ship.examples import rows
from sdx_finetune.adapt.base import resolve
from sdx_finetune.adapt.recipe import BaseSpec
from sdx_finetune.export.onnx_file import export_onnx
from sdx_finetune.parity.gate import Trained
from sdx_finetune.rows import check_row
from sdx_serving.engine import Serving
from sdx_serving.engines.onnx_runtime import OnnxRuntime

pytest.importorskip("onnxruntime")
pytest.importorskip("onnxscript")

TOKENS = 160


@pytest.mark.slow
@pytest.mark.parametrize(("kind", "least"), [("fp32", 1.0), ("int8", 0.5)])
def test_the_embedded_model_says_from_onnx_what_it_says_from_torch(kind: Any, least: float, tmp_path: Path) -> None:
    base = resolve(BaseSpec.model_validate({}), cache=tmp_path)
    folder = export_onnx(base.folder, tmp_path / f"embedded-{kind}", kind)
    trained = Trained(base.folder)
    chats = [check_row(row, "ship").turns()[:-1] for row in islice(rows(6, 900_000_000), 6)]
    with OnnxRuntime(Serving(str(folder)), log=tmp_path / "log") as engine, engine.chat() as chat:
        same = sum(chat.complete(turns, max_tokens=TOKENS).text == _by_torch(trained, turns) for turns in chats)
    assert same / len(chats) >= least


def _by_torch(trained: Trained, turns: list[dict[str, str]]) -> str:
    ids = trained.ids(trained.plain(trained.render(turns)))
    answer = trained.greedy(ids, TOKENS)[0][len(ids) :]
    end = next((at for at, token in enumerate(answer) if token in trained.eos), TOKENS)
    return str(trained.tokenizer.decode(answer[:end], skip_special_tokens=True))
