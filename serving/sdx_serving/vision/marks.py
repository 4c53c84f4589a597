"""The mark that stands for a volume in a prompt, <ct:HANDLE>, and what is held under handles. Start at split()."""

import re
from collections import OrderedDict
from typing import Generic, TypeVar

from sdx_serving.openai_protocol import Refusal

LOOK_AGAIN = "look_again"
"""Code of the refusal when a handle is not held any more; HTTP 410."""
_MARK = re.compile(r"<ct:([^<>\s]*)>")
V = TypeVar("V")


def mark(handle: str) -> str:
    """What to write into a message."""
    return f"<ct:{handle}>"


def handles(text: str) -> list[str]:
    """In the order in which they stand."""
    return _MARK.findall(text)


def replaced(text: str, by: str) -> str:
    """The text with `by` for each mark."""
    return _MARK.sub(lambda _: by, text)


def split(text: str) -> list[str]:
    """Texts before, between and after the marks."""
    return _MARK.split(text)[::2]


class Held(Generic[V]):
    """By handle, at most so many; what was not held or asked for longest goes first."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._held: OrderedDict[str, V] = OrderedDict()

    def __contains__(self, handle: str) -> bool:
        return handle in self._held

    def __getitem__(self, handle: str) -> V:
        """KeyError for one that is not held."""
        self._held.move_to_end(handle)
        return self._held[handle]

    def hold(self, handle: str, what: V) -> None:
        self._held[handle] = what
        self._held.move_to_end(handle)
        while len(self._held) > self._most:
            self._held.popitem(last=False)


def look_again(handle: str) -> Refusal:
    return Refusal(
        f"no volume is held under {handle[:40]!r}: it was never looked at, or put out by newer ones; look again", LOOK_AGAIN, 410
    )
