"""Remembers on disk that the stop is on, so that a guard that was killed and restarted stays stopped."""

import json
import os
from pathlib import Path


class StopMemory:
    """One small file; present = stopped, its text says why. Unreadable counts as stopped."""

    def __init__(self, path: Path) -> None:
        self._path = path
        path.parent.mkdir(parents=True, exist_ok=True)

    def read(self) -> str | None:
        """Why it is stopped; None when it is not."""
        try:
            return str(json.loads(self._path.read_text(encoding="utf-8"))["reason"])
        except FileNotFoundError:
            return None
        except (OSError, ValueError, KeyError, TypeError) as error:
            return f"the stop file {self._path} cannot be read ({error}); stopped to be safe"

    def write(self, reason: str | None) -> None:
        """Durable when it returns."""
        if reason is None:
            self._path.unlink(missing_ok=True)
        else:
            new = self._path.with_suffix(".new")
            with new.open("w", encoding="utf-8") as file:
                json.dump({"reason": reason}, file)
                file.flush()
                os.fsync(file.fileno())
            new.replace(self._path)
        folder = os.open(self._path.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)
