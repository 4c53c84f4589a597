"""A command as jobs run them: makes numbered lines, keeps a checkpoint, goes on from it, ends by outcomes.Outcome.

python -m child_job WORK STEPS [--pace S] [--fault WORD]
"""

import argparse
import json
import os
import resource
import signal
import sys
import time
from contextlib import suppress
from pathlib import Path

from sdx_finetune.journal import append, whole_lines, write_whole
from sdx_finetune.outcomes import Outcome, in_words, outcome_of
from sdx_finetune.progress import tell


def fault(word: str, work: Path) -> None:
    """Something real goes wrong, half way."""
    if word == "fill":
        with (work / "large").open("wb") as file:
            while True:
                file.write(b"0" * 65_536)
                file.flush()
    if word == "disk":
        write_to = Path("/dev/full")
        with write_to.open("wb") as file:
            file.write(b"0" * 100_000)
    if word == "memory":
        resource.setrlimit(resource.RLIMIT_AS, (1 << 30, 1 << 30))
        bytearray(1 << 31)
    if word == "input":
        raise ValueError("train.max_steps: must be at least 1 (given: 0)")
    if word == "kernel":
        os.kill(os.getpid(), signal.SIGKILL)


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("work", type=Path)
    parser.add_argument("steps", type=int)
    parser.add_argument("--pace", type=float, default=0.02)
    parser.add_argument("--fault", default="")
    args = parser.parse_args()
    checkpoint = args.work / "checkpoint.json"
    if args.fault == "deaf":
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
    # The checkpoint follows the line: after a kill in between, the line itself says that it is made.
    done = max([entry["step"] + 1 for entry in whole_lines(args.work / "lines.jsonl")], default=0)
    print(f"begins at {done} on devices {os.environ.get('CUDA_VISIBLE_DEVICES')!r}", flush=True)
    try:
        for step in range(done, args.steps):
            if step == args.steps // 2 and not (args.work / "mended").exists():
                fault(args.fault, args.work)
            append(args.work / "lines.jsonl", {"step": step})
            tell(args.work, "train", step / args.steps, step=step, loss=1.0 / (step + 1), tokens_per_s=100.0, left_s=1.0)
            time.sleep(args.pace)
    except (OSError, MemoryError, ValueError, KeyboardInterrupt) as error:
        with suppress(OSError):
            write_whole(checkpoint, json.dumps({"step": step}).encode())
        print(f"error: {in_words(error)}", file=sys.stderr)
        return outcome_of(error)
    print("made all", flush=True)
    return Outcome.DONE


if __name__ == "__main__":
    sys.exit(main())
