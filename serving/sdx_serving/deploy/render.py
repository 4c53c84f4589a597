"""A bundle's texts out of templates/: every inserted value is quoted for the language of its file. Start at render().

Jinja2's `finalize` sees each value before it is written, so no template can forget to quote. Values become whole words:
a template never puts one inside quotation marks of its own.
"""

import json
import re
import shlex
from collections.abc import Callable, Mapping
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined

Quote = Callable[[Any], str]

_MARKUP = re.compile(r"([\\`*_{}\[\]<>#|!&~])")
_DOCKER_WORD = re.compile(r"[A-Za-z0-9._:/@=+-]+")


def render(template: str, path: str, values: Mapping[str, Any]) -> str:
    """The text of file `path` of a bundle, made from templates/<template>.j2. A value that is not given is an error."""
    environment = Environment(
        loader=PackageLoader("sdx_serving.deploy"),
        undefined=StrictUndefined,
        finalize=_quoting(path),
        keep_trailing_newline=True,
        trim_blocks=True,
        lstrip_blocks=True,
        autoescape=False,
    )
    return environment.get_template(f"{template}.j2").render(values)


def _quoting(path: str) -> Quote:
    if path == "compose.yaml":
        return compose_word
    if path.endswith((".yaml", ".json")):
        return yaml_word
    if path.endswith(".sh"):
        return shell_words
    if path.endswith(".service"):
        return unit_words
    if path.endswith(".md"):
        return markdown_text
    return docker_words


def yaml_word(value: Any) -> str:
    """JSON, which is YAML too; what YAML may not hold as it is becomes an escape."""
    text = json.dumps(value, ensure_ascii=False)
    return "".join(char if char.isprintable() else _escape(char) for char in text)


def compose_word(value: Any) -> str:
    """As yaml_word, but Compose puts variables in for $NAME; a doubled dollar is one."""
    return yaml_word(value).replace("$", "$$")


def _escape(char: str) -> str:
    return f"\\u{ord(char):04x}" if ord(char) < 0x10000 else f"\\U{ord(char):08x}"


def shell_words(value: Any) -> str:
    """Of a POSIX shell: a value is one word, a list as many as it has."""
    return shlex.join(str(word) for word in value) if isinstance(value, list | tuple) else shlex.quote(str(value))


def unit_words(value: Any) -> str:
    """Of a systemd unit: specifiers (%) and variables ($) are switched off, what holds blanks or quotes is quoted.

    See systemd.service(5), "Command lines", and systemd.syntax(7).
    """
    if isinstance(value, list | tuple):
        return " ".join(_unit_word(str(word)) for word in value)
    text = str(value)
    if not text.isprintable():
        raise ValueError(f"{text!r} cannot stand in a unit: it has characters that cannot be shown")
    return text.replace("%", "%%")


def _unit_word(word: str) -> str:
    if not word.isprintable():
        raise ValueError(f"{word!r} cannot stand in a unit: it has characters that cannot be shown")
    plain = word.replace("\\", "\\\\").replace('"', '\\"').replace("%", "%%").replace("$", "$$")
    return plain if plain and not re.search(r"[\s\"';\\]", plain) else f'"{plain}"'


def markdown_text(value: Any) -> str:
    """Plain text: no character of it means markup."""
    return _MARKUP.sub(r"\\\1", str(value))


def docker_words(value: Any) -> str:
    """Of a Containerfile: a list is JSON, anything else one harmless word."""
    if isinstance(value, list | tuple):
        return json.dumps(list(value))
    if not _DOCKER_WORD.fullmatch(str(value)):
        raise ValueError(f"{value!r} cannot stand in a Containerfile")
    return str(value)
