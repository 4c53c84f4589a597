"""Text as a person may read it, and whether it speaks to the machine instead: plain(), planted(). The signs are in planted.yaml."""

import re
import unicodedata
from functools import cache
from pathlib import Path

import yaml

from sdx_rag.passages import Found

BUILTIN = "builtin/"
"""Documents of this folder are shipped: the project's own words, which no user's document can replace."""

FENCE = re.compile(r"(```|~~~).*?(\1|$)", re.DOTALL)
_CODE = re.compile(r"`[^`\n]*`")
_IMAGE = re.compile(r"!\[[^\]]*\](\([^)]*\)?|\[[^\]]*\])?")
_LINK = re.compile(r"\[([^\]]*)\]\([^)]*\)?")
_TAG = re.compile(r"<[/!?|]?[A-Za-z|][^<>]*>?")
_URL = re.compile(r"(?:[a-z][a-z0-9+.-]{1,12}://|www\.|(?:data|javascript|mailto):)\S*", re.IGNORECASE)
_FOLDED = str.maketrans("аеорсухіѕԁɡᴀοιν", "aeopcyxisdgaoiv")
"""Cyrillic and Greek letters that look like Latin ones."""


def shipped(found: Found) -> bool:
    return found.document.startswith(BUILTIN)


def plain(text: str) -> str:
    """The words alone: without code, images, links, addresses of the web, tags and characters that cannot be seen."""
    for pattern, left in ((FENCE, " "), (_CODE, " "), (_IMAGE, " "), (_LINK, r"\1"), (_URL, " "), (_TAG, " ")):
        text = pattern.sub(left, text)
    text = "".join(letter for letter in text if letter in "\n\t" or unicodedata.category(letter)[0] != "C")
    return re.sub(r"[ \t]+", " ", text).strip()


def has_link(text: str) -> bool:
    return any(pattern.search(text) for pattern in (_IMAGE, _LINK, _URL, _TAG))


def planted(text: str) -> str:
    """The kind of sign in the text that it speaks to the machine ("orders", "role", "leaks", "codes", "korean"); "" without one."""
    seen = _seen(text)
    return next((kind for kind, patterns in _signs().items() if any(pattern.search(seen) for pattern in patterns)), "")


def _seen(text: str) -> str:
    """Compatibility form, letters that look alike made one, accents and hidden characters gone."""
    folded = unicodedata.normalize("NFKD", text).translate(_FOLDED)
    kept = "".join(letter for letter in folded if letter == "\n" or unicodedata.category(letter) not in ("Cf", "Cc", "Cn", "Co", "Mn"))
    return re.sub(r"[^\S\n]+", " ", unicodedata.normalize("NFC", kept))


@cache
def _signs() -> dict[str, tuple[re.Pattern[str], ...]]:
    patterns: dict[str, list[str]] = yaml.safe_load((Path(__file__).parent / "planted.yaml").read_text(encoding="utf-8"))["patterns"]
    return {kind: tuple(re.compile(pattern, re.IGNORECASE) for pattern in of_kind) for kind, of_kind in patterns.items()}
