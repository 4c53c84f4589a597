"""Drills are cut from a row's prompt: every figure of an answer stands in its own lines."""

import re

import pytest

from sdx_domains.ship.drills import derive
from sdx_domains.ship.examples import TRAINING_SEED, rows

NUMBER = re.compile(r"\d+(?:\.\d+)?")


@pytest.fixture(scope="module")
def drills():
    return [drill for row in rows(16, TRAINING_SEED + 55_000) for drill in derive(row)]


def test_figures_are_copied_not_made(drills) -> None:
    assert len(drills) >= 10
    for drill in drills:
        user, answer = drill["messages"][0]["content"], drill["messages"][1]["content"]
        assert set(NUMBER.findall(answer)) <= set(NUMBER.findall(user)), drill


def test_the_option_of_least_loss_is_chosen(drills) -> None:
    choices = [d for d in drills if " loss " in d["messages"][0]["content"]]
    assert choices
    for drill in choices:
        lines = [line for line in drill["messages"][0]["content"].split("\n") if " loss " in line]
        losses = {line[0]: float(line.split(" loss ")[1].split()[0]) for line in lines}
        assert losses[drill["messages"][1]["content"][0]] == min(losses.values())


def test_the_same_row_gives_the_same_drills() -> None:
    row = next(rows(1, TRAINING_SEED + 56_000))
    assert derive(row) == derive(row)
