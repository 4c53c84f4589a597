"""The arguments of every ROS 2 program."""

from pathlib import Path

import pytest

from sdx_ros_nodes.ros_args import parse


def test_sections_are_taken_out_wherever_they_stand() -> None:
    found, rest = parse(["--transport", "dds", "--ros-args", "-r", "__ns:=/ship1", "-p", "rate:=2.5", "--", "--more"], "guard", "/ship")
    assert (found.full_name, found.parameters, rest) == ("/ship1/guard", {"rate": 2.5}, ["--transport", "dds", "--more"])


@pytest.mark.parametrize(
    ("rules", "topic", "full"),
    [
        ([], "fix", "/ship/fix"),
        ([], "/diagnostics", "/diagnostics"),
        ([], "~/state", "/ship/guard/state"),
        (["fix:=gnss/fix"], "fix", "/ship/gnss/fix"),
        (["fix:=/gnss"], "fix", "/gnss"),
        (["/ship/fix:=/gnss"], "fix", "/gnss"),
        (["/diagnostics:=diagnostics"], "/diagnostics", "/ship/diagnostics"),
        (["guard:fix:=/a"], "fix", "/a"),
        (["agent:fix:=/a"], "fix", "/ship/fix"),
        (["__node:=watch"], "~/state", "/ship/watch/state"),
    ],
)
def test_names(rules: list[str], topic: str, full: str) -> None:
    found, _ = parse(["--ros-args", *(word for rule in rules for word in ("-r", rule))], "guard", "/ship")
    assert found.resolve(topic) == full


def test_parameter_files_from_the_general_to_the_particular(tmp_path: Path) -> None:
    path = tmp_path / "p.yaml"
    path.write_text(
        "/**:\n  ros__parameters: {a: 1, b: 1, c: 1, d: 1}\n"
        "/**/guard:\n  ros__parameters: {b: 2, c: 2, d: 2}\n"
        "guard:\n  ros__parameters: {c: 3, d: 3}\n"
        "/ship/guard:\n  ros__parameters: {d: 4}\n"
        "agent:\n  ros__parameters: {a: 9}\n"
    )
    found, _ = parse(["--ros-args", "--params-file", str(path), "-p", "e:=five"], "guard", "/ship")
    assert found.parameters == {"a": 1, "b": 2, "c": 3, "d": 4, "e": "five"}


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        (["-r", "fix"], "not of the form"),
        (["-p"], "needs a value"),
        (["--wrong", "x"], "unknown ROS argument '--wrong'"),
        (["--params-file", "/nowhere.yaml"], "/nowhere.yaml cannot be read"),
    ],
)
def test_faults_are_told(argv: list[str], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        parse(["--ros-args", *argv], "guard")


def test_a_parameter_file_of_another_shape_is_told(tmp_path: Path) -> None:
    path = tmp_path / "p.yaml"
    path.write_text("guard:\n  rate: 2\n")
    with pytest.raises(ValueError, match="ros__parameters"):
        parse(["--ros-args", "--params-file", str(path)], "guard")


def test_what_ros_tools_add_is_let_pass() -> None:
    found, rest = parse(["--ros-args", "--log-level", "info", "--disable-rosout-logs", "-e", "/"], "guard")
    assert found.parameters == {} and rest == []
