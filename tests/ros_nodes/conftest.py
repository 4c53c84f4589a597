"""Shared by the tests of the nodes."""

import os
from collections.abc import Iterator

import pytest
from hypothesis import settings

# The first message of a type generates its (de)serialiser: slow once, then fast.
settings.register_profile("no_deadline", deadline=None)
settings.load_profile("no_deadline")


@pytest.fixture
def ros_domain(monkeypatch: pytest.MonkeyPatch) -> Iterator[int]:
    """A DDS domain of this test's own (2 to 101), so that tests that run at the same time do not hear each other."""
    number = 2 + (os.getpid() * 7 + next(_COUNTER)) % 100
    monkeypatch.setenv("ROS_DOMAIN_ID", str(number))
    monkeypatch.delenv("CYCLONEDDS_URI", raising=False)
    yield number


def _count() -> Iterator[int]:
    number = 0
    while True:
        yield number
        number += 1


_COUNTER = _count()
