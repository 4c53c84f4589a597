"""The mark that stands for a volume in a prompt: <ct:HANDLE>. Start at split()."""

import re

from sdx_serving.openai_protocol import Refusal

LOOK_AGAIN = "look_again"
"""Code of the refusal when a handle is not held any more; HTTP 410."""
_MARK = re.compile(r"<ct:([^<>\s]*)>")


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


def look_again(handle: str) -> Refusal:
    return Refusal(
        f"no volume is held under {handle[:40]!r}: it was never looked at, or put out by newer ones; look again", LOOK_AGAIN, 410
    )
