"""Children that die with their parent, so that no engine outlives the program that started it.

python -m sdx_serving.tether PARENT_PID COMMAND...     become COMMAND, tied to PARENT_PID
"""

import ctypes
import os
import signal
import sys
import threading
import time

_PR_SET_PDEATHSIG = 1  # linux/prctl.h
_POLL_S = 0.5


def tie_to_parent(parent_pid: int) -> None:
    """End this process when `parent_pid` ends, however it ends.

    On Linux the kernel sends SIGTERM, whoever the process has become by exec. Elsewhere, and as a second line, a thread
    watches the parent's id. The kernel ties to the parent's *thread*: whoever starts the child keeps that thread alive.
    """
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM, 0, 0, 0)
    if os.getppid() != parent_pid:
        raise SystemExit(f"the parent process {parent_pid} is gone already")

    def watch() -> None:
        while os.getppid() == parent_pid:
            time.sleep(_POLL_S)
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(5)
        os._exit(1)

    threading.Thread(target=watch, name="tether", daemon=True).start()


def main(argv: list[str]) -> int:
    if len(argv) < 2:
        print(__doc__, file=sys.stderr)
        return 2
    tie_to_parent(int(argv[0]))
    os.execvp(argv[1], argv[1:])


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
