"""What may stay of a description or a coded string: words that speak of examinations and machines, and no other. Start at cleaned()."""

import re
from collections.abc import Collection
from functools import cache
from importlib.resources import files

import yaml

from sdx_domains.medicine.privacy.text import scrub

_NUMBER = re.compile(r"\d{1,3}(?:\.\d{1,2})?(?:mm|cm|ml|s|sec|kv|kvp|ma|mas|hu|d|x)?", re.IGNORECASE)
_KERNEL = re.compile(r"[A-Za-z]{1,2}\d{2}[a-z]?|FC\d{2}|[A-Z]")
"""Siemens B70f, Br40d, I31f; Canon FC51; Philips B, C, YA."""
_TOKEN = re.compile(r"[^\W_]+(?:\.\d+\w*)?")


def cleaned(text: str, known: Collection[str] = ()) -> str:
    """The words of it that are known to name nobody, in their order; "" if there is none."""
    left = scrub(text.replace("^", " "), known)  # some makers write Thorax^Routine; names in that form are no words of the table
    return " ".join(token for token in _TOKEN.findall(left) if _plain(token))


def coded(text: str, known: Collection[str] = ()) -> bool:
    """Whether a coded string (CS) is made of known words alone."""
    return scrub(text, known) == text and all(_plain(token) for token in _TOKEN.findall(text))


@cache
def words() -> frozenset[str]:
    table = yaml.safe_load((files("sdx_domains.medicine.privacy") / "words.yaml").read_text(encoding="utf-8"))
    return frozenset(str(word).lower() for row in table.values() for word in row.split())


def _plain(token: str) -> bool:
    return token.lower() in words() or bool(_NUMBER.fullmatch(token) or _KERNEL.fullmatch(token))
