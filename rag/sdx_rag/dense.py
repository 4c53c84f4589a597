"""The side of a search that goes by meaning: the store of vectors, kept in step with the catalogue across processes. Start at Dense."""

import uuid
from collections.abc import Collection, Sequence
from math import isnan
from pathlib import Path
from shutil import rmtree
from threading import RLock

import numpy as np

from sdx_rag.borders import Embedder, Vectors
from sdx_rag.catalogue import Catalogue
from sdx_rag.lock import Busy, held
from sdx_rag.settings import RagSettings
from sdx_rag.vectors import StoreBroken, StoreError, collection_name, open_store

OVERLAY = 5000
"""Newer vectors that are compared one by one (a millisecond or two) before the store is opened again for them."""
_SAMPLE = 16
_SAME = 0.999
"""Cosine of a vector with itself, in a store's arithmetic."""
_BATCH = 1000


class Dense:
    """Vectors of one library.

    The store shows what it held when this process opened it, or wrote to it. What others have written since is taken from the catalogue and
    compared exactly, and so is everything while the store cannot be opened because another process is writing to it.
    """

    def __init__(self, catalogue: Catalogue, settings: RagSettings, folder: Path, embedder: Embedder) -> None:
        self._catalogue, self._settings, self._folder = catalogue, settings, folder
        self._name, self._embedder = collection_name(folder.name, embedder.id), embedder
        self._store: Vectors | None = None
        self._mark = ""
        self._upto = (0, 0)
        self._overlay: tuple[list[int], np.ndarray] = ([], np.zeros((0, 0), dtype=np.float32))
        self._generation = -1
        self._mutex = RLock()
        self.trouble = ""
        """Why the store is not used, where it is not."""

    def close(self) -> None:
        if self._store is not None:
            self._store.close()
            self._store = None

    def nearest(self, vector: np.ndarray, count: int) -> list[tuple[int, float]]:
        """Ids, maybe of chunks that are no longer live, with their cosine, best first."""
        with self._mutex:
            self._follow()
            found = _exact(self._overlay, vector, count)
            if self._store is not None:
                newer = {id for id, _ in found}
                found += [pair for pair in self._stored(vector, count) if pair[0] not in newer]
        return sorted(found, key=lambda pair: -pair[1])[:count]

    def among(self, ids: Collection[int], vector: np.ndarray, count: int) -> list[tuple[int, float]]:
        """Only of these chunks, each compared."""
        return _exact(self._catalogue.vectors(ids), vector, count)

    def add(self, ids: Sequence[int], vectors: np.ndarray, texts: Sequence[str]) -> None:
        """Between begin() and the release of the library's lock."""
        assert self._store is not None
        self._store.add(ids, vectors, texts)

    def remove(self, ids: Collection[int]) -> None:
        assert self._store is not None
        self._store.remove(ids)

    def begin(self) -> None:
        """Under the library's lock, before the first add or remove: see what others wrote, and tell them that this process writes now."""
        with self._mutex:
            if self._store is None or self._mark != self._catalogue.fact("store"):
                try:
                    self._open()
                except StoreBroken:  # kill -9 while Chroma wrote its graph
                    self._renew()
            self._mark = uuid.uuid4().hex
            self._catalogue.set_fact("store", self._mark)

    @property
    def complete(self) -> bool:
        """After begin(): whether the store seemed to hold all when it was opened."""
        return self._upto != (0, 0)

    def mend(self, clear: bool = False) -> int:
        """Under the lock, after begin(): give the store the vectors that it lacks. How many those were."""
        if clear and self._store is not None:
            self._store.clear()
            self._renew()
        assert self._store is not None
        ids, added = sorted(self._catalogue.live_ids()), 0
        for at in range(0, len(ids), _BATCH):
            part = ids[at : at + _BATCH]
            lacking = set(part) - self._store.held(part)
            found, vectors = self._catalogue.vectors(lacking) if lacking else ([], np.zeros((0, 0)))
            if found:
                live = self._catalogue.live(found)
                self._store.add(found, vectors, [live[id].chunk.text for id in found])
                added += len(found)
        return added

    def written(self) -> None:
        """Under the lock, at the end: the store holds all that the catalogue holds."""
        self._upto, self._generation = self._catalogue.newest(), -1

    def _follow(self) -> None:
        generation = self._catalogue.generation
        if generation == self._generation:
            return
        if self._store is None or self._mark != self._catalogue.fact("store"):
            self._overlay = self._catalogue.newer_vectors(self._upto)
            if self._store is None or len(self._overlay[0]) > OVERLAY:
                self._reopen()
        self._overlay = self._catalogue.newer_vectors(self._upto)
        self._generation = generation

    def _reopen(self) -> None:
        try:
            with held(self._folder / "lock", 0):
                self._open()
                self.trouble = ""
        except (Busy, StoreError, PermissionError) as error:
            self.close()
            self._upto, self.trouble = (0, 0), str(error)

    def _open(self) -> None:
        """Under the lock."""
        self.close()
        self._upto = (0, 0)
        self._store = open_store(self._settings, self._folder / "chroma", self._name, self._embedder.id)
        self._mark = self._catalogue.fact("store")
        newest = self._catalogue.newest()
        if self._complete(self._store):
            self._upto = newest

    def _renew(self) -> None:
        """Under the lock: an empty store in place of a damaged or unwanted one. mend() fills it, without embedding."""
        self.close()
        if self._settings.store == "chroma":
            rmtree(self._folder / "chroma", ignore_errors=True)
        self._open()

    def _complete(self, store: Vectors) -> bool:
        """By a sample: each of it is there and is found by its own vector. Chroma reads its graph for this, under the lock."""
        ids = sorted(self._catalogue.live_ids())
        some, vectors = self._catalogue.vectors(ids[:: max(1, len(ids) // _SAMPLE)])
        if not some:
            return not self._catalogue.vectors(ids)[0]
        if store.held(some) != set(some):
            return False
        return all(self._told(store.nearest(vector, 1), vector)[0][1] > _SAME for vector in vectors)

    def _stored(self, vector: np.ndarray, count: int) -> list[tuple[int, float]]:
        """What the store finds; where it fails, what comparing every vector finds, from now on."""
        assert self._store is not None
        try:
            return self._told(self._store.nearest(vector, count), vector)
        except StoreError as error:
            self.close()
            self._upto, self.trouble = (0, 0), str(error)
            self._overlay = self._catalogue.newer_vectors(self._upto)
            return _exact(self._overlay, vector, count)

    def _told(self, found: list[tuple[int, float]], vector: np.ndarray) -> list[tuple[int, float]]:
        """With the cosine where the store did not tell it."""
        if any(isnan(cosine) for _, cosine in found):
            return self.among([id for id, _ in found], vector, len(found))
        return found


def _exact(among: tuple[list[int], np.ndarray], vector: np.ndarray, count: int) -> list[tuple[int, float]]:
    ids, vectors = among
    if not ids:
        return []
    cosines = vectors @ vector
    best = np.argpartition(-cosines, count - 1)[:count].tolist() if count < len(ids) else range(len(ids))
    return sorted(((ids[at], float(cosines[at])) for at in best), key=lambda pair: -pair[1])
