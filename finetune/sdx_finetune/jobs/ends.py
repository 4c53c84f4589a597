"""How a job ended, from its exit code, in words that say what to do."""

import shutil
from pathlib import Path

from sdx_finetune.jobs import job as states
from sdx_finetune.jobs.job import Job
from sdx_finetune.outcomes import Outcome

_FULL_BYTES = 64 * 1024
_NOT_FLUSHED = 120
"""Python's exit code when its last words could not be written."""
_TAIL_BYTES = 16_384


def judge(job: Job, code: int, log: Path) -> tuple[str, str]:
    """(state, words) for the exit code of a command; negative: the signal that ended it."""
    on = f"`sdx jobs resume {job.id}` goes on"
    said = last_error(log)
    if code == Outcome.DONE:
        return states.DONE, "done"
    if code == Outcome.DISK_FULL or code in (Outcome.FAILED, _NOT_FLUSHED) and _full_disk(job, log):
        where = f" ({_full_disk(job, log)})" if _full_disk(job, log) else ""
        return states.FAILED, f"the disk is full{where}: make room, then {on}; what was written before is whole"
    if code == Outcome.OUT_OF_MEMORY:
        return states.FAILED, f"memory ran out: take less (`sdx finetune check RECIPE` says what fits here), then {on}"
    if job.state == states.STOPPING or code in (Outcome.STOPPED, -2):
        forced = {-9: ", by force because it did not end in time", -15: ", by SIGTERM because SIGINT did not suffice"}.get(code, "")
        return states.STOPPED, f"stopped{forced}; {on} from the last checkpoint"
    if code == -9:
        return states.FAILED, f"killed from outside (signal 9), most often by the system because memory ran out: take less, then {on}"
    if code < 0:
        return states.FAILED, f"ended by signal {-code}{said}; {on} from the last checkpoint"
    if code == Outcome.WRONG_INPUT:
        return states.FAILED, f"wrong input{said}; put it right, then {on}"
    return states.FAILED, f"failed with exit code {code}{said}; `sdx jobs logs {job.id}` shows all; {on} from the last checkpoint"


def last_error(log: Path) -> str:
    """The last line of a log that begins with "error:", or of a traceback, as ": words"; "" when there is none."""
    try:
        with log.open("rb") as file:
            file.seek(max(0, log.stat().st_size - _TAIL_BYTES))
            lines = file.read().decode("utf-8", "replace").splitlines()
    except OSError:
        return ""
    told = [line.removeprefix("error:").strip() for line in lines if line.startswith("error:")]
    traced = lines[-1].strip() if lines and any(line.startswith("Traceback") for line in lines) else ""
    return f": {(told[-1] if told else traced)[:300]}" if told or traced else ""


def _full_disk(job: Job, log: Path) -> str:
    """A command on a full disk may not even be able to say so: then the disk does."""
    for folder in (Path(job.work), log.parent):
        try:
            if shutil.disk_usage(folder).free < _FULL_BYTES:
                return str(folder)
        except OSError:
            continue
    return ""
