"""Scanned pages read by the program `tesseract`, English and Korean, where it is installed. Start at recognised()."""

import csv
import io
import shutil
import subprocess
from itertools import groupby, pairwise
from statistics import median
from typing import Any

from sdx_rag.document import Unreadable
from sdx_rag.readers.pdf_page import Piece, around_all

_DPI = 250
_SURE = 40.0  # of 100: Tesseract's own confidence in a word; below it guesses
_TIME_S = 120.0
_SPACE = 0.3  # of a letter's height, between syllables
_BLOCK = "6"  # page segmentation: lines only. Tesseract's own search for columns loses lines of Korean; pdf_layout.py finds them


def recognised(page: Any) -> list[Piece]:
    """Lines of a page (a pypdfium2 page) as Tesseract reads its picture. Raises Unreadable where it is not there or fails."""
    program = shutil.which("tesseract")
    if program is None:
        raise Unreadable("scanned, and `tesseract` is not installed: `apt install tesseract-ocr tesseract-ocr-kor`, or leave out --ocr")
    scale = min(_DPI / 72, 6000 / max(*page.get_size(), 1.0))
    picture = io.BytesIO()
    page.render(scale=scale).to_pil().save(picture, "PNG")
    command = [program, "stdin", "stdout", "-l", "+".join(_languages(program)), "--psm", _BLOCK, "--dpi", str(_DPI), "tsv"]
    try:
        ran = subprocess.run(command, input=picture.getvalue(), capture_output=True, timeout=_TIME_S, check=True)
    except subprocess.TimeoutExpired as error:
        raise Unreadable(f"scanned, and tesseract took more than {_TIME_S:.0f} s for one page") from error
    except subprocess.CalledProcessError as error:
        raise Unreadable(f"scanned, and tesseract failed: {error.stderr.decode(errors='replace').strip()[:200]}") from error
    return _lines(ran.stdout.decode("utf-8", "replace"), scale)


def _languages(program: str) -> list[str]:
    """Korean, where its data are installed, and English. Korean first: the other way about its syllables are read as words."""
    known = subprocess.run([program, "--list-langs"], capture_output=True, text=True, timeout=_TIME_S, check=False).stdout.split()
    return [language for language in ("kor", "eng") if language in known] or ["eng"]


def _lines(table: str, scale: float) -> list[Piece]:
    """Words of Tesseract's table put together by its lines, but not over wide gaps; pixels become points."""
    rows = [row for row in csv.DictReader(io.StringIO(table), delimiter="\t", quoting=csv.QUOTE_NONE) if float(row["conf"]) >= _SURE]
    pieces: list[Piece] = []
    for _, line in groupby(rows, key=lambda row: (row["block_num"], row["par_num"], row["line_num"])):
        words = [_word(row, scale) for row in line if row["text"].strip()]
        size = median(word.size for word in words) if words else 0.0
        held: list[Piece] = []
        for word in words:
            if held and word.box[0] - held[-1].box[2] > 1.5 * size:
                pieces.append(_together(held, size))
                held = []
            held.append(word)
        if held:
            pieces.append(_together(held, size))
    return pieces


def _word(row: dict[str, str], scale: float) -> Piece:
    left, top, width, height = (int(row[side]) / scale for side in ("left", "top", "width", "height"))
    return Piece(row["text"].strip(), (left, top, left + width, top + height), height)


def _together(words: list[Piece], size: float) -> Piece:
    """One piece of a line. Tesseract takes each Korean syllable for a word: a space stands where there is one in the picture."""
    text = words[0].text
    for last, word in pairwise(words):
        apart = (last.text + word.text).isascii() or word.box[0] - last.box[2] > _SPACE * size
        text += f" {word.text}" if apart else word.text
    return Piece(text, around_all([word.box for word in words]), size)
