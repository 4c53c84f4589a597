"""Bytes of a text file as text, whatever Korean or western encoding they are in. Start at decoded()."""

import codecs
import re

from sdx_rag.document import Unreadable

_MARKS = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
# What charset-normalizer may guess among: encodings in which documents of ships, farms and hospitals are likely to be.
_GUESSES = ["cp949", "cp1252", "latin_1", "cp1251", "shift_jis", "gb18030", "big5", "utf_16_le", "utf_16_be"]
_BINARY = "not what its suffix says: it is binary, not text"
_SAMPLE = 200_000  # bytes that are enough to guess from
_CONTROLS = re.compile("[\x00-\x08\x0e-\x1a\x1c-\x1f]")


def decoded(data: bytes) -> str:
    """Text of a file: by its byte order mark, else UTF-8, else CP949 where that gives Hangul, else a guess. Raises Unreadable."""
    for mark, name in _MARKS:
        if data.startswith(mark):
            try:
                return _as_text(data.decode(name))
            except UnicodeDecodeError as error:
                raise Unreadable(f"broken: it says it is {name} but byte {error.start} is not; save it again as UTF-8") from error
    if b"\x00" in data:
        raise Unreadable(_BINARY)
    try:
        return _as_text(data.decode("utf-8"))
    except UnicodeDecodeError:
        return _as_text(_korean(data) or _guessed(data))


def _as_text(text: str) -> str:
    """The text, unless so much of it is control characters that it is none."""
    controls = len(_CONTROLS.findall(text[:_SAMPLE]))
    if "\x00" in text or controls > 0.01 * min(len(text), _SAMPLE):
        raise Unreadable(_BINARY)
    return text


def _korean(data: bytes) -> str | None:
    """CP949 (which holds EUC-KR) where most of what is not ASCII then is Hangul."""
    try:
        text = data.decode("cp949")
    except UnicodeDecodeError:
        return None
    other = [character for character in text[:_SAMPLE] if not character.isascii()]
    hangul = sum("가" <= character <= "힣" for character in other)
    return text if hangul > 0.6 * len(other) else None


def _guessed(data: bytes) -> str:
    from charset_normalizer import from_bytes

    best = from_bytes(data[:_SAMPLE], cp_isolation=_GUESSES).best()
    if best is None:
        raise Unreadable("unknown encoding: not UTF-8, UTF-16, CP949 or a western one; save it again as UTF-8")
    try:
        return data.decode(best.encoding)
    except UnicodeDecodeError as error:
        raise Unreadable(f"unknown encoding: it begins as {best.encoding} but byte {error.start} is not; save it again as UTF-8") from error
