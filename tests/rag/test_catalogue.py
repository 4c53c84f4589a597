"""The truth of a library: states, transactions, vectors by their words."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from sdx_rag.catalogue import Catalogue, CatalogueBroken, Change, Stored, key
from sdx_rag.document import Place
from sdx_rag.passages import Chunk


@pytest.fixture
def catalogue(tmp_path: Path) -> Iterator[Catalogue]:
    made = Catalogue(tmp_path / "catalogue.sqlite")
    yield made
    made.close()


def stored(catalogue: Catalogue, name: str, texts: tuple[str, ...], gone: tuple[int, ...] = ()) -> list[int]:
    source = catalogue.add_source("/docs", "folder")
    chunks = tuple(
        Chunk(text, ordinal=at, place=Place(at + 1, (1.0, 2.0, 3.0, 4.5)), headings=("A", "나")) for at, text in enumerate(texts)
    )
    ids = catalogue.begin([("Title", chunk) for chunk in chunks])
    document = Stored(0, source.id, name, name, "hash", 1, 2, 3, "Title", None, ("a note",))
    catalogue.publish([Change(document, (), chunks, gone)], [ids])
    return ids


def test_what_is_being_written_is_not_found(catalogue: Catalogue) -> None:
    ids = catalogue.begin([("Title", Chunk("pump"))])
    assert catalogue.live(ids) == {} and catalogue.unsettled() == ids
    catalogue.drop(ids)
    assert catalogue.unsettled() == []


def test_a_chunk_comes_back_as_it_was(catalogue: Catalogue) -> None:
    ids = stored(catalogue, "a.txt", ("pump", "valve"))
    held = catalogue.live(ids)[ids[1]]
    assert held.chunk == Chunk("valve", ("A", "나"), "", "en", Place(2, (1.0, 2.0, 3.0, 4.5)), "", 1)
    assert (held.document, held.title) == ("a.txt", "Title")
    assert catalogue.documents()[0].notes == ("a note",) and catalogue.documents()[0].chunks == 2


def test_ids_are_never_used_again(catalogue: Catalogue, tmp_path: Path) -> None:
    first = stored(catalogue, "a.txt", ("pump",))
    catalogue.remove_documents([document.id for document in catalogue.documents()])
    catalogue.drop(catalogue.unsettled())
    catalogue.close()
    again = Catalogue(tmp_path / "catalogue.sqlite")
    assert stored(again, "a.txt", ("pump",))[0] > first[0]
    again.close()


def test_a_failed_transaction_leaves_nothing(catalogue: Catalogue) -> None:
    before = catalogue.generation

    def chunks() -> Iterator[tuple[str, Chunk]]:
        yield "Title", Chunk("pump")
        raise RuntimeError("the power went")

    with pytest.raises(RuntimeError, match="the power went"):
        catalogue.begin(chunks())
    assert catalogue.unsettled() == [] and catalogue.generation == before


def test_vectors_live_as_long_as_their_words(catalogue: Catalogue) -> None:
    ids = stored(catalogue, "a.txt", ("pump", "valve"))
    keys = [key(held.chunk, held.title) for held in catalogue.live(ids).values()]
    catalogue.put_vectors(keys, np.eye(2, dtype=np.float32))
    newest = catalogue.newest()
    more = stored(catalogue, "b.txt", ("pump",))
    assert catalogue.newer_vectors(newest)[0] == more, "the same words, added later"
    found, vectors = catalogue.vectors([*ids, *more])
    assert found == [*ids, *more] and vectors.tolist() == [[1, 0], [0, 1], [1, 0]]
    catalogue.remove_documents([document.id for document in catalogue.documents() if document.name == "a.txt"])
    catalogue.drop(catalogue.unsettled())
    assert catalogue.with_vector(keys) == {keys[0]} and catalogue.lacking(["en"]) == 0


def test_a_key_is_of_all_that_is_indexed() -> None:
    chunk = Chunk("pump", ("A",), "1")
    others = [replace(chunk, text="valve"), replace(chunk, headings=("B",)), replace(chunk, address="2"), replace(chunk, source="IMO")]
    assert len({key(chunk, "Title"), key(chunk, "Other"), *(key(other, "Title") for other in others)}) == 6
    assert key(chunk, "Title") == key(replace(chunk, ordinal=7, place=Place(3)), "Title"), "where it stands does not matter"


def test_another_version_is_refused(catalogue: Catalogue, tmp_path: Path) -> None:
    catalogue.set_fact("version", "99")
    with pytest.raises(CatalogueBroken, match="of version 99, this SDx reads 1: move it away"):
        Catalogue(tmp_path / "catalogue.sqlite")
