"""sdx probe, recommend, registry and bench estimator as people type them."""

import json
import shutil
from hashlib import sha256
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

from sdx_serving.connect import embedded_model_path
from sdx_serving.devices.device import read_device
from sdx_serving.recommend.answer import Recommendation
from sdx_serving.registry import Registry
from sdx_serving.results import Results
from sdx_ui.commands import bench_estimator, probe, recommend, registry

app = typer.Typer()
app.command()(probe.probe)
app.command()(recommend.recommend)
app.command()(bench_estimator.estimator)
app.add_typer(registry.app, name="registry")
EMBEDDED = str(embedded_model_path())


@pytest.fixture(autouse=True)
def own_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SDX_REGISTRY", str(tmp_path / "registry.json"))
    monkeypatch.setenv("SDX_RESULTS", str(tmp_path / "results.jsonl"))
    monkeypatch.chdir(tmp_path)


def typed(*words: str) -> str:
    result = CliRunner().invoke(app, list(words), catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result.stdout


def test_probe_tells_people_programs_and_other_machines(tmp_path: Path) -> None:
    assert "not measured" in typed("probe", "--no-measure") and "GB/s reading" in typed("probe")
    assert json.loads(typed("probe", "--no-measure", "--json"))["id"].startswith("this:")
    path = tmp_path / "boat.yaml"
    path.write_text(typed("probe", "--yaml"))
    device = read_device(path)
    assert device.bandwidth_gb_s and device.sources["bandwidth_gb_s"] == "measured by sdx probe"
    found = json.loads(typed("recommend", "--device", str(path), "--json"))
    assert found["device"] == device.id and found["choices"][0]["model"] == "sdx-embedded-Q8_0"


def test_recommend_says_what_fits_what_not_and_how_to_run_it() -> None:
    told = typed(
        "recommend", "--device", "jetson-orin-nano-8", "--deadline", "10s", "--concurrency", "2", "--model", "qwen3-4b", "--model", EMBEDDED
    )
    assert "ruled out: qwen3-4b BF16 on vllm: needs" in told and "5.2 usable" in told
    assert "verify: sdx recommend --verify" in told and "published rows" in told
    assert f"run:    sdx serve {EMBEDDED} --engine llama.cpp" in told
    found = Recommendation.model_validate_json(typed("recommend", "--device", "jetson-orin-nano-8", "--model", "qwen3-4b", "--json"))
    assert found.inputs["usable_gb"] == 5.2 and found.choices


def test_devices_are_listed() -> None:
    told = typed("recommend", "--list")
    assert "jetson-agx-orin-64" in told and "58 of 64 GB" in told
    assert json.loads(typed("recommend", "--list", "--json"))["rk3588-16"]["kind"] == "board"


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("--deadline", "soon"), "is no time"),
        (("--deadline", "0s"), "is no time"),
        (("--device", "jetson-orin-nanoo"), "did you mean jetson-orin-nano-8"),
        (("--task", "tanker"), "known are ship"),
        (("--device", "rtx-4090", "--verify"), "run it there"),
        (("--model", "none.gguf"), "no such file"),
    ],
)
def test_wrong_questions_are_refused(words: tuple[str, ...], told: str) -> None:
    result = CliRunner().invoke(app, ["recommend", *words])
    assert result.exit_code != 0 and told in result.output + str(result.exception)


def test_nothing_that_fits_is_a_failure_that_says_why() -> None:
    result = CliRunner().invoke(app, ["recommend", "--device", "jetson-nano-4", "--model", "llama-3-70b:Q4_K_M"])
    assert result.exit_code != 0 and "needs 42." in result.stdout and "nothing fits jetson-nano-4" in str(result.exception)


def test_verify_measures_keeps_and_recommends_by_what_it_measured(tmp_path: Path) -> None:
    pytest.importorskip("psutil")
    typed("recommend", "--verify", "--threads", "1", "--output-tokens", "40")
    (row,) = Results()
    assert row.decode_tokens_per_s and row.device.startswith("this:") and row.threads == 1 and len(row.model_sha256) == 64
    found = Recommendation.model_validate_json(typed("recommend", "--threads", "1", "--output-tokens", "40", "--json"))
    bases = {choice.quantisation: choice.figures.basis for choice in found.choices}
    assert bases == {
        "Q8_0": "measured here",
        "F32": "fitted to this device's measurements",
        "Q4_K_M": "fitted to this device's measurements",
    }
    rate = next(choice.figures.tokens_per_s.middle for choice in found.choices if choice.quantisation == "Q8_0")
    assert rate == row.decode_tokens_per_s


def test_the_registry_keeps_what_was_measured_and_what_was_told(tmp_path: Path) -> None:
    copy = tmp_path / "own.gguf"
    shutil.copy(EMBEDDED, copy)
    typed("registry", "measure", str(copy), "--rows", "3", "--out", str(tmp_path / "out"))
    kept = json.loads(typed("registry", "show", sha256(copy.read_bytes()).hexdigest()[:12]))
    assert kept["path"] == str(copy) and kept["tasks"]["ship"]["metric"] == "turn_side"
    assert kept["tasks"]["ship"]["passed"] is False, "three rows prove nothing"
    told = ("--task", "ship", "--metric", "turn_side", "--value", "0.97", "--rows", "300", "--passed", "--base", "sdx-embedded-F32")
    entry = json.loads(typed("registry", "record", str(copy), *told, "--json"))
    base = json.loads(typed("registry", "show", "sdx-embedded-F32"))
    assert entry["tasks"]["ship"]["passed"] and entry["base_sha256"] == base["sha256"]
    assert Registry().passed(entry["sha256"], "ship")
    assert "own " in typed("registry", "list") and "not measured" not in typed("registry", "list").splitlines()[1]
    assert "is out of" in typed("registry", "remove", "own")
    assert {item["name"] for item in json.loads(typed("registry", "list", "--json"))} >= {"sdx-embedded-Q8_0", "sdx-embedded-F32"}


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("show", "nothing"), "there are: sdx-embedded-F32"),
        (("remove", "sdx-embedded-Q8_0"), "ships with SDx"),
        (("record", EMBEDDED, "--task", "ship"), "needs all of --task, --metric, --value and --rows"),
        (("measure", EMBEDDED, "--task", "tanker"), "no task 'tanker'"),
    ],
)
def test_registry_says_what_is_wrong(words: tuple[str, ...], told: str) -> None:
    result = CliRunner().invoke(app, ["registry", *words])
    assert result.exit_code != 0 and told in result.output + str(result.exception)


def test_the_estimators_bench_holds_the_bar() -> None:
    result = json.loads(typed("estimator", "--json"))
    assert result["median_error"] <= 0.2 and result["within_1_5"] >= 0.9 and len(result["rows"]) == 26
