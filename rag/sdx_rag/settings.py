"""How a user's libraries are indexed and searched: `rag.yaml` in the folder of home(). Start at RagSettings.read()."""

import os
from pathlib import Path
from typing import Literal, Self

from pydantic import Field

from sdx_rag.embed.settings import EmbedSettings, RerankSettings
from sdx_rag.readers.limits import Limits
from sdx_serving.closed import Closed, from_yaml


class ChromaServer(Closed):
    chroma_url: str = Field(pattern=r"^https?://[^/\s]+/?$")
    """E.g. "http://127.0.0.1:8000"."""


class LangChainStore(Closed):
    langchain: str = Field(pattern=r"^[\w.]+:\w+$")
    """ "package.module:factory"; the factory is called with an Embeddings and a collection's name, and gives a VectorStore."""


class RagSettings(Closed):
    """All libraries of a user share these."""

    home: Path = Field(default_factory=lambda: home())
    """Libraries are in its folder rag/, one for each domain."""
    embed: EmbedSettings = Field(default_factory=lambda: EmbedSettings.model_validate({}))
    rerank: RerankSettings = Field(default_factory=lambda: RerankSettings.model_validate({}))
    store: Literal["chroma"] | ChromaServer | LangChainStore = "chroma"
    limits: Limits = Field(default_factory=Limits)
    ocr: bool = False
    """Scanned pages of a PDF are read by Tesseract, where it is on the PATH."""
    candidates: int = Field(default=50, ge=5, le=1000)
    """Passages that each side offers before they are fused."""
    rrf_k: int = Field(default=60, ge=1)
    """Of reciprocal rank fusion: 1 / (k + rank) (Cormack, Clarke, Büttcher 2009)."""

    @classmethod
    def read(cls) -> Self:
        """From rag.yaml in home() where it is there, else the defaults. ValueError names the file, the field and its value."""
        path = home() / "rag.yaml"
        return from_yaml(cls, path) if path.exists() else cls()

    def folder(self, domain: str) -> Path:
        return self.home / "rag" / domain


def home() -> Path:
    """$SDX_RAG, else ~/.local/share/sdx."""
    given = os.environ.get("SDX_RAG")
    return Path(given) if given else Path.home() / ".local/share/sdx"
