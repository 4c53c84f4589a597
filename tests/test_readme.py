"""The README's tree is the architecture document: every file has a line of at most eight words, every line a file."""

import re
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
EXEMPT = {"__init__.py", "py.typed"}


def tree() -> dict[str, str]:
    """Path -> words, from the indented block; folders end with "/"."""
    block = README.split("## The tree")[1].split("```")[1]
    found: dict[str, str] = {}
    stack: list[str] = []
    for line in block.strip("\n").splitlines():
        match = re.fullmatch(r"( *)(\S+)(?: +(\S.*))?", line)
        assert match, f"not a line of the tree: {line!r}"
        indent, name, words = match.groups()
        stack[len(indent) // 2 :] = [name]
        found["".join(stack)] = words or ""
    return found


def tracked() -> set[str]:
    """Files that git knows and that are there."""
    done = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=False)
    if done.returncode:
        pytest.skip("not a git checkout")
    return {name for name in done.stdout.split("\0") if name and (ROOT / name).exists()}


def has_line(name: str, lines: dict[str, str]) -> bool:
    """Its own line, or below a folder of tests that is shown closed."""
    if name.startswith("tests/") and name.count("/") > 1:
        return f"tests/{name.split('/')[1]}/" in lines
    return name in lines


def test_every_file_has_a_line() -> None:
    lines = tree()
    missing = sorted(name for name in tracked() if Path(name).name not in EXEMPT and not has_line(name, lines))
    assert not missing, f"without a line in the README's tree: {missing}"


def test_every_line_has_a_file() -> None:
    wrong = [
        path
        for path in tree()
        if not (ROOT / path).exists() or path.endswith("/") != (ROOT / path).is_dir() and not (ROOT / path).is_symlink()
    ]
    assert not wrong, f"in the README's tree, but not there: {wrong}"


def test_lines_are_short() -> None:
    long = {path: words for path, words in tree().items() if len(words.split()) > 8}
    assert not long


def test_files_are_explained() -> None:
    silent = [path for path, words in tree().items() if not path.endswith("/") and not words]
    assert not silent


def test_the_two_commands_are_those_of_the_makefile() -> None:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    for command in ("run", "test"):
        assert f"make {command}  " in README
        assert re.search(rf"^{command}:.*##", makefile, re.MULTILINE)


def test_commands_in_the_readme_exist() -> None:
    from sdx_ui.cli import app

    known = {command.callback.__name__ for command in app.registered_commands if command.callback} | {
        group.name for group in app.registered_groups
    }
    used = set(re.findall(r"^    sdx (\w+)", README, re.MULTILINE)) | set(re.findall(r"`sdx (\w+)", README))
    assert used <= known, used - known
