"""No name, flag or path becomes anything but itself in the languages of the files."""

import json
import shlex
import subprocess

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st
from jinja2 import UndefinedError

from sdx_serving.deploy.render import compose_word, docker_words, markdown_text, render, shell_words, unit_words, yaml_word

printable = st.text().filter(str.isprintable)
texts = st.text(st.characters(exclude_categories=["Cs"]))
NASTY = [
    "$(touch x)",
    "`id`",
    "a'b",
    'a"b',
    "a b",
    "${HOME}",
    "%h",
    "$$",
    "-rf",
    "#x",
    "a: b",
    "- x",
    "{{ 7*7 }}",
    "\\",
    "모델 1호",
    "",
    "*",
    "~",
]


@given(st.recursive(texts, lambda inner: st.lists(inner) | st.dictionaries(texts, inner), max_leaves=5))
def test_yaml_reads_back_what_was_written(value: object) -> None:
    assert yaml.safe_load(f"key: {yaml_word(value)}") == {"key": value}
    assert yaml.safe_load(f"[{yaml_word(value)}, 1]") == [value, 1]


@given(texts)
def test_compose_has_no_variables_left(text: str) -> None:
    read = yaml.safe_load(compose_word([text]))[0]
    assert "$" not in read.replace("$$", "") and read.replace("$$", "$") == text


@given(st.lists(st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0")), min_size=1))
def test_a_shell_sees_the_same_words(words: list[str]) -> None:
    assert shlex.split(shell_words(words)) == words


def test_bash_itself_sees_the_same_words() -> None:
    script = f"printf '%s\\0' {shell_words(NASTY)}; printf '%s\\0' {shell_words(NASTY[0])}"
    done = subprocess.run(["bash", "-c", script], check=True, capture_output=True)
    assert done.stdout.decode().split("\0")[:-1] == [*NASTY, NASTY[0]]


@given(st.lists(printable, min_size=1))
def test_a_unit_has_neither_specifiers_nor_variables(words: list[str]) -> None:
    """systemd splits as a shell does with double quotes; what it would expand is doubled."""
    line = unit_words(words)
    assert "\n" not in line
    assert [word.replace("%%", "%").replace("$$", "$") for word in shlex.split(line)] == words
    assert "%" not in line.replace("%%", "") and "$" not in line.replace("$$", "")


@pytest.mark.parametrize("value", ["a\nExecStart=/bin/sh", "\x07"])
def test_a_unit_takes_no_line_breaks(value: str) -> None:
    with pytest.raises(ValueError, match="cannot stand in a unit"):
        unit_words(value)
    with pytest.raises(ValueError, match="cannot stand in a unit"):
        unit_words([value])


@settings(max_examples=50)
@given(texts)
def test_a_containerfile_takes_harmless_words_or_json(text: str) -> None:
    assert json.loads(docker_words([text])) == [text]
    try:
        assert docker_words(text) == text
    except ValueError:
        return
    assert not set(text) & set(" \t\n\\$`\"'#;&|<>")


def test_markdown_stays_text() -> None:
    assert markdown_text("<b>`x` [a](b)") == r"\<b\>\`x\` \[a\](b)"


def test_a_value_that_is_not_given_is_an_error() -> None:
    with pytest.raises(UndefinedError):
        render("storage.yaml", "storage.yaml", {})
