"""How long work ends: exit codes, and an exception in words that say what to do."""

import errno
from enum import IntEnum


class Outcome(IntEnum):
    """Exit code of a stage run as a process."""

    DONE = 0
    FAILED = 1
    WRONG_INPUT = 2
    DISK_FULL = 74
    OUT_OF_MEMORY = 77
    STOPPED = 130
    """By Ctrl-C or SIGTERM, after a checkpoint; the same command goes on."""


_MEMORY_WORDS = ("out of memory", "can't allocate", "cannot allocate", "defaultcpuallocator", "bad_alloc", "failed to map segment")
_DISK_WORDS = ("no space left on device", "pytorchstreamwriter failed writing", "file write failed", "iostream error", "unexpected pos")


def outcome_of(error: BaseException) -> Outcome:
    """Which end an exception is. torch and the C++ library tell of memory and disk in their own words."""
    if isinstance(error, KeyboardInterrupt):
        return Outcome.STOPPED
    if isinstance(error, MemoryError) or any(word in str(error).lower() for word in _MEMORY_WORDS):
        return Outcome.OUT_OF_MEMORY
    if (
        isinstance(error, OSError)
        and error.errno in (errno.ENOSPC, errno.EDQUOT)
        or any(word in str(error).lower() for word in _DISK_WORDS)
    ):
        return Outcome.DISK_FULL
    return Outcome.WRONG_INPUT if isinstance(error, (ValueError, FileNotFoundError, KeyError, FloatingPointError)) else Outcome.FAILED


def in_words(error: BaseException) -> str:
    """One line for the person who started it."""
    text = str(error.args[0]) if isinstance(error, KeyError) and error.args else str(error)
    match outcome_of(error):
        case Outcome.STOPPED:
            return "stopped; the same command goes on from the last checkpoint"
        case Outcome.OUT_OF_MEMORY:
            return f"memory ran out: `sdx finetune check RECIPE` says what fits here; then the same command goes on ({text[:200]})"
        case Outcome.DISK_FULL:
            return f"the disk is full: make room, then the same command goes on; what was written before is whole ({text[:200]})"
        case _:
            return text or type(error).__name__
