"""Checkpoints that survive a kill: each is marked when it is whole, and only marked ones are gone on from."""

import json
import os
import shutil
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from sdx_finetune.journal import write_whole

MARK = "complete.json"
PREFIX = "checkpoint-"


def step_of(folder: Path) -> int:
    return int(folder.name.removeprefix(PREFIX))


def mark_whole(folder: Path) -> None:
    """Bring every file of a checkpoint to the disk, then say so with its size."""
    sizes = {}
    for path in sorted(path for path in folder.rglob("*") if path.is_file() and path.name != MARK):
        with path.open("rb") as file:
            os.fsync(file.fileno())
        sizes[str(path.relative_to(folder))] = path.stat().st_size
    write_whole(folder / MARK, json.dumps(sizes, indent=1).encode())


def is_whole(folder: Path) -> bool:
    try:
        sizes: Mapping[str, int] = json.loads((folder / MARK).read_text(encoding="utf-8"))
        return all((folder / name).stat().st_size == size for name, size in sizes.items())
    except (OSError, ValueError):
        return False


def whole_ones(output: Path) -> list[Path]:
    """Checkpoints to go on from, earliest first."""
    found = (path for path in output.glob(f"{PREFIX}*") if path.name.removeprefix(PREFIX).isdigit())
    return sorted((path for path in found if is_whole(path)), key=step_of)


def drop_others(output: Path, kept: Iterable[int]) -> list[Path]:
    """Remove every checkpoint but those of the steps `kept`; torn ones too. The removed folders."""
    names = {f"{PREFIX}{step}" for step in kept}
    gone = [path for path in output.glob(f"{PREFIX}*") if path.name not in names]
    for path in gone:
        (path / MARK).unlink(missing_ok=True)  # first: what a kill leaves of it must not be taken for whole
        shutil.rmtree(path)
    return gone


def measured(history: Sequence[Mapping[str, Any]], metric: str) -> list[tuple[int, float]]:
    """(step, value) of each held-out measurement."""
    return [(int(entry["step"]), float(entry[metric])) for entry in history if metric in entry]


def best_of(values: Sequence[tuple[int, float]], higher: bool, among: Iterable[int] | None = None) -> tuple[int, float] | None:
    """The first of the best (step, value), of the steps `among` if given."""
    steps = None if among is None else set(among)
    able = [pair for pair in values if steps is None or pair[0] in steps]
    return (max if higher else min)(able, key=lambda pair: pair[1]) if able else None


def state_of(checkpoint: Path) -> dict[str, Any]:
    """The trainer's own record: global_step, max_steps, log_history."""
    return json.loads((checkpoint / "trainer_state.json").read_text(encoding="utf-8"))
