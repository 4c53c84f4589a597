"""A field played to a certain morning, made once: compiling and rolling out take seconds."""

from collections.abc import Callable
from importlib.util import find_spec

import pytest

pytest.importorskip("numba")
if find_spec("aquacrop") is None:  # to import it would put ".." on the path
    pytest.skip("aquacrop is missing", allow_module_level=True)

from sdx_domains.contract import Order
from sdx_domains.farm.field.orders import setpoints
from sdx_domains.farm.field.perceive import FieldPerceiver
from sdx_domains.farm.field.picture import DAY_S, FieldPicture
from sdx_domains.farm.field.plant import FieldPlant
from sdx_domains.farm.field.scenarios import case

Played = Callable[..., FieldPicture]


def _order(amount_mm: float, day: int) -> Order:
    return Order(
        domain="farm", setpoints=setpoints(amount_mm, day), issued_s=day * DAY_S, valid_for_s=DAY_S - 1, source="human", picture_id=""
    )


@pytest.fixture(scope="session")
def order() -> Callable[[float, int], Order]:
    """order(amount_mm, day): an irrigation of that day."""
    return _order


@pytest.fixture(scope="session")
def played() -> Played:
    """played(days, name, every, amount_mm): the picture on that morning, irrigated so often with so much."""
    known: dict[tuple[int, str, int, float], FieldPicture] = {}

    def play(days: int, name: str = "field-champion-1988", every: int = 0, amount_mm: float = 25.0) -> FieldPicture:
        key = (days, name, every, amount_mm)
        if key not in known:
            plant, perceiver = FieldPlant(case(name), 3), FieldPerceiver()
            picture = perceiver.take(plant.readings(), 0.0)
            for day in range(days):
                if every and day % every == 0:
                    plant.apply(_order(amount_mm, day))
                plant.step(DAY_S)
                picture = perceiver.take(plant.readings(), plant.t_s)
            known[key] = picture
        return known[key]

    return play
