"""The command line: help for everything, exit codes, errors in one line."""

import json
import subprocess
import sys
import time
from pathlib import Path

import pytest
import typer.main

from sdx_ui import cli

COMMANDS = [
    ["up"],
    ["run"],
    ["run", "ship"],
    ["run", "farm"],
    ["run", "medicine"],
    ["room"],
    ["opinion"],
    ["dicom", "results"],
    ["dicom", "send"],
    ["dicom", "fetch"],
    ["dicom", "deidentify"],
    ["dicom", "list"],
    ["dicom", "listen"],
    ["bench"],
    ["bench", "ship"],
    ["bench", "farm"],
    ["bench", "sim"],
    ["bench", "assurance"],
    ["bench", "dds"],
    ["bench", "graph"],
    ["bench", "model"],
    ["probe"],
    ["recommend"],
    ["compress"],
    ["registry", "list"],
    ["registry", "show"],
    ["registry", "measure"],
    ["registry", "record"],
    ["registry", "remove"],
    ["rag", "add"],
    ["rag", "list"],
    ["rag", "rm"],
    ["rag", "sync"],
    ["rag", "search"],
    ["rag", "ask"],
    ["rag", "eval"],
    ["rag", "reindex"],
    ["rag", "serve"],
    ["gateway", "run"],
    ["gateway", "init"],
    ["gateway", "check"],
    ["gateway", "status"],
    ["gateway", "keys", "add"],
    ["gateway", "keys", "list"],
    ["gateway", "keys", "revoke"],
    ["deploy"],
    ["deploy", "keygen"],
    ["deploy", "verify"],
    ["bench", "serve"],
    ["bench", "gateway"],
    ["bench", "soak"],
    ["bench", "engine"],
    ["bench", "estimator"],
    ["replay"],
    ["data"],
    ["data", "import"],
    ["data", "check"],
    ["data", "preview"],
    ["data", "split"],
    ["data", "show"],
    ["bench", "data"],
    ["bench", "augment"],
    ["finetune"],
    ["finetune", "run"],
    ["finetune", "augment"],
    ["finetune", "schema"],
    ["finetune", "init"],
    ["finetune", "check"],
    ["finetune", "evaluate"],
    ["finetune", "tune"],
    ["finetune", "review"],
    ["finetune", "serve"],
    ["jobs"],
    ["finetune", "list"],
    ["finetune", "status"],
    ["finetune", "logs"],
    ["finetune", "stop"],
    ["finetune", "resume"],
    ["finetune", "rm"],
    ["jobs", "list"],
    ["jobs", "status"],
    ["jobs", "logs"],
    ["jobs", "stop"],
    ["jobs", "resume"],
    ["jobs", "rm"],
    ["finetune", "evaluate"],
    ["finetune", "prompt"],
    ["finetune", "tune"],
    ["serve"],
    ["doctor"],
    ["version"],
    ["stop"],
]


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_every_command_has_help(command: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main([*command, "--help"]) == 0
    assert "Usage: sdx" in capsys.readouterr().out


def test_help_shows_an_example_for_every_command_that_does_something(capsys: pytest.CaptureFixture[str]) -> None:
    for command in COMMANDS:
        if command in (["run"], ["bench"], ["finetune"]):
            continue
        cli.main([*command, "--help"])
        assert f"sdx {' '.join(command)}" in capsys.readouterr().out.split("Options")[0].partition("\n")[2].replace("\n ", " ")


def test_the_list_of_commands_is_whole(capsys: pytest.CaptureFixture[str]) -> None:
    known = set(typer.main.get_command(cli.app).commands)  # pyright: ignore[reportAttributeAccessIssue]
    assert known == {command[0] for command in COMMANDS}


def test_help_is_quick_and_loads_nothing_heavy() -> None:
    code = "import sys; from sdx_ui.cli import main; main(['--help']); print([m for m in sys.modules if m in "
    code += "('numpy','pydantic','gradio','langgraph','cyclonedds','torch','fastapi','llama_cpp')])"
    started = time.perf_counter()
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.rstrip().endswith("[]")
    # 0.2 s on an idle machine; the bound leaves room for a busy one
    assert time.perf_counter() - started < 5.0


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        ([], 2, "Usage"),
        (["sail"], 2, "No such command"),
        (["bench", "ship"], 2, "--suite"),
        (["bench", "ship", "--suite", "imazu", "--ablate", "everything"], 2, "--ablate"),
        (["up", "--port", "70000"], 2, "--port"),
        (["up", "--for", "0"], 2, "--for"),
        (["run", "ship"], 2, "either --scenario or --from"),
        (["run", "ship", "--from", "no-such-file.nmea"], 2, "does not exist"),
        (["replay", "no-such-file.jsonl"], 2, "does not exist"),
        (["finetune", "run", "no-such-recipe.yaml"], 2, "does not exist"),
    ],
)
def test_wrong_arguments_end_with_2_and_say_what_is_wrong(
    arguments: list[str], code: int, words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(arguments) == code
    said = capsys.readouterr()
    assert words in " ".join((said.out + said.err).split()).replace("│ ", "")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["run", "ship", "--scenario", "imazu-99", "--model", "none"], "imazu-99"),
        (["bench", "ship", "--suite", "atlantis", "--model", "none"], "atlantis"),
        (["run", "ship", "--scenario", "imazu-05", "--model", "no-such-model.gguf"], "no-such-model.gguf"),
    ],
)
def test_a_failure_is_one_line_and_1(arguments: list[str], words: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(arguments) == 1
    error = capsys.readouterr().err.strip()
    assert error.startswith("error: ") and words in error
    assert "Traceback" not in error


def test_a_missing_package_says_what_to_type() -> None:
    assert "pip install" in cli.in_words(ModuleNotFoundError("No module named 'torch'"))


def test_the_text_of_a_key_error_is_not_quoted_twice() -> None:
    assert cli.in_words(KeyError("no scenario 'x'")) == "no scenario 'x'"


def test_the_stages_of_a_recipe_are_those_of_the_pipeline() -> None:
    from sdx_finetune.run import ADAPT_STAGES, STAGES
    from sdx_ui.commands.finetune import Stage

    assert {stage.value for stage in Stage} == {"all", "snapshot", *STAGES, *ADAPT_STAGES}


def test_the_simulator_is_timed(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["bench", "sim", "--steps", "1000"]) == 0
    result = json.loads(capsys.readouterr().out)
    assert result["targets"] == 3
    assert result["steps_per_s"] > 100  # thousands on an idle core


def test_version_names_the_commit(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["version"]) == 0
    names = [line.split()[0] for line in capsys.readouterr().out.splitlines()]
    assert names[:3] == ["sdx", "commit", "python"]


def test_the_doctor_reports_a_taken_port(capsys: pytest.CaptureFixture[str]) -> None:
    import socket

    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        assert cli.main(["doctor", "--port", str(listener.getsockname()[1])]) == 1
    report = capsys.readouterr().out
    assert "MISS  port:" in report and "ok    DDS: loopback message" in report


def test_a_recording_without_own_ship_asks_for_one(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    recording = tmp_path / "traffic.nmea"
    recording.write_text("!AIVDM,1,1,,A,33P;Tw0tjBQO22:E7dm66DrB20UP,0*2E\n")
    assert cli.main(["run", "ship", "--from", str(recording), "--model", "none"]) == 1
    assert "--own LAT,LON,HEADING,SPEED" in capsys.readouterr().err
