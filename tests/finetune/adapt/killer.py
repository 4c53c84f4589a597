"""Runs a recipe again and again in child processes and kills them at random moments, until it ends by itself.

python killer.py RECIPE WORK KILLS SEED SECONDS      kills within the first SECONDS of a child; prints [[killed at step], exit code, seconds of the last]

The packages are imported once: a child that is forked begins at once, and is a process like any other.
"""

import json
import os
import random
import signal
import sys
import time
from pathlib import Path

import torch

import sdx_finetune.adapt.trainers  # noqa: F401
from sdx_finetune.progress import told
from sdx_finetune.run import main


def child(recipe: str, work: str) -> int:
    pid = os.fork()
    if pid == 0:
        os._exit(main([recipe, "--work", work, "--stage", "train"]))
    return pid


def run(recipe: str, work: str, kills: int, seed: int, seconds: float) -> None:
    torch.set_num_threads(1)
    rng, at = random.Random(seed), []
    while len(at) < kills:
        pid = child(recipe, work)
        time.sleep(rng.uniform(0.02, seconds))
        if os.waitpid(pid, os.WNOHANG) != (0, 0):
            break  # it was done already
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
        at.append(told(Path(work)).get("step", 0))
    began = time.monotonic()
    _, status = os.waitpid(child(recipe, work), 0)
    print(json.dumps([at, os.waitstatus_to_exitcode(status), time.monotonic() - began]))


if __name__ == "__main__":
    run(sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4]), float(sys.argv[5]))
