"""Listens for CT series from scanners and PACS until it is stopped, and prints a line for each that is whole.

python -m sdx_ros_nodes.dicom.serve --inbox ~/.local/share/sdx/inbox --vault ~/.local/share/sdx/vault --port 11112
"""

import argparse
import json
import signal
import sys
import threading
from collections.abc import Callable
from pathlib import Path

from sdx_domains.medicine.privacy.logs import install
from sdx_domains.medicine.privacy.vault import Vault
from sdx_ros_nodes.dicom.inbox import Inbox, Received
from sdx_ros_nodes.dicom.receiver import Bounds, Receiver


def listen(
    inbox: Path,
    vault: Path,
    done: Callable[[Received], object],
    *,
    host: str = "127.0.0.1",
    port: int = 11112,
    ae_title: str = "SDX",
    bounds: Bounds | None = None,
    say: Callable[[str], None] = print,
    stop: threading.Event | None = None,
) -> None:
    """Until `stop`, or SIGTERM or Ctrl-C where it is the main thread that listens. OSError: the port cannot be had."""
    install()
    stop = stop or threading.Event()
    receiver = Receiver(Inbox(inbox, Vault(vault).pseudonym), done, ae_title, bounds)
    at = receiver.start(host, port)
    if threading.current_thread() is threading.main_thread():
        for name in (signal.SIGTERM, signal.SIGINT):
            signal.signal(name, lambda *_: stop.set())
    say(f"listening as {ae_title} on {host}:{at}")
    stop.wait()
    receiver.close()


def main(arguments: list[str] | None = None) -> int:
    read = _arguments(arguments)
    bounds = Bounds(tuple(read.calling), read.largest_mb, read.free_mb, after_release_s=read.after_release_s, quiet_s=read.quiet_s)
    try:
        listen(read.inbox, read.vault, _tell, host=read.host, port=read.port, ae_title=read.ae_title, bounds=bounds, say=_say)
    except (OSError, ValueError) as error:
        print(f"cannot listen: {error}", file=sys.stderr)
        return 1
    return 0


def _arguments(arguments: list[str] | None) -> argparse.Namespace:
    standard = Bounds()
    parser = argparse.ArgumentParser(prog="python -m sdx_ros_nodes.dicom.serve", description="Receive CT series by C-STORE.")
    parser.add_argument("--inbox", type=Path, required=True, help="folder for what arrives; it holds patients' data")
    parser.add_argument("--vault", type=Path, required=True, help="folder of the vault")
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on; 0.0.0.0: all")
    parser.add_argument("--port", type=int, default=11112)
    parser.add_argument("--ae-title", default="SDX")
    parser.add_argument(
        "--calling", action="append", default=[], metavar="AET", help="AE title that may send; may be given again; none: any"
    )
    parser.add_argument("--largest-mb", type=float, default=standard.largest_mb, help="of one instance")
    parser.add_argument("--free-mb", type=float, default=standard.free_mb, help="of disk that stay free")
    parser.add_argument("--after-release-s", type=float, default=standard.after_release_s)
    parser.add_argument("--quiet-s", type=float, default=standard.quiet_s)
    return parser.parse_args(arguments)


def _say(line: str) -> None:
    print(line, flush=True)


def _tell(series: Received) -> None:
    _say(json.dumps({"study": series.study, "series": series.series, "instances": series.instances, "folder": str(series.folder)}))


if __name__ == "__main__":
    sys.exit(main())
