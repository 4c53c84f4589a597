"""Serves a simulated house, or a panel of relays, as KS X 3267 nodes.

python -m sdx_ros_nodes.equipment.serve --domain farm --scenario spring-nl-0 --tcp 5020 --speed 60
python -m sdx_ros_nodes.equipment.serve --panel --rtu /dev/ttyUSB0
"""

import argparse
import asyncio
import contextlib
import logging
import signal
import sys
from pathlib import Path

from sdx_domains.contract import load_domain
from sdx_domains.equipment import Equipment
from sdx_ros_nodes.equipment.ksx_node import KsxNode
from sdx_ros_nodes.equipment.relay_panel import RelayPanel
from sdx_ros_nodes.equipment.site import made_site, read_site, write_site


def read_arguments(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m sdx_ros_nodes.equipment.serve", description="Serve equipment as KS X 3267 nodes.")
    what = parser.add_mutually_exclusive_group(required=True)
    what.add_argument("--domain", help="a domain that steers devices: its simulated house is served")
    what.add_argument("--panel", action="store_true", help="a panel of relays and openers, to try a master or a line")
    parser.add_argument("--scenario", default="", help="of the domain's house")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--tcp", metavar="[HOST:]PORT", help="Modbus TCP, e.g. 5020; without a host on this machine only")
    parser.add_argument("--rtu", metavar="TTY", help="Modbus RTU on a serial port, 8N1")
    parser.add_argument("--baud", type=int, default=9600)
    parser.add_argument("--speed", type=float, default=1.0, help="seconds of the simulated house per second")
    parser.add_argument("--site", type=Path, help="site file; default: made from the devices")
    parser.add_argument("--folder", type=Path, help="remembers the OPIDs there, across restarts")
    parser.add_argument("--keep-opid", action="store_true", help="as older nodes, show the last OPID at READY")
    parser.add_argument("--print-site", action="store_true", help="print the site file that a master needs, and end")
    read = parser.parse_args(arguments)
    if not (read.tcp or read.rtu or read.print_site):
        parser.error("say where: --tcp PORT or --rtu TTY")
    if not 0.0 < read.speed <= 100_000.0:
        parser.error(f"--speed {read.speed:g} is not between 0 and 100000")
    if read.domain and not read.scenario:
        parser.error(f"say which house: --scenario NAME, one of the domain {read.domain!r}")
    return read


def equipment_of(read: argparse.Namespace) -> Equipment:
    """KeyError or ValueError with the known names."""
    if read.panel:
        return RelayPanel(read.folder)
    domain = load_domain(read.domain)
    house = getattr(domain, "house", None)
    if house is None:
        raise ValueError(f"the domain {read.domain!r} steers no devices")
    return house(read.scenario, read.seed)


async def serve(read: argparse.Namespace) -> None:
    """Until SIGTERM or Ctrl-C."""
    equipment = equipment_of(read)
    site = read_site(read.site) if read.site else made_site(equipment.devices(), read.scenario or "panel")
    if read.print_site:
        print(write_site(site), end="")
        return
    node = KsxNode(equipment, site, read.folder, read.speed, keep_opid=read.keep_opid)
    if read.tcp:
        host, _, port = read.tcp.rpartition(":")
        if not port.isdecimal():
            raise ValueError(f"--tcp {read.tcp}: the port is a number, as in 5020 or 0.0.0.0:5020")
        await node.serve_tcp(host or "127.0.0.1", int(port))
    if read.rtu:
        await node.serve_rtu(read.rtu, read.baud)
    running = asyncio.ensure_future(node.run())
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, running.cancel)
    print(
        f"serving units {', '.join(map(str, sorted(node.units)))} of {site.name} on {read.tcp or ''} {read.rtu or ''}".rstrip(), flush=True
    )
    with contextlib.suppress(asyncio.CancelledError):
        await running


def main(arguments: list[str] | None = None) -> int:
    logging.basicConfig(level=logging.WARNING, format="%(asctime)s %(levelname)s %(message)s")
    try:
        asyncio.run(serve(read_arguments(arguments)))
    except (KeyError, ValueError, OSError) as error:
        print(f"error: {error.args[0] if error.args else error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
