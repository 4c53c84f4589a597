"""Passages: what is indexed, and what a search gives back with its address."""

from dataclasses import dataclass
from typing import Literal

from pydantic import Field

from sdx_rag.document import NOWHERE, Place
from sdx_serving.closed import Closed

Language = Literal["en", "ko"]
"""Korean where at least a tenth of the letters are Hangul, else treated as English: words.language_of()."""


@dataclass(frozen=True, slots=True)
class Chunk:
    """A passage cut from a document, before it has an id."""

    text: str
    """As it stands in the document, for people; what is embedded and indexed has the headings before it."""
    headings: tuple[str, ...] = ()
    """From the outermost to the nearest; without the document's title."""
    address: str = ""
    """How it is cited: "R15(a)", "4.2", "row 17"; "" where the document numbers nothing."""
    language: Language = "en"
    place: Place = NOWHERE
    source: str = ""
    ordinal: int = 0
    """From 0, in the document."""


class Found(Closed):
    """A passage that a search found."""

    id: int
    """Of the chunk in its library; never used again for another."""
    document: str
    """Name in the library: the path inside the folder that was added, "/" between parts; "builtin/colreg.yaml" of what is shipped."""
    title: str
    headings: tuple[str, ...] = ()
    address: str = ""
    text: str
    language: Language
    page: int | None = None
    box: tuple[float, float, float, float] | None = None
    source: str = ""
    score: float = Field(ge=0.0)
    """Of reciprocal rank fusion or of the reranker: comparable inside one answer only."""
    similarity: float | None = None
    """Cosine with the query; None where the dense side did not find it."""
    lexical: float | None = None
    """BM25; None where the lexical side did not find it."""

    @property
    def citation(self) -> str:
        """For people: 'COLREG 1972, R15 Crossing situation', 'manual.pdf, page 12, 4.2 Bilge pumps'."""
        heading = self.headings[-1] if self.headings else ""
        where = heading if self.address and heading.startswith(self.address) else f"{self.address} {heading}".strip()
        return ", ".join(part for part in (self.title, f"page {self.page}" if self.page else "", where) if part)
