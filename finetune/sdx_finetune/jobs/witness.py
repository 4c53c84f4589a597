"""Starts one job's command, waits for it, and writes down how it ended, whatever becomes of the worker.

python -m sdx_finetune.jobs.witness HOME ID
"""

import os
import signal
import sqlite3
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

from sdx_finetune.jobs.ends import judge
from sdx_finetune.jobs.job import Job
from sdx_finetune.jobs.processes import mark, others_in_group
from sdx_finetune.jobs.queue import Queue

LEFTOVER_S = 5.0
"""Between SIGTERM and SIGKILL for what a command left behind in its group."""
_RETRY_S = 2.0


def main(argv: list[str]) -> int:
    queue, name = Queue(Path(argv[0])), argv[1]
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, lambda *_: None)  # not SIG_IGN: the command would inherit that
    job = queue.job(name)
    with queue.log(name).open("ab") as log:
        log.write(f"--- {time.strftime('%Y-%m-%d %H:%M:%S')} try {job.tries}: python -m {' '.join(job.argv)}\n".encode())
        log.flush()
        command = _started(queue, job, log.fileno())
    code = _waited(command)
    return _written_down(queue, job, code)


def _started(queue: Queue, job: Job, log: int) -> subprocess.Popen[bytes]:
    """The command in a session of its own. It enters itself as running before it becomes the command: a kill leaves no unknown process."""
    python, environ = queue.setting(job.id)
    witness = (os.getpid(), mark(os.getpid()))

    def enter() -> None:
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, signal.SIG_DFL)
        if not queue.begin(job.id, (os.getpid(), mark(os.getpid())), witness):
            os._exit(0)

    Path(job.work).mkdir(parents=True, exist_ok=True)
    return subprocess.Popen(
        [python, "-P", "-m", *job.argv], cwd=job.cwd, env={**environ, **device_environ(job.device), "PYTHONUNBUFFERED": "1"},
        stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT, start_new_session=True, preexec_fn=enter,  # noqa: PLW1509 - one thread
    )  # fmt: skip


def device_environ(device: str) -> dict[str, str]:
    """A job sees its own device alone: two never share one unknowingly."""
    return {"CUDA_VISIBLE_DEVICES": device.partition(":")[2]}


def _waited(command: subprocess.Popen[bytes]) -> int:
    """Its exit code, after what it left running in its group was ended; until then its id stays taken."""
    os.waitid(os.P_PID, command.pid, os.WEXITED | os.WNOWAIT)
    ends = time.monotonic() + LEFTOVER_S
    number = signal.SIGTERM
    while others_in_group(command.pid):
        with suppress(ProcessLookupError):
            os.killpg(command.pid, number)
        time.sleep(0.1)
        if time.monotonic() > ends:
            number = signal.SIGKILL
    return command.wait()


def _written_down(queue: Queue, job: Job, code: int) -> int:
    """Into the queue; on a full disk again and again until there is room."""
    while queue.home.exists():
        try:
            now = queue.job(job.id)
            queue.end(now, *judge(now, code, queue.log(job.id)), code)
            return 0
        except KeyError:  # removed meanwhile
            return 0
        except (OSError, sqlite3.Error):
            time.sleep(_RETRY_S)
    return 1


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
