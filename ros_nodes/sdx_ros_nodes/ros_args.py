"""The arguments every ROS 2 program takes: `--ros-args -r from:=to -r __ns:=/x -p key:=value --params-file f.yaml`."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import yaml


@dataclass(frozen=True)
class NodeArguments:
    """Who a node is, how its names are remapped, and its parameters."""

    node: str
    namespace: str = "/"
    remaps: tuple[tuple[str, str], ...] = ()
    parameters: Mapping[str, Any] = field(default_factory=dict)

    @property
    def full_name(self) -> str:
        return f"{self.namespace.rstrip('/')}/{self.node}"

    def resolve(self, topic: str) -> str:
        """Absolute topic name after remapping: "fix" -> "/ship/fix", "~/state" -> "/ship/guard/state"."""
        full = self._absolute(topic)
        for old, new in self.remaps:
            if full == self._absolute(old):
                return self._absolute(new)
        return full

    def _absolute(self, name: str) -> str:
        if name.startswith("/"):
            return name
        if name.startswith("~/"):
            return f"{self.full_name}/{name[2:]}"
        return f"{self.namespace.rstrip('/')}/{name}"


def parse(argv: Sequence[str], node: str, namespace: str = "/") -> tuple[NodeArguments, list[str]]:
    """Take the `--ros-args ... [--]` sections out of argv.

    Returns:
        The node's arguments, and what is left for the program's own parser.

    Raises:
        ValueError: a malformed rule, an unreadable parameter file; says which.
    """
    rest, ros = _split(argv)
    pairs = _pairs(ros)
    found = NodeArguments(node, namespace)
    for rule in (value for flag, value in pairs if flag == "remap"):
        found = _remapped(found, rule)
    parameters: dict[str, Any] = {}
    for flag, value in pairs:
        if flag == "params-file":
            parameters.update(_from_file(Path(value), found))
        elif flag == "param":
            key, given = _rule(value, "-p")
            parameters[key.rpartition(":")[2]] = yaml.safe_load(given)
    return replace(found, parameters=parameters), rest


def _split(argv: Sequence[str]) -> tuple[list[str], list[str]]:
    rest: list[str] = []
    ros: list[str] = []
    inside = False
    for argument in argv:
        if argument == "--ros-args":
            inside = True
        elif argument == "--" and inside:
            inside = False
        else:
            (ros if inside else rest).append(argument)
    return rest, ros


SHORT = {"-r": "remap", "--remap": "remap", "-p": "param", "--param": "param", "--params-file": "params-file"}
IGNORED = {"--log-level", "--log-config-file", "-e", "--enclave"}
IGNORED_FLAGS = {"--enable-rosout-logs", "--disable-rosout-logs", "--disable-stdout-logs", "--disable-external-lib-logs"}


def _pairs(ros: Sequence[str]) -> list[tuple[str, str]]:
    pairs: list[tuple[str, str]] = []
    words = iter(ros)
    for word in words:
        if word in IGNORED_FLAGS:
            continue
        if word not in SHORT and word not in IGNORED:
            raise ValueError(f"unknown ROS argument {word!r}; known: {', '.join([*SHORT, *sorted(IGNORED)])}")
        value = next(words, None)
        if value is None:
            raise ValueError(f"ROS argument {word} needs a value")
        if word in SHORT:
            pairs.append((SHORT[word], value))
    return pairs


def _rule(text: str, flag: str) -> tuple[str, str]:
    left, found, right = text.partition(":=")
    if not found or not left or not right:
        raise ValueError(f"{flag} {text!r} is not of the form name:=value")
    return left, right


def _remapped(found: NodeArguments, text: str) -> NodeArguments:
    old, new = _rule(text, "-r")
    prefix, colon, bare = old.partition(":")
    if colon:
        if prefix != found.node:
            return found
        old = bare
    if old == "__ns":
        return replace(found, namespace=new if new.startswith("/") else f"/{new}")
    if old in ("__node", "__name"):
        return replace(found, node=new)
    return replace(found, remaps=(*found.remaps, (old, new)))


def _from_file(path: Path, found: NodeArguments) -> dict[str, Any]:
    """Parameters of a ROS YAML file for this node: from the general key to the particular one."""
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8")) or {}
    except (OSError, yaml.YAMLError) as error:
        raise ValueError(f"parameter file {path} cannot be read: {error}") from error
    parameters: dict[str, Any] = {}
    for name in ("/**", f"/**/{found.node}", found.node, found.full_name):
        section = (content if isinstance(content, dict) else {}).get(name) or {}
        given = section.get("ros__parameters") if isinstance(section, dict) else None
        if section and not isinstance(given, dict):
            problem = f"parameter file {path}: {name} needs a mapping `ros__parameters:`"
            raise ValueError(problem)
        parameters.update(given or {})
    return parameters
