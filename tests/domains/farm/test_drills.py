"""Drills are cut from a row's prompt: every figure of an answer stands in its own lines."""

import re

import pytest

from sdx_domains.farm import prompting
from sdx_domains.farm.drills import derive

NUMBER = re.compile(r"\d+(?:\.\d+)?")


@pytest.fixture(scope="module")
def drills(moment):
    made = []
    for seed in range(30):
        picture, options = moment(seed)
        language = ("en", "ko")[seed % 2]
        made += derive({"messages": prompting.messages(picture, options, (), language), "meta": {"task": "decide", "language": language}})
    return made


def test_figures_are_copied_not_made(drills) -> None:
    assert len(drills) == 30
    for drill in drills:
        user, answer = drill["messages"][0]["content"], drill["messages"][1]["content"]
        assert set(NUMBER.findall(answer)) <= set(NUMBER.findall(user)), drill


def test_the_plan_of_least_loss_is_chosen(drills) -> None:
    choices = [drill for drill in drills if " loss " in drill["messages"][0]["content"]]
    assert len(choices) > 5
    for drill in choices:
        losses = {line.split()[0]: int(line.split()[3]) for line in drill["messages"][0]["content"].split("\n") if " loss " in line}
        assert losses[drill["messages"][1]["content"].partition(":")[0]] == min(losses.values())
