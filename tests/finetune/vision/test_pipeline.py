"""The whole way from phantoms to a served folder, by the command, small."""

import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from sdx_finetune.run import main
from sdx_serving.vision.client import open_reader
from sdx_serving.vision.marks import mark

HERE = Path(__file__).parent
SMALL: dict[str, Any] = {
    "name": "small-reader",
    "description": "A proof that the way is whole.",
    "method": "vision",
    "data": {
        "train": {"count": 6, "seed": 1_000_000},
        "tune": {"count": 4, "seed": 500_000_000},
        "cases": {"count": 4, "seed": 3_000_000},
        "eval_cases": {"count": 2, "seed": 510_000_000},
        "words": 8,
        "shard": 2,
        "render": {"spacing_mm": [6.0, 3.0, 3.0]},
        "rows": "toy_studies:rows_of",
    },
    "encoder": {"widths": [4, 8, 16], "blocks": 1, "epochs": 2, "batch": 2, "threads": 1, "compile": False},
    "tokenizer": {"vocab_size": 400, "fit_rows": 10},
    "model": {"hidden": 64, "ffn": 128, "layers": 1, "heads": 2, "kv_heads": 1, "head_dim": 32, "context": 1024},
    "projector_hidden": 32,
    "train": {
        "max_steps": 30,
        "batch_tokens": 1024,
        "max_length": 1024,
        "buckets": 1,
        "compile": False,
        "eval_rows": 2,
        "max_dropped": 0.5,
    },
    "parity": {"least_agreement": 0.5, "tokens": 120},
}


@pytest.mark.slow
def test_a_recipe_becomes_a_folder_that_is_served(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.syspath_prepend(str(HERE))
    recipe, work = tmp_path / "recipe.yaml", tmp_path / "work"
    recipe.write_text(yaml.safe_dump(SMALL), encoding="utf-8")
    for stage in ("data", "encoder", "cases", "tokenizer", "train", "export", "parity", "card"):
        done = main([str(recipe), "--stage", stage, "--work", str(work)])
        assert done == 0 or stage == "parity", stage  # thirty steps make no answers, and answers without findings are no proof
    parity = json.loads((work / "parity.json").read_text(encoding="utf-8"))
    assert parity["volumes"] == 2 and parity["label_agreement"] == 1.0
    assert "AUROC" in (work / "release" / "README.md").read_text(encoding="utf-8")
    capsys.readouterr()
    assert main([str(recipe), "--stage", "encoder", "--work", str(work)]) == 0
    assert "encoder is there" in capsys.readouterr().err
    from sdx_domains.medicine.slabs import slabs
    from sdx_finetune.vision.volumes import rendered

    with open_reader(str(work / "release"), log=tmp_path / "log") as chat:
        seen = chat.look(slabs(rendered(1_000_000, {}).volume)[0])
        assert set(seen.probability) >= {"nodule", "pneumothorax"}
        schema = {"type": "object", "properties": {"F1": {"enum": ["yes", "no"]}}, "required": ["F1"], "additionalProperties": False}
        answer = chat.complete([{"role": "user", "content": f"{mark(seen.handle)}\nF1 nodule"}], schema)
        assert json.loads(answer.text)["F1"] in ("yes", "no")
