"""Each store of vectors, as dense.py uses it."""

import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import hashed_server
import numpy as np
import pytest

from sdx_rag.borders import Vectors
from sdx_rag.library import Library
from sdx_rag.settings import RagSettings
from sdx_rag.vectors import StoreBroken, StoreError, collection_name, open_store

pytest.importorskip("chromadb")
_SHELVES: dict[str, Any] = {}


def in_memory(embedding: Any, name: str) -> Any:
    """A factory as a user would name it in rag.yaml. A name's store lasts as long as this process."""
    from langchain_core.vectorstores import InMemoryVectorStore

    return _SHELVES.setdefault(name, InMemoryVectorStore(embedding))


def through_langchain_chroma(embedding: Any, name: str) -> Any:
    from chromadb.config import Settings
    from langchain_chroma import Chroma

    folder = str(_SHELVES["folder"])
    return Chroma(
        name,
        embedding,
        persist_directory=folder,
        client_settings=Settings(is_persistent=True, persist_directory=folder, anonymized_telemetry=False),
    )


@pytest.fixture(scope="module")
def chroma_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A `chroma run` of its own."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    program = Path(sys.executable).with_name("chroma")
    if not program.exists():
        pytest.skip("the program `chroma` is not installed beside Python")
    folder = tmp_path_factory.mktemp("chroma")
    command = [str(program), "run", "--path", str(folder), "--host", "127.0.0.1", "--port", str(port)]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as server:
        try:
            for _ in range(300):
                with socket.socket() as probe:
                    if probe.connect_ex(("127.0.0.1", port)) == 0:
                        break
                time.sleep(0.1)
            yield f"http://127.0.0.1:{port}"
        finally:
            server.terminate()


def settings_of(kind: str, tmp_path: Path, request: pytest.FixtureRequest) -> RagSettings:
    if kind.startswith("langchain"):
        pytest.importorskip("langchain_core" if "memory" in kind else "langchain_chroma")
        sys.modules.setdefault("stores_of_a_user", sys.modules[__name__])
        _SHELVES["folder"] = tmp_path / "langchain"
        factory = "in_memory" if "memory" in kind else "through_langchain_chroma"
        store: Any = {"langchain": f"stores_of_a_user:{factory}"}
    else:
        store = "chroma" if kind == "folder" else {"chroma_url": request.getfixturevalue("chroma_url")}
    return RagSettings.model_validate({"home": tmp_path, "store": store})


@pytest.fixture(params=["folder", "server", "langchain memory", "langchain chroma"])
def rag(request: pytest.FixtureRequest, tmp_path: Path) -> RagSettings:
    return settings_of(request.param, tmp_path, request)


def opened(rag: RagSettings, tmp_path: Path) -> Vectors:
    return open_store(rag, tmp_path / "vectors", collection_name(tmp_path.name.lower(), "m"), "m")


def some(count: int, seed: int = 0) -> np.ndarray:
    vectors = np.random.default_rng(seed).standard_normal((count, 16)).astype(np.float32)
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


def test_a_store_finds_replaces_and_removes(rag: RagSettings, tmp_path: Path) -> None:
    vectors, store = some(40), opened(rag, tmp_path)
    ids = list(range(100, 140))
    store.add(ids, vectors, [f"text {id}" for id in ids])
    assert store.held([99, 100, 139, 140]) == {100, 139}
    assert store.nearest(vectors[7], 3)[0][0] == 107
    best = np.argsort(-(vectors @ vectors[7]))[:5]
    assert [id for id, _ in store.nearest(vectors[7], 5)] == [ids[at] for at in best]
    store.add([107], vectors[:1] * -1, ["other"])
    assert store.nearest(-vectors[0], 1)[0][0] == 107
    store.remove([107, 108, 7])
    assert store.held([107, 108, 109]) == {109}
    store.remove([])
    store.close()


def test_a_library_works_over_each_store(rag: RagSettings, tmp_path: Path) -> None:
    docs = tmp_path / "docs"
    docs.mkdir()
    (docs / "a.txt").write_text("The winch holds forty tonnes.")
    (docs / "b.txt").write_text("The pump runs at three bar.")
    domain = "over-" + "".join(letter for letter in tmp_path.name.lower() if letter.isalnum())[-30:]
    with hashed_server.serving() as (server, url):
        both = rag.model_copy(update={"embed": type(rag.embed).model_validate({"model": "hashed", "url": url})})
        with Library.open(domain, both, write=True) as library:
            library.add(docs)
            found = library.search("winch forty tonnes", side="dense")
            assert found[0].document == "a.txt" and found[0].similarity == pytest.approx(
                float(np.dot(hashed_server.vector("winch forty tonnes"), hashed_server.vector("a.txt\nThe winch holds forty tonnes."))),
                abs=0.02,
            )
        made = server.texts
        with Library.open(domain, both, write=True) as library:
            (docs / "a.txt").unlink()
            library.sync()
            assert [one.document for one in library.search("winch forty tonnes", side="dense")] == ["b.txt"]
            assert server.texts == made + 2, "one for the dimensions, one for the query"


def test_a_server_that_is_not_there_is_told(tmp_path: Path) -> None:
    rag = RagSettings.model_validate({"home": tmp_path, "store": {"chroma_url": "http://127.0.0.1:9"}})
    with pytest.raises(StoreError, match="no Chroma server answers .* start `chroma run`, or change store in rag.yaml"):
        opened(rag, tmp_path)


def test_a_factory_that_is_not_there_is_told(tmp_path: Path) -> None:
    rag = RagSettings.model_validate({"home": tmp_path, "store": {"langchain": "no.such:thing"}})
    with pytest.raises(StoreError, match="store.langchain in rag.yaml is 'no.such:thing'"):
        opened(rag, tmp_path)


def test_a_damaged_folder_is_told(tmp_path: Path) -> None:
    rag = RagSettings.model_validate({"home": tmp_path})
    (tmp_path / "vectors").mkdir()
    (tmp_path / "vectors/chroma.sqlite3").write_bytes(b"no database" * 1000)
    with pytest.raises(StoreBroken, match="sdx rag reindex"):
        opened(rag, tmp_path)


def test_two_models_never_share_a_collection() -> None:
    assert len({collection_name("ship", "a"), collection_name("ship", "b"), collection_name("farm", "a")}) == 3
