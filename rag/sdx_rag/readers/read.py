"""Files in, documents out. read() takes one file of any known kind; files() lists a folder."""

import errno
import os
import stat
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path

from sdx_rag.document import Document, Unreadable
from sdx_rag.readers.clean import cleaned_blocks, spaced
from sdx_rag.readers.html import read_html
from sdx_rag.readers.limits import Limits
from sdx_rag.readers.markdown import read_markdown
from sdx_rag.readers.passage_file import read_passages
from sdx_rag.readers.pdf import read_pdf
from sdx_rag.readers.table import read_table
from sdx_rag.readers.text import read_text
from sdx_rag.readers.word import read_docx

Reader = Callable[[bytes, str, Limits], Document]
"""The file's bytes, its name and the limits. Raises Unreadable and nothing else."""

KINDS: Mapping[str, Reader] = {
    ".pdf": read_pdf,
    ".docx": read_docx,
    ".html": read_html,
    ".htm": read_html,
    ".xhtml": read_html,
    ".md": read_markdown,
    ".markdown": read_markdown,
    ".txt": read_text,
    ".text": read_text,
    ".csv": read_table,
    ".tsv": read_table,
    ".yaml": read_passages,
    ".yml": read_passages,
}
# Kinds that people will try, and what to do with them.
_OTHER = {
    ".doc": "save it as DOCX",
    ".hwp": "save it as PDF or DOCX",
    ".hwpx": "save it as PDF or DOCX",
    ".rtf": "save it as DOCX",
    ".odt": "save it as DOCX",
    ".ppt": "save it as PDF",
    ".pptx": "save it as PDF",
    ".xls": "save each sheet as CSV",
    ".xlsx": "save each sheet as CSV",
    ".json": "make a table (CSV) or a text of it",
}
_PDF, _ZIP, _OLE = b"%PDF-", b"PK\x03\x04", b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"
_BEGINNINGS = {
    _PDF: "a PDF",
    _ZIP: "an archive (DOCX, ZIP ...)",
    _OLE: "an old Office file",
    b"\x89PNG": "a picture (PNG)",
    b"\xff\xd8\xff": "a picture (JPEG)",
    b"GIF8": "a picture (GIF)",
    b"{\\rtf": "RTF",
    b"\x1f\x8b": "an archive (gzip)",
    b"\x7fELF": "a program",
    b"MZ\x90": "a program",
    b"SQLite format 3": "a database",
}


def read(path: Path, limits: Limits = Limits(), ocr: bool = False) -> tuple[Document, ...]:
    """The document in a file. Raises Unreadable for whatever is wrong with it, and nothing else.

    `ocr` has scanned pages of a PDF read by Tesseract.
    """
    suffix = path.suffix.lower()
    if suffix not in KINDS and os.path.isfile(path) and not os.path.islink(path):  # these never raise
        hint = _OTHER.get(suffix, f"known are {', '.join(sorted(KINDS))}")
        raise Unreadable(f"unknown kind {suffix or '(no suffix)'!r}: {hint}")
    data = _bytes(path, limits)
    if not data.strip(b"\x00 \t\r\n"):
        raise Unreadable("empty: it holds no text" if data else "empty: 0 bytes")
    _agrees(data, suffix)
    try:
        document = read_pdf(data, path.name, limits, ocr) if suffix == ".pdf" else KINDS[suffix](data, path.name, limits)
    except ModuleNotFoundError as error:
        raise Unreadable(f"{suffix} files need the package {error.name}: `pip install -e '.[rag]'`, then `sdx rag sync`") from error
    blocks = cleaned_blocks(document.blocks)
    if not blocks:
        raise Unreadable("no text in it" + "".join(f"; {note}" for note in document.notes[:3]))
    letters = sum(len(block.text) for block in blocks)
    if letters > limits.characters:
        raise Unreadable(f"too large: {letters:,} characters, the limit `characters` is {limits.characters:,}; split it or raise the limit")
    return (replace(document, title=spaced(document.title)[:200] or path.name, blocks=blocks),)


def files(folder: Path) -> Iterator[Path]:
    """All that is to be read in a folder, in a fixed order; also what cannot be read, so that it is named.

    Passed over: what is hidden (".git"), and what programs leave while they write ("~$plan.docx", "x.tmp", "x.part", "x~").
    Links are not followed.
    """
    waiting = [folder]
    while waiting:
        path = waiting.pop()
        if path != folder and (path.is_symlink() or not path.is_dir() or path.suffix.lower() in KINDS):
            yield path
            continue
        try:
            inside = sorted((entry for entry in path.iterdir() if not _is_passing(entry.name)), reverse=True)
        except OSError:
            yield path
            continue
        waiting.extend(inside)


def _is_passing(name: str) -> bool:
    return name.startswith((".", "~$")) or name.endswith(("~", ".tmp", ".part", ".crdownload")) or name in ("Thumbs.db", "__pycache__")


def _bytes(path: Path, limits: Limits) -> bytes:
    """The file's bytes. Only a plain file is opened, never what a link points to."""
    try:
        handle = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as error:
        raise Unreadable(_refusal(path, error)) from error
    except ValueError as error:
        raise Unreadable(f"its name cannot be opened: {error}") from error
    try:
        about = os.fstat(handle)
        if not stat.S_ISREG(about.st_mode):
            raise Unreadable("a folder, not a file" if stat.S_ISDIR(about.st_mode) else "not a plain file (a pipe, socket or device)")
        if about.st_size > limits.file_bytes:
            raise Unreadable(
                f"too large: {about.st_size:,} bytes, the limit `file_bytes` is {limits.file_bytes:,}; split it or raise the limit"
            )
        with os.fdopen(handle, "rb", closefd=False) as file:
            return file.read(limits.file_bytes)
    except OSError as error:
        raise Unreadable(f"cannot be read: {error.strerror}") from error
    finally:
        os.close(handle)


def _refusal(path: Path, error: OSError) -> str:
    if error.errno == errno.ELOOP:
        return f"a link{'' if path.exists() else ' to what is not there'}: links are not followed; add the file itself"
    if error.errno == errno.EACCES:
        return "no permission to read it: change its mode or owner"
    if error.errno == errno.ENOENT:
        return "not there"
    return f"cannot be opened: {error.strerror}"


def _agrees(data: bytes, suffix: str) -> None:
    """Raises Unreadable where the first bytes say another kind than the suffix."""
    begins = next((mark for mark in _BEGINNINGS if data.startswith(mark)), None)
    if suffix == ".pdf":
        if _PDF not in data[:1024]:
            what = f"it begins as {_BEGINNINGS[begins]}" if begins else "it does not begin as a PDF"
            raise Unreadable(f"not what its suffix says: {what}")
    elif suffix == ".docx":
        if begins == _OLE and "EncryptedPackage".encode("utf-16-le") in data:
            raise Unreadable("encrypted: it needs a password; save it without one")
        if begins != _ZIP:
            what = f"it begins as {_BEGINNINGS[begins]}" if begins else "it does not begin as a DOCX"
            raise Unreadable(f"not what its suffix says: {what}")
    elif begins:
        raise Unreadable(f"not what its suffix says: it begins as {_BEGINNINGS[begins]}")
