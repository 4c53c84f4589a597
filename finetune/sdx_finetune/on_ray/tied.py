"""Become a module's process that ends with its parent, at once: what trained on must not write beside what goes on elsewhere.

python -m sdx_finetune.on_ray.tied PARENT_PID MODULE ARGUMENT...
"""

import ctypes
import os
import signal
import sys

_PR_SET_PDEATHSIG = 1  # linux/prctl.h


def main(argv: list[str]) -> None:
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    if os.getppid() != int(argv[0]):
        raise SystemExit(f"the parent process {argv[0]} is gone already")
    os.execv(sys.executable, [sys.executable, "-m", *argv[1:]])


if __name__ == "__main__":
    main(sys.argv[1:])
