"""Stores of vectors: Chroma in a folder, Chroma at a URL, any LangChain VectorStore. Start at open_store(); dense.py decides when.

Chroma 1.5.9 keeps its graph in each process's memory: a process does not see what another adds, and one that opens the folder while another
writes may never return. So a folder is opened, and opened again, only while its library's write lock is held (the caller's part).
"""

import importlib
import logging
from collections.abc import Callable, Collection, Sequence
from hashlib import sha256
from itertools import count
from pathlib import Path
from threading import RLock
from typing import Any
from urllib.parse import urlsplit

import numpy as np

from sdx_rag.borders import Vectors
from sdx_rag.settings import ChromaServer, LangChainStore, RagSettings

HNSW: dict[str, Any] = {"space": "cosine", "ef_construction": 100, "max_neighbors": 16, "ef_search": 400, "sync_threshold": 1000}
"""Chroma's defaults but for the space and ef_search: with its 100 recall@10 is 0.96 over 20,000 vectors, with 400 0.999 (bench/search.py)."""
_BATCH = 1000
_PATHS: set[str] = set()
"""Taken in this process."""
_EXTRA = 'needs a package that is not installed: pip install -e ".[rag]", or set embed to none in rag.yaml to search by words alone'


class StoreError(RuntimeError):
    """The store of vectors does not answer; the message says what to do."""


class StoreBroken(StoreError):
    """Its files are damaged. The catalogue has every vector: remove the folder and add them again."""


def collection_name(domain: str, embedder: str) -> str:
    """One collection for each domain and embedding model."""
    return f"sdx-{domain}-{sha256(embedder.encode()).hexdigest()[:12]}"


def open_store(settings: RagSettings, folder: Path, name: str, embedder: str) -> Vectors:
    """The collection of that name, made where it is not there. Raises StoreError."""
    match settings.store:
        case "chroma":
            return Chroma(_embedded(folder), name, embedder, StoreBroken)
        case ChromaServer(chroma_url=url):
            return Chroma(_server(url), name, embedder)
        case LangChainStore(langchain=dotted):
            return LangChain(dotted, name)


class Chroma:
    """A collection of ids and vectors, without texts: those are in the catalogue."""

    def __init__(self, client: Any, name: str, embedder: str, failure: type[StoreError] = StoreError) -> None:
        self._client, self._failure, self._mutex = client, failure, RLock()
        self._collection = self._asked(
            lambda: client.get_or_create_collection(
                name, embedding_function=None, configuration={"hnsw": HNSW}, metadata={"embedder": embedder}
            )
        )

    def add(self, ids: Sequence[int], vectors: np.ndarray, texts: Sequence[str]) -> None:
        for begin in range(0, len(ids), _BATCH):
            part = [str(id) for id in ids[begin : begin + _BATCH]]
            rows = vectors[begin : begin + _BATCH]
            self._asked(lambda part=part, rows=rows: self._collection.upsert(ids=part, embeddings=rows))

    def remove(self, ids: Collection[int]) -> None:
        there = [str(id) for id in sorted(self.held(ids))]
        for begin in range(0, len(there), _BATCH):
            self._asked(lambda begin=begin: self._collection.delete(ids=there[begin : begin + _BATCH]))

    def nearest(self, vector: np.ndarray, count: int) -> list[tuple[int, float]]:
        found = self._asked(lambda: self._collection.query(query_embeddings=[vector], n_results=count, include=["distances"]))
        return [(int(id), 1.0 - distance) for id, distance in zip(found["ids"][0], found["distances"][0], strict=True)]

    def held(self, ids: Collection[int]) -> set[int]:
        wanted, found = [str(id) for id in ids], set[int]()
        for begin in range(0, len(wanted), _BATCH):
            part = self._asked(lambda begin=begin: self._collection.get(ids=wanted[begin : begin + _BATCH], include=[]))
            found.update(map(int, part["ids"]))
        return found

    def clear(self) -> None:
        self._asked(lambda: self._client.delete_collection(self._collection.name))

    def close(self) -> None:
        with self._mutex:
            self._client.close()
            for client in (self._client, self._client._admin_client):  # Chroma 1.5.9 leaves the connections of its two HTTP clients open
                if session := getattr(client._server, "_session", None):
                    session.close()
            _PATHS.discard(self._client.get_settings().persist_directory)

    def _asked(self, work: Callable[[], Any]) -> Any:
        from chromadb.errors import ChromaError
        from httpx import HTTPError

        try:
            with self._mutex:
                return work()
        except (ChromaError, OSError, ValueError, HTTPError) as error:
            raise self._failure(
                f"Chroma: {error}: is the server there, the disk full? `sdx rag reindex` makes the collection anew"
            ) from error


