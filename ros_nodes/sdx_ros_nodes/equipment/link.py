"""Equipment behind an address: what `modbus://...` means to the rest. Start at open_equipment()."""

import time
from collections.abc import Callable
from pathlib import Path

from sdx_ros_nodes.equipment.ksx_master import KsxMaster
from sdx_ros_nodes.equipment.line import Line, NoAnswerError, RefusedError
from sdx_ros_nodes.equipment.register_map import CODES_START, INFO_START, book, built_in, map_of
from sdx_ros_nodes.equipment.site import Site, read_site

UNITS = range(1, 9)
QUANTITY = "unknown"


def open_equipment(
    url: str, site: Site | Path | None = None, folder: Path | None = None, clock: Callable[[], float] = time.time
) -> KsxMaster:
    """A master on that line.

    Args:
        site: or its file; None: what the nodes with built-in maps say that they have, under made-up names.
        folder: for OPIDs; see KsxMaster.

    Raises:
        ValueError: a bad address or site file, or no site given and no node found; says what to do.
    """
    if site is None:
        site = found_site(url)
    elif isinstance(site, Path):
        site = read_site(site)
    return KsxMaster(site, url, folder, clock)


def found_site(url: str, units: range = UNITS) -> Site:
    """Ask which nodes are on the line. Names are made up ("u2_opener_1"); what a value sensor measures only a person knows.

    ValueError: the line cannot be opened, or no node on it has a known map.
    """
    line = Line(url)
    try:
        nodes = [node for unit in units if (node := _found_node(line, unit)) is not None]
    finally:
        line.close()
    if not nodes and line.why:
        raise ValueError(f"{line.why}: is the address right, and the node switched on?")
    if not nodes:
        raise ValueError(f"no node with a known map among units {units.start} to {units.stop - 1} of {url}; give a site file")
    return Site.model_validate({"name": url, "nodes": nodes})


def _found_node(line: Line, unit: int) -> dict[str, object] | None:
    try:
        name = map_of(line.read(unit, INFO_START, 6, once=True))
        if name is None:
            return None
        places = built_in()[name].places
        codes = line.read(unit, CODES_START, len(places))
    except (NoAnswerError, RefusedError):
        return None
    sensors: dict[str, object] = {}
    devices: dict[str, object] = {}
    for slot, code in zip(places, codes, strict=True):
        if code != slot.code:
            continue
        label = f"u{unit}_{slot.family}_{slot.number}"
        if slot.family == "sensor":
            sensors[label] = {"sensor": slot.number, "quantity": quantity_of(slot.type)}
        else:
            devices[label] = {slot.family: slot.number} | ({"travel_s": 180.0} if slot.type == "retractable/level1" else {})
    return {"unit": unit, "map": name, "sensors": sensors, "devices": devices}


def quantity_of(type: str) -> str:
    """A name for what a sensor of that type measures."""
    return {
        "temperature-sensor": "air_temp_c",
        "humidity-sensor": "air_rh_pct",
        "EC-sensor": "feed_ec_ds_m",
        "pH-sensor": "feed_ph",
        "pyranometer": "out_solar_w_m2",
    }.get(type) or next((pattern for pattern, known in book().quantities.items() if known == type and "*" not in pattern), QUANTITY)
