"""What colcon and readers are told agrees with the code."""

import re
import shutil
import subprocess
import tomllib
from importlib import import_module
from pathlib import Path
from xml.etree import ElementTree

import pytest

from sdx_ros_nodes import topics
from sdx_ros_nodes.qos import QoS

ROOT = Path(__file__).resolve().parents[2]
FOLDER = ROOT / "ros_nodes"


def test_one_version_everywhere() -> None:
    wanted = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    found = [ElementTree.parse(path).findtext("version") for path in (FOLDER / "package/package.xml", FOLDER / "msgs/package.xml")]
    found += re.findall(r'version="([^"]+)"', (FOLDER / "package/setup.py").read_text())
    assert found == [wanted] * 3


def test_every_executable_has_a_main() -> None:
    setup = (FOLDER / "package/setup.py").read_text()
    listed = re.search(r"NODES = \((.*?)\)", setup, re.DOTALL)
    assert listed
    names = re.findall(r'"(\w+)"', listed[1])
    assert sorted(names) == sorted(path.stem for path in (FOLDER / "sdx_ros_nodes").glob("*_node.py"))
    assert all(callable(import_module(f"sdx_ros_nodes.{name}").main) for name in names)


def test_the_table_of_topics_is_the_code() -> None:
    rows = re.findall(r"^\| `([^`]+)` \| (\S+)/(\S+) \| ([^|]+) \|", (FOLDER / "README.md").read_text(), re.MULTILINE)
    told = {name: (f"{package}/msg/{kind}", quality) for name, package, kind, quality in rows}
    assert told.keys() == {topic.name for topic in topics.ALL}
    for topic in topics.ALL:
        type_name, quality = told[topic.name]
        assert type_name == topic.type_name
        assert quality.startswith(_words(topic.qos)), topic.name


def _words(qos: QoS) -> str:
    return f"{'latched' if qos.latched else 'reliable' if qos.reliable else 'best effort'} {qos.depth}"


def test_package_files_name_the_message_package() -> None:
    needs = {element.text for element in ElementTree.parse(FOLDER / "package/package.xml").findall("exec_depend")}
    packages = {topic.type_name.split("/")[0] for topic in topics.ALL}
    assert packages <= needs


@pytest.mark.skipif(shutil.which("colcon") is None, reason="colcon is not installed")
def test_colcon_finds_both_packages() -> None:
    listed = subprocess.run(["colcon", "list", "--names-only"], cwd=ROOT, capture_output=True, text=True, check=True).stdout.split()
    assert {"sdx_ros_nodes", "sdx_msgs"} <= set(listed)
