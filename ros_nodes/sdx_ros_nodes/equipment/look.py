"""Shows what is on a line: nodes, what they read, the last frames; or a site file to begin with.

python -m sdx_ros_nodes.equipment.look modbus://127.0.0.1:5020 --frames 20
python -m sdx_ros_nodes.equipment.look "modbus+rtu:///dev/ttyUSB0?baud=9600" --print-site > house.yaml
"""

import argparse
import sys
from pathlib import Path

from sdx_domains.equipment import ActuatorReading, SensorReading
from sdx_ros_nodes.equipment.ksx_master import KsxMaster
from sdx_ros_nodes.equipment.link import found_site, open_equipment
from sdx_ros_nodes.equipment.register_map import book
from sdx_ros_nodes.equipment.site import write_site


def show(master: KsxMaster, frames: int) -> None:
    """One scan, in lines."""
    readings = master.read()
    for node in master.nodes():
        print(f"{node.url} unit {node.unit}: {'alive' if node.alive else 'DEAD'} {node.detail}".rstrip())
    for each in readings:
        if isinstance(each, SensorReading):
            print(f"  {each.sensor:<24} {each.quantity:<20} {_number(each.value)}  {_status(each.status)} {each.quality}")
        elif isinstance(each, ActuatorReading):
            left = f" for {each.remaining_s:.0f} s" if each.remaining_s else ""
            print(f"  {each.device:<24} {'position_pct':<20} {_number(each.position_pct)}  {_status(each.status)}{left} {each.right}")
    for frame in master.frames(frames) if frames else ():
        print(frame)


def _number(value: float | None) -> str:
    return f"{'-' if value is None else format(value, '.7g'):>10}"


def _status(code: int) -> str:
    return f"{code} {book().statuses.get(code, '(unknown)')}"


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m sdx_ros_nodes.equipment.look", description="Show what is on a line. Moves nothing.")
    parser.add_argument("address", help="modbus://HOST:PORT or modbus+rtu:///dev/ttyUSB0?baud=9600")
    parser.add_argument("--site", type=Path, help="site file; default: units 1 to 8 are asked what they have")
    parser.add_argument("--frames", type=int, default=0, help="show the last so many frames")
    parser.add_argument("--print-site", action="store_true", help="print a site file of what was found, to be edited")
    read = parser.parse_args(arguments)
    try:
        if read.print_site:
            print(write_site(found_site(read.address)), end="")
            return 0
        master = open_equipment(read.address, read.site)
    except ValueError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    show(master, read.frames)
    alive = all(node.alive for node in master.nodes())
    master.close()
    return 0 if alive else 1


if __name__ == "__main__":
    sys.exit(main())
