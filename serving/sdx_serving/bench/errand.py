"""A module of this folder as a process of its own: a job file in, a result file out."""

import subprocess
import sys
import time
from pathlib import Path
from typing import Generic, Self, TypeVar

from pydantic import BaseModel

Result = TypeVar("Result", bound=BaseModel)
READY = "ready"
_TERM_S, _READY_S = 5.0, 60.0


class Errand(Generic[Result]):
    """Started at once, ended with the block.

    Args:
        module: of sdx_serving.bench; its arguments are the job's file and the result's.
        result: what the result file holds.
        path: where the files go, with endings of their own.
        enter: what the command begins with.
    """

    def __init__(self, module: str, job: BaseModel, result: type[Result], path: Path, enter: tuple[str, ...] = ()) -> None:
        self._kind = result
        source, self._target, self._said = (path.with_name(f"{path.name}.{end}") for end in ("job.json", "json", "err"))
        self._target.unlink(missing_ok=True)
        source.write_text(job.model_dump_json(), encoding="utf-8")
        command = [*enter, sys.executable, "-m", f"sdx_serving.bench.{module}", str(source), str(self._target)]
        with self._said.open("wb") as said:
            self._process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=said, stderr=said)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._process.kill()
        self._process.wait()

    def await_ready(self) -> None:
        """Until it has said READY, or has ended."""
        ends_s = time.monotonic() + _READY_S
        while not self.ended() and READY not in self._said.read_text(encoding="utf-8", errors="replace"):
            if time.monotonic() > ends_s:
                raise RuntimeError(f"{self._said.name}: not ready within {_READY_S:.0f} s: {self.last_words()}")
            time.sleep(0.01)

    def ended(self) -> bool:
        return self._process.poll() is not None

    @property
    def code(self) -> int:
        """Exit code; 0 while it runs."""
        return self._process.poll() or 0

    def result(self) -> Result:
        """Ask it to end, and read what it wrote. RuntimeError with its last words when it wrote nothing."""
        self._process.terminate()
        try:
            self._process.wait(_TERM_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
        if not self._target.exists():
            raise RuntimeError(f"{self._target.name} was not written: {self.last_words()}")
        return self._kind.model_validate_json(self._target.read_text(encoding="utf-8"))

    def last_words(self) -> str:
        """The last line that it printed."""
        lines = self._said.read_text(encoding="utf-8", errors="replace").strip().splitlines()
        return lines[-1][:300] if lines else "it said nothing"
