"""The LangChain retriever gives the library's passages with their citation, at once and awaited."""

import asyncio
from pathlib import Path

from shipped_library import opened

from sdx_rag.retriever import LibraryRetriever


def test_passages_as_documents(tmp_path: Path) -> None:
    with opened(tmp_path) as library:
        retriever = LibraryRetriever(library=library, count=3, language="en")
        documents = retriever.invoke("two power-driven ships meet head-on")
        awaited = asyncio.run(retriever.ainvoke("two power-driven ships meet head-on"))
        found = library.search("two power-driven ships meet head-on", 3, language="en")
        of_one = LibraryRetriever(library=library, documents=("builtin/ship_equipment.yaml",)).invoke("radar")
    assert documents == awaited and [document.page_content for document in documents] == [one.text for one in found]
    first = documents[0].metadata
    assert first["citation"] == found[0].citation and first["address"] == found[0].address and first["score"] == found[0].score
    assert {"page", "box", "document", "language"} <= set(first) and len(documents) == 3
    assert of_one and {document.metadata["document"] for document in of_one} == {"builtin/ship_equipment.yaml"}
