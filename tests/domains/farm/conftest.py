"""Fixtures `house(...)`, `plans(picture)`, `moment(seed)`: see pictures.py, which tests cannot import by themselves."""

import importlib.util
import sys
from pathlib import Path

import pytest

sys.path.append(str(Path(__file__).parent))  # for readings.py
_spec = importlib.util.spec_from_file_location("farm_pictures", Path(__file__).parent / "pictures.py")
assert _spec is not None and _spec.loader is not None
_pictures = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(_pictures)


@pytest.fixture(scope="session")
def house():
    return _pictures.house


@pytest.fixture(scope="session")
def plans():
    return _pictures.plans


@pytest.fixture(scope="session")
def moment():
    return _pictures.moment


@pytest.fixture(scope="session")
def grown():
    """A house of a cold night as the perceiver sees it, with a twin, and its plans."""
    from sdx_domains.farm.branch import branch
    from sdx_domains.farm.picture import FarmPicture

    greenhouse = branch()
    plant, perceiver = greenhouse.plant("winter-nl-7@2", 0), greenhouse.perceiver()
    picture = perceiver.take(plant.readings(), plant.t_s)
    while plant.t_s < 5 * 3600.0:
        plant.step(300.0)
        picture = perceiver.take(plant.readings(), plant.t_s)
    assert isinstance(picture, FarmPicture)
    return picture, tuple(greenhouse.options(picture))
