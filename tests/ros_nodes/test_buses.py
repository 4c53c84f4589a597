"""Equipment by its address."""

from pathlib import Path

import pytest

from sdx_domains.contract import Reading
from sdx_ros_nodes.buses import open_bus, with_surroundings


@pytest.mark.parametrize(
    ("url", "why"),
    [
        ("coap://x", "no bus that is known here: modbus://HOST:502"),
        ("farm", "no bus that is known here"),
        ("mqtt://127.0.0.1:1", "MQTT needs a site file"),
        ("sparkplug://127.0.0.1:1/farm", "names the group and the edge node"),
    ],
)
def test_a_wrong_address_is_told_with_what_there_is(url: str, why: str) -> None:
    with pytest.raises(ValueError, match=why):
        open_bus(url)


def test_a_domain_without_forecasts_takes_no_weather_service(tmp_path: Path) -> None:
    class Note(Reading):
        """Not a forecast."""

    with pytest.raises(ValueError, match="takes no forecast"):
        with_surroundings(None, [Note], forecast="http://127.0.0.1:1")  # type: ignore[arg-type]
