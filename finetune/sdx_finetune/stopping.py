"""A stop that lets training write its checkpoint first."""

import signal
import threading
from types import FrameType
from typing import Any, Self

from sdx_finetune.progress import Say


class Stop:
    """Ctrl-C and SIGTERM ask for a checkpoint; the second time they end at once. Use as a context manager."""

    def __init__(self, say: Say) -> None:
        self.asked, self._say = False, say
        self._before: dict[int, Any] = {}

    def __enter__(self) -> Self:
        if threading.current_thread() is threading.main_thread():
            self._before = {number: signal.signal(number, self._ask) for number in (signal.SIGINT, signal.SIGTERM)}
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _ask(self, number: int, _: FrameType | None) -> None:
        if self.asked:
            raise KeyboardInterrupt
        self.asked = True
        self._say("stopping with a checkpoint; once more ends at once")
