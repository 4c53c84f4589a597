"""Fixture `loop`: the fast loop of one house, see steering.py."""

import importlib.util
from pathlib import Path

import pytest

pytest.importorskip("numba")
_spec = importlib.util.spec_from_file_location("farm_steering", Path(__file__).parent / "steering.py")
assert _spec is not None and _spec.loader is not None
_steering = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(_steering)


@pytest.fixture(scope="session")
def loop():
    """The class: loop(heating_valve=0.5) begins with that position."""
    return _steering.Loop


@pytest.fixture
def setpoints():
    return _steering.SETPOINTS.copy()
