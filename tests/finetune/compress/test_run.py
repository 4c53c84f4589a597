import json
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import gguf
import numpy as np
import pytest
from gguf.quants import dequantize

from sdx_finetune.compress.plan import Plan
from sdx_finetune.compress.run import compress, judged
from sdx_finetune.measure.evaluate import Figure
from sdx_serving.llama.model import LlamaModel, Sampling
from sdx_serving.registry import Registry


def quiet(_: str) -> None:
    pass


@pytest.fixture
def registry(tmp_path: Path) -> Registry:
    return Registry(own=tmp_path / "registry.json")


def by_method(result: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return {row["method"]: row for row in result["results"]}


def matrices(path: Path) -> dict[str, np.ndarray]:
    return {
        tensor.name: dequantize(tensor.data, tensor.tensor_type).reshape(tensor.shape[::-1].tolist())
        for tensor in gguf.GGUFReader(path).tensors
        if len(tensor.shape) == 2
    }


def test_each_method_ends_in_a_proved_and_measured_file(plan: Any, tmp_path: Path, registry: Registry) -> None:
    methods = ("F16", "Q4_K_M", "Q4_K_M-plain", "pruned-2:4", "pruned-structured", "distilled", "awq")
    work = tmp_path / "work"
    result = compress(plan(*methods, keep=0.5, minutes=0.08), work, quiet, registry)
    rows = by_method(result)
    assert list(rows) == list(methods)
    assert "AWQ wants a CUDA device" in rows["awq"]["failure"]
    made = [rows[name] for name in methods if name != "awq"]
    for row in made:
        taught_by_the_clock = row["method"] in ("pruned-structured", "distilled")  # after seconds its choices still hang on a hair
        faults = [each for each in row["parity"]["faults"] if not (taught_by_the_clock and each.startswith("first choice"))]
        assert not row["failure"] and not faults and row["parity"]["top1_agreement"] > 0.95, row
        assert row["bytes"] == (work / row["file"]).stat().st_size < result["base"]["bytes"]
        assert row["score"]["rows"] == 12 and 0 <= row["score"]["mean"] <= 1
        assert row["agreement"]["top1"] > 0.3, row
        entry = registry.find(row["sha256"])
        assert entry is not None and entry.base_sha256 == result["base"]["sha256"] and entry.weights_bytes == row["bytes"]
    assert rows["F16"]["agreement"]["top1"] > 0.99 and abs(rows["F16"]["lost_points"]) < 5
    assert rows["Q4_K_M"]["sha256"] != rows["Q4_K_M-plain"]["sha256"], "the importance matrix is used"

    for name, values in matrices(work / rows["pruned-2:4"]["file"]).items():
        if name.startswith("blk."):
            assert ((values.reshape(-1, 4) != 0).sum(-1) <= 2).all(), name

    small = work / rows["pruned-structured"]["file"]
    fields = gguf.GGUFReader(small).fields
    assert fields["qwen3.feed_forward_length"].contents() == 64
    assert rows["distilled"]["parameters"] < rows["pruned-structured"]["parameters"] < result["base"]["parameters"]
    model = LlamaModel(small, 256)
    assert "".join(model.answer([{"role": "user", "content": "Which ship passes nearest?"}], Sampling(max_tokens=8)))
    model.close()

    learnt = rows["distilled"]["learnt"]
    assert learnt["held_out_loss"] < learnt["held_out_loss_before"]
    assert not (work / "distilled" / "train").exists()
    card = (work / "README.md").read_text()
    assert "| pruned-2:4 |" in card and "AWQ wants a CUDA device" in card
    assert json.loads((work / "compression.json").read_text())["results"] == result["results"]


def test_what_is_done_is_not_done_again_and_another_plan_does_it_anew(plan: Any, tmp_path: Path, registry: Registry) -> None:
    work = tmp_path / "work"
    first = compress(plan("Q8_0"), work, quiet, registry)
    said: list[str] = []
    again = compress(plan("Q8_0", minutes=3), work, said.append, registry)
    assert again["results"] == first["results"] and not [line for line in said if "begins" in line]
    other = compress(plan("Q8_0", eval_rows=10), work, said.append, registry)
    assert [line for line in said if line == "Q8_0: begins"] and other["results"][0]["score"]["rows"] == 10


def test_a_folder_of_another_model_is_left_alone(plan: Any, model_folder: Path, tmp_path: Path, registry: Registry) -> None:
    compress(plan("Q8_0"), tmp_path / "work", quiet, registry)
    with pytest.raises(ValueError, match="holds compressions of another model .* use another --work"):
        compress(plan("Q8_0", model=str(model_folder)), tmp_path / "work", quiet, registry)


def killed_when(there: Path, plan: Plan, work: Path) -> None:
    """A process of its own runs the plan and dies as soon as a file is there."""
    code = (
        "import sys; from pathlib import Path; from sdx_finetune.compress.plan import Plan; from sdx_finetune.compress.run import compress\n"
        "compress(Plan.model_validate_json(sys.argv[1]), Path(sys.argv[2]), lambda line: None)"
    )
    command = [sys.executable, "-c", code, plan.model_dump_json(), str(work)]
    until = time.monotonic() + 200
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        while not there.exists() and process.poll() is None and time.monotonic() < until:
            time.sleep(0.01)
        process.send_signal(signal.SIGKILL)
    assert there.exists()


def test_kill_9_loses_no_finished_method(plan: Any, tmp_path: Path, registry: Registry) -> None:
    asked, work = plan("F16", "Q8_0"), tmp_path / "work"
    killed_when(work / "F16" / "done.json", asked, work)
    assert not (work / "Q8_0" / "done.json").exists()
    whole, said = (work / "F16" / "done.json").read_text(), []
    result = compress(asked, work, said.append, registry)
    assert (work / "F16" / "done.json").read_text() == whole
    assert [line for line in said if "begins" in line] == ["Q8_0: begins"]
    assert not [row for row in result["results"] if row["failure"] or row["parity"]["faults"]]


@pytest.mark.slow
def test_kill_9_in_training_goes_on_from_the_checkpoint(plan: Any, tmp_path: Path, registry: Registry) -> None:
    asked, work = plan("Q8_0", "pruned-structured", keep=0.5, minutes=1.0), tmp_path / "work"
    killed_when(work / "pruned-structured" / "train" / "checkpoint.pt", asked, work)
    assert not (work / "pruned-structured" / "done.json").exists()
    said: list[str] = []
    result = compress(asked, work, said.append, registry)
    assert [line for line in said if line.startswith("training continues at step")]
    assert not by_method(result)["pruned-structured"]["failure"]


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"methods": ("Q4_K",)}, "no method 'Q4_K'; did you mean Q4_K_M?"),
        ({"methods": ()}, "no method is given"),
        ({"task": "shp"}, "no task 'shp'; there are ship"),
        ({"rows": None}, "neither a task nor rows are given"),
    ],
)
def test_a_wrong_plan_names_what_is_wrong(change: dict[str, Any], said: str, plan: Any) -> None:
    with pytest.raises(ValueError, match=said.replace("?", r"\?")):
        plan(*change.pop("methods", ("Q8_0",)), **change)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"model": "/nowhere/model.gguf"}, "there is no such file"),
        ({"rows": "port-watch"}, "rows 'port-watch' are neither a file nor NAME@VERSION"),
        ({"metric": "beauty"}, "has no metric 'beauty' on these rows; there are exact"),
    ],
)
def test_wrong_input_names_what_is_wrong(change: dict[str, Any], said: str, plan: Any, tmp_path: Path, registry: Registry) -> None:
    with pytest.raises((ValueError, FileNotFoundError), match=said):
        compress(plan("Q8_0", **change), tmp_path / "work", quiet, registry)


