"""How much of a file is read before it is refused. A part of the settings of retrieval."""

from pydantic import Field

from sdx_serving.closed import Closed


class Limits(Closed):
    """Over any of these a file is refused whole, with its size and the limit's name: half a document would answer wrongly."""

    file_bytes: int = Field(default=200_000_000, gt=0)
    pages: int = Field(default=5_000, gt=0)
    characters: int = Field(default=20_000_000, gt=0)
    """Of a document's text, or of one page of a PDF before hidden text is taken out."""
    unpacked_bytes: int = Field(default=500_000_000, gt=0)
    """Of a packed file (DOCX): all its parts."""
    unpacked_ratio: int = Field(default=200, gt=1)
    """Of a packed part above a megabyte: how many times larger it may be than its packed form."""
    rows: int = Field(default=200_000, gt=0)
    """Of a table file."""