class LangChain:
    """A VectorStore, given each text's vector by an Embeddings that only passes them on."""

    def __init__(self, dotted: str, name: str) -> None:
        self._given = _given()
        module, _, factory = dotted.partition(":")
        try:
            self._store = getattr(importlib.import_module(module), factory)(self._given, name)
        except (ImportError, AttributeError) as error:
            raise StoreError(f"store.langchain in rag.yaml is {dotted!r}: {error}; give package.module:factory") from error

    def add(self, ids: Sequence[int], vectors: np.ndarray, texts: Sequence[str]) -> None:
        self._given.vectors = [row.tolist() for row in vectors]
        self._store.add_texts(list(texts), metadatas=[{"chunk": id} for id in ids], ids=[str(id) for id in ids])

    def remove(self, ids: Collection[int]) -> None:
        if there := sorted(self.held(ids)):
            self._store.delete([str(id) for id in there])

    def nearest(self, vector: np.ndarray, count: int) -> list[tuple[int, float]]:
        """By rank: stores do not agree on what their score is, so the cosine is the caller's to compute; here it is not a number."""
        found = self._store.similarity_search_by_vector(vector.tolist(), k=count)
        return [(int(document.metadata["chunk"]), float("nan")) for document in found]

    def held(self, ids: Collection[int]) -> set[int]:
        return {int(document.metadata["chunk"]) for document in self._store.get_by_ids([str(id) for id in ids])} if ids else set()

    def clear(self) -> None:
        """Nothing: ids are never used for other texts, and what the catalogue does not know is passed over."""

    def close(self) -> None:
        pass


def _embedded(folder: Path) -> Any:
    chromadb, config = _chromadb()
    folder.mkdir(parents=True, exist_ok=True)
    # Clients of one process that give one path share one graph, also after one of them was opened again: so each gives a path of its own.
    path = next(path for number in count() if (path := f"{folder}/{'./' * number}") not in _PATHS)
    _PATHS.add(path)  # and it stays there when it fails, because Chroma gives its half-open client to the next who asks
    try:
        return chromadb.PersistentClient(path, settings=config.Settings(anonymized_telemetry=False))
    except Exception as error:  # its own kinds, ValueError, and what SQLite says
        raise StoreBroken(f"{folder}: Chroma cannot open it ({error}): `sdx rag reindex` makes it anew, without embedding again") from error


def _server(url: str) -> Any:
    chromadb, config = _chromadb()
    try:
        parts = urlsplit(url)
        secure = parts.scheme == "https"
        port = parts.port or (443 if secure else 80)
        return chromadb.HttpClient(str(parts.hostname), port, ssl=secure, settings=config.Settings(anonymized_telemetry=False))
    except Exception as error:  # httpx's and Chroma's own, and ValueError
        raise StoreError(f"{url}: no Chroma server answers ({error}): start `chroma run`, or change store in rag.yaml") from error


def _chromadb() -> tuple[Any, Any]:
    try:
        import chromadb
        from chromadb import config
    except ModuleNotFoundError as error:
        raise StoreError(f"the store of vectors {_EXTRA}") from error
    logging.getLogger("chromadb").setLevel(logging.ERROR)
    return chromadb, config


def _given() -> Any:
    from langchain_core.embeddings import Embeddings

    class Given(Embeddings):
        """Vectors that were made before, in the order of the texts."""

        vectors: Sequence[list[float]] = ()

        def embed_documents(self, texts: list[str]) -> list[list[float]]:
            if len(texts) != len(self.vectors):
                raise ValueError(f"{len(self.vectors)} vectors are there for {len(texts)} texts: the store must take a batch whole")
            return list(self.vectors)

        def embed_query(self, text: str) -> list[float]:
            raise ValueError("search this store through its library, which makes the query's vector")

    return Given()