def test_a_model_of_another_kind_is_refused_before_rows_are_made(
    plan: Any, learnt_folder: Path, tmp_path: Path, registry: Registry
) -> None:
    other = shutil.copytree(learnt_folder, tmp_path / "other")
    config = json.loads((other / "config.json").read_text())
    (other / "config.json").write_text(json.dumps(config | {"model_type": "gpt2"}))
    with pytest.raises(ValueError, match="architecture 'gpt2' is not among those"):
        compress(plan("Q8_0", model=str(other), task="ship", rows=None), tmp_path / "work", quiet, registry)
    assert not (tmp_path / "work" / "rows").exists()


def test_too_few_rows_are_said(plan: Any, tmp_path: Path, rows_file: Path, registry: Registry) -> None:
    few = tmp_path / "few.jsonl"
    few.write_text("".join(rows_file.read_text().splitlines(keepends=True)[:6]))
    with pytest.raises(ValueError, match="5 rows to learn from and 1 held out are too few"):
        compress(plan("Q8_0", rows=str(few)), tmp_path / "work", quiet, registry)


@pytest.mark.parametrize(
    ("difference", "bar", "mean", "wanted"),
    [
        (Figure(0.0, 0.0, 0.0, 100), 0.9, 0.95, (0.0, "keep", True)),
        (Figure(-0.005, -0.02, 0.01, 100), 0.9, 0.95, (0.5, "keep", True)),
        (Figure(-0.005, -0.05, 0.01, 100), 0.9, 0.95, (0.5, "usable", True)),
        (Figure(-0.02, -0.04, 0.0, 100), 0.97, 0.95, (2.0, "usable", False)),
        (Figure(-0.2, -0.3, -0.1, 100), 0.0, 0.75, (20.0, "loses too much", False)),
        (Figure(0.0, 0.0, 0.0, 9), 0.0, 0.95, (0.0, "too few rows", False)),
    ],
)
def test_the_far_end_of_the_interval_decides(difference: Figure, bar: float, mean: float, wanted: tuple[float, str, bool]) -> None:
    assert judged(difference, bar, {"mean": mean}) == wanted
