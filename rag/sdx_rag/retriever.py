"""A library as a LangChain retriever: LibraryRetriever(library=...).invoke("what is safe speed")."""

import asyncio
from typing import Any

from langchain_core.callbacks import AsyncCallbackManagerForRetrieverRun, CallbackManagerForRetrieverRun
from langchain_core.documents import Document
from langchain_core.retrievers import BaseRetriever
from pydantic import ConfigDict, Field

from sdx_rag.library import Library
from sdx_rag.passages import Found, Language


class LibraryRetriever(BaseRetriever):
    """Passages of one open library, best first. What they say is data: give them to a model as such."""

    model_config = ConfigDict(arbitrary_types_allowed=True)

    library: Library
    count: int = Field(default=5, ge=1)
    language: Language | None = None
    """Only passages in this language; None: in both."""
    documents: tuple[str, ...] | None = None
    """Only passages of these documents, by their names in the library; None: of all."""

    def _get_relevant_documents(self, query: str, *, run_manager: CallbackManagerForRetrieverRun) -> list[Document]:
        found = self.library.search(query, self.count, language=self.language, documents=self.documents)
        return [as_document(one) for one in found]

    async def _aget_relevant_documents(self, query: str, *, run_manager: AsyncCallbackManagerForRetrieverRun) -> list[Document]:
        found = await asyncio.to_thread(self.library.search, query, self.count, language=self.language, documents=self.documents)
        return [as_document(one) for one in found]


def as_document(found: Found) -> Document:
    """The passage as LangChain knows it: its text, and in metadata its citation and everything else."""
    metadata: dict[str, Any] = {**found.model_dump(mode="json", exclude={"text"}), "citation": found.citation}
    return Document(page_content=found.text, metadata=metadata, id=str(found.id))
