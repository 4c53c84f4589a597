"""The tests of the equipment bus need pymodbus and pyserial; without them there is nothing to collect."""

import sys
from collections.abc import Callable, Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

sys.path.insert(0, str(Path(__file__).parent))

if TYPE_CHECKING:
    from served_node import Served

collect_ignore_glob = [] if find_spec("pymodbus") and find_spec("serial") else ["test_*.py"]


@pytest.fixture
def serve() -> Iterator[Callable[..., "Served"]]:
    """Serves a panel of relays, with default maps when no site is given; all are stopped at the end."""
    from served_node import LEVEL_1, Served

    made: list[Served] = []

    def begin(site: Any = LEVEL_1, panel: Any = None, **options: Any) -> Served:
        made.append(Served(panel, site, **options))
        return made[-1]

    yield begin
    for each in made:
        each.stop()
