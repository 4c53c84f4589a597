"""A library as its users see it: what is added is found, what is deleted is not, and each error says what to do."""

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import hashed_server
import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, invariant, rule, run_state_machine_as_test

from sdx_rag.ingest import IndexMismatch
from sdx_rag.library import Library
from sdx_rag.settings import RagSettings

pytest.importorskip("chromadb")
pytest.importorskip("tantivy")
SHIP = Path(__file__).parents[2] / "domains/sdx_domains/ship/knowledge"


@pytest.fixture(scope="session")
def embedding() -> Iterator[tuple[hashed_server.Server, str]]:
    with hashed_server.serving() as served:
        yield served


@pytest.fixture
def rag(tmp_path: Path, embedding: tuple[hashed_server.Server, str]) -> RagSettings:
    return of(tmp_path / "home", embedding[1])


def of(home: Path, url: str, model: str = "hashed", **more: Any) -> RagSettings:
    return RagSettings.model_validate({"home": home, "embed": {"model": model, "url": url}, **more})


def words_only(home: Path) -> RagSettings:
    return RagSettings.model_validate({"home": home, "embed": {"model": "none"}})


@pytest.fixture
def docs(tmp_path: Path) -> Path:
    folder = tmp_path / "docs"
    (folder / "deck").mkdir(parents=True)
    (folder / "pump.md").write_text("# Bilge pump\n\nThe bilge pump runs at 3 bar.\n\n## Valve\n\nOpen the sea valve first.\n")
    (folder / "deck/winch.txt").write_text("The winch holds forty tonnes on the drum.\n")
    (folder / "닻.md").write_text("# 닻\n\n닻을 내릴 때에는 수심의 세 배 길이로 체인을 준다.\n")
    return folder


def names(library: Library, query: str, **how: Any) -> list[str]:
    return [found.document for found in library.search(query, **how)]


def test_what_is_added_is_found_with_its_place(rag: RagSettings, docs: Path) -> None:
    with Library.open("ship", rag, write=True) as library:
        report = library.add(docs)
        assert sorted(report.indexed) == ["deck/winch.txt", "pump.md", "닻.md"]
        found = library.search("sea valve")[0]
        assert (found.document, found.headings[-1], found.text) == ("pump.md", "Valve", "Open the sea valve first.")
        assert found.lexical and found.similarity and 0 < found.score <= 1
        assert names(library, "체인 길이")[0] == "닻.md"


def test_a_side_alone_searches_alone(rag: RagSettings, docs: Path) -> None:
    with Library.open("ship", rag, write=True) as library:
        library.add(docs)
        assert all(found.similarity is None for found in library.search("winch holds forty tonnes", side="lexical"))
        dense = library.search("winch holds forty tonnes", side="dense")
        assert dense[0].document == "deck/winch.txt" and all(found.lexical is None for found in dense)


def test_filters_still_fill_the_count(rag: RagSettings, tmp_path: Path) -> None:
    folder = tmp_path / "many"
    folder.mkdir()
    for number in range(120):
        (folder / f"{number:03}.txt").write_text(f"The pump of berth {number} runs at night.")
    (folder / "long.md").write_text("".join(f"# Part {part}\n\nA pump among others, part {part}.\n\n" for part in range(8)))
    (folder / "ko.txt").write_text("pump 펌프는 밤에 돌린다.")
    with Library.open("ship", rag, write=True) as library:
        library.add(folder)
        assert names(library, "pump runs", count=8, documents=["long.md"]) == ["long.md"] * 8
        assert names(library, "pump", count=3, language="ko") == ["ko.txt"]
        assert len(library.search("pump", count=100)) == 100


def test_sync_finds_changes_and_honours_deletions(rag: RagSettings, docs: Path) -> None:
    with Library.open("ship", rag, write=True) as library:
        library.add(docs)
        (docs / "pump.md").write_text("# Bilge pump\n\nThe bilge pump runs at 5 bar.\n\n## Valve\n\nOpen the sea valve first.\n")
        (docs / "deck/winch.txt").unlink()
        (docs / "new.txt").write_text("A new radar of the X band.")
        report = library.sync()
        assert (sorted(report.indexed), report.removed) == (["new.txt", "pump.md"], ("deck/winch.txt",))
        assert "deck/winch.txt" not in names(library, "winch holds forty tonnes", count=50)
        assert "5 bar" in library.search("bilge pump bar")[0].text
        assert library.sync().indexed == ()


def test_a_change_embeds_only_what_changed(rag: RagSettings, docs: Path, embedding: tuple[hashed_server.Server, str]) -> None:
    with Library.open("ship", rag, write=True) as library:
        library.add(docs)
        valve = library.search("sea valve first")[0].id
        before = embedding[0].texts
        (docs / "pump.md").write_text("# Bilge pump\n\nThe bilge pump runs at 5 bar.\n\n## Valve\n\nOpen the sea valve first.\n")
        assert library.sync().passages == 1
        assert embedding[0].texts - before == 1
        (docs / "pump.md").rename(docs / "renamed.md")
        library.sync()
        assert embedding[0].texts - before == 1, "the same words in another file have their vectors already"
        assert library.search("sea valve first", side="dense")[0].id > valve, "ids are never used again"


def test_removed_by_name_stays_away_until_it_is_added_by_name(rag: RagSettings, docs: Path) -> None:
    with Library.open("ship", rag, write=True) as library:
        library.add(docs)
        assert library.remove("pump.md").removed == ("pump.md",)
        assert library.sync().indexed == () and (docs / "pump.md").exists()
        assert library.add(docs / "pump.md").indexed == ("pump.md",)
        library.remove(str(docs))
        assert library.documents() == [] and library.sources() == [] and library.search("pump") == []
        with pytest.raises(KeyError, match="no document or source 'pump.md'"):
            library.remove("pump.md")


def test_a_source_that_is_away_keeps_its_documents(rag: RagSettings, docs: Path) -> None:
    with Library.open("ship", rag, write=True) as library:
        library.add(docs)
        docs.rename(docs.with_name("unmounted"))
        report = library.sync()
        assert not report.removed and "not there now" in report.failed[0][1]
        assert names(library, "winch holds forty tonnes")[0] == "deck/winch.txt"


def test_sources_within_sources_are_indexed_once(rag: RagSettings, docs: Path) -> None:
    with Library.open("ship", rag, write=True) as library:
        library.add(docs / "deck")
        assert [document.name for document in library.documents()] == ["winch.txt"]
        library.add(docs)
        assert [document.name for document in library.documents()] == ["deck/winch.txt", "pump.md", "닻.md"]
        assert library.add(docs / "deck").unchanged == ("deck/winch.txt",)
        assert len(library.sources()) == 1


def test_equal_names_are_told_apart_and_nobody_passes_for_what_is_shipped(rag: RagSettings, tmp_path: Path) -> None:
    for folder in ("a", "b", "c/b", "c/builtin"):
        (tmp_path / folder).mkdir(parents=True)
        (tmp_path / folder / "manual.txt").write_text(f"The manual of {folder}.")
    with Library.open("ship", rag, write=True) as library:
        for folder in ("a", "b", "c"):
            library.add(tmp_path / folder)
        assert [document.name for document in library.documents()] == [
            "b/manual.txt",
            "c/b/manual.txt",
            "c/builtin/manual.txt",
            "manual.txt",
        ]


def test_shipped_knowledge_is_indexed_once_and_again_when_it_changes(rag: RagSettings, tmp_path: Path) -> None:
    book = tmp_path / "colreg.yaml"
    book.write_bytes((SHIP / "colreg.yaml").read_bytes())
    said: list[str] = []
    with Library.open("ship", rag) as library:
        library.knowledge([book], [], said.append)
        library.knowledge([book], [], said.append)
        assert len(said) == 1
        assert "R15" in library.search("crossing, the other on the starboard side")[0].address
        assert library.search("crossing")[0].document == "builtin/colreg.yaml"
        book.write_text('source: "Ours"\nrules:\n  R99:\n    en: {title: "Kites", text: "No kites on deck."}\n')
        library.knowledge([book], [], said.append)
        assert [found.address for found in library.search("crossing kites", count=50)] == ["R99"]


def test_without_a_model_words_are_searched_and_it_is_told(tmp_path: Path, docs: Path, embedding: tuple[hashed_server.Server, str]) -> None:
    with Library.open("ship", words_only(tmp_path / "home"), write=True) as library:
        library.add(docs)
        assert names(library, "winch holds forty tonnes")[0] == "deck/winch.txt"
        assert "words alone" in library.notes()[0]
    with Library.open("ship", of(tmp_path / "home", embedding[1])) as library:
        assert "reindex" in library.notes()[0]
        assert library.search("winch holds forty tonnes", side="dense")[0].document == "deck/winch.txt"
        assert library.notes() == []


def test_another_model_is_refused_with_the_command_that_mends_it(
    tmp_path: Path, docs: Path, embedding: tuple[hashed_server.Server, str]
) -> None:
    url = embedding[1]
    with Library.open("ship", of(tmp_path / "home", url), write=True) as library:
        library.add(docs)
    docs.rename(docs.with_name("away"))
    with Library.open("ship", of(tmp_path / "home", url, "other"), write=True) as library:
        for work in (lambda: library.search("winch"), lambda: library.add(docs.with_name("away"))):
            with pytest.raises(IndexMismatch, match=r"sdx rag reindex --domain ship"):
                work()
        assert names(library, "winch holds forty tonnes", side="lexical")[0] == "deck/winch.txt"
        assert "sdx rag reindex" in library.notes()[0]
        assert library.reindex() == 4
        assert names(library, "winch holds forty tonnes", side="dense")[0] == "deck/winch.txt"


def test_a_damaged_index_is_made_anew_without_embedding(rag: RagSettings, docs: Path, embedding: tuple[hashed_server.Server, str]) -> None:
    with Library.open("ship", rag, write=True) as library:
        library.add(docs)
        folder = library.folder
    for path in [*folder.glob("words/*"), folder / "chroma/chroma.sqlite3"]:
        path.write_bytes(b"\x00garbage" * 10)
    with Library.open("ship", rag, write=True) as library:
        assert library.embedder, "the endpoint is asked once for its dimensions"
        before = embedding[0].texts
        (docs / "more.txt").write_text("One more.")
        library.sync()
        assert embedding[0].texts - before == 1
        assert (
            names(library, "winch holds forty tonnes", side="dense")[0]
            == names(library, "winch holds forty tonnes", side="lexical")[0]
            == "deck/winch.txt"
        )


def test_a_damaged_catalogue_is_told(rag: RagSettings, docs: Path) -> None:
    with Library.open("ship", rag, write=True) as library:
        library.add(docs)
        path = library.folder / "catalogue.sqlite"
    for extra in path.parent.glob("catalogue.sqlite-*"):
        extra.unlink()
    path.write_bytes(b"not a database at all" * 500)
    with pytest.raises(RuntimeError, match="catalogue.sqlite: damaged .* move .* away, then add the documents again"):
        Library.open("ship", rag)


def test_what_cannot_be_is_said(rag: RagSettings, tmp_path: Path, docs: Path) -> None:
    with pytest.raises(ValueError, match=r"domain '\.\./x'"):
        Library.open("../x", rag)
    with Library.open("ship", rag, write=True) as library:
        with pytest.raises(FileNotFoundError, match="there is no such file"):
            library.add(tmp_path / "nowhere")
        with pytest.raises(ValueError, match="count is 0"):
            library.search("x", count=0)
    with Library.open("ship", rag) as library, pytest.raises(PermissionError, match="opened for reading"):
        library.add(docs)


_READER = """
import sys
from sdx_rag.library import Library
from sdx_rag.settings import RagSettings
with Library.open("ship", RagSettings.model_validate_json(sys.argv[1])) as library:
    for line in sys.stdin:
        found = library.search(line.strip(), count=3, side="dense")
        print(" ".join(one.document for one in found), flush=True)
"""


def test_a_reader_in_another_process_sees_what_was_finished(rag: RagSettings, docs: Path) -> None:
    with Library.open("ship", rag, write=True) as library:
        library.add(docs)
        command = [sys.executable, "-c", _READER, rag.model_dump_json()]
        with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as reader:

            def ask(query: str) -> list[str]:
                assert reader.stdin and reader.stdout
                reader.stdin.write(query + "\n")
                reader.stdin.flush()
                return reader.stdout.readline().split()

            assert ask("winch holds forty tonnes")[0] == "deck/winch.txt"
            (docs / "radar.txt").write_text("radar scanner gearbox")
            (docs / "deck/winch.txt").unlink()
            library.sync()
            assert ask("radar scanner gearbox")[0] == "radar.txt"
            assert "deck/winch.txt" not in ask("winch holds forty tonnes")
            assert library.search("radar scanner gearbox", side="dense")[0].document == "radar.txt"
            assert reader.stdin
            reader.stdin.close()


def test_search_in_a_reader_opened_during_a_long_writing(rag: RagSettings, docs: Path) -> None:
    from sdx_rag.lock import held

    with Library.open("ship", rag, write=True) as library:
        library.add(docs)
        folder = library.folder
    with held(folder / "lock", 0), Library.open("ship", rag) as library:
        assert library.search("winch holds forty tonnes", side="dense")[0].document == "deck/winch.txt"
        assert "every vector is compared" in library.notes()[0]


class Folder(RuleBasedStateMachine):
    """Files come, change and go; whenever it is synced the library is what a fresh one would be."""

    files = Bundle("files")
    words = st.lists(st.sampled_from(["pump", "valve", "winch", "radar", "anchor", "펌프", "닻", "레이더"]), min_size=1, max_size=6).map(
        " ".join
    )

    def __init__(self) -> None:
        super().__init__()
        self.home = Path(os.environ["SDX_TEST_HOME"]) / str(time.monotonic_ns())
        self.folder = self.home / "docs"
        self.folder.mkdir(parents=True)
        (self.folder / "first.txt").write_text("pump")
        self.url = os.environ["SDX_TEST_URL"]
        self.library = Library.open("ship", of(self.home, self.url), write=True)
        self.library.add(self.folder)

    def teardown(self) -> None:
        self.library.close()

    @rule(target=files, name=st.sampled_from(["a.txt", "b.md", "c.md", "d.pdf"]), parts=st.lists(words, min_size=1, max_size=3))
    def put(self, name: str, parts: list[str]) -> str:
        (self.folder / name).write_text("\n\n".join(f"# {part}\n\n{part} again" for part in parts))
        return name

    @rule(name=files)
    def delete(self, name: str) -> None:
        (self.folder / name).unlink(missing_ok=True)

    @rule()
    def reopen(self) -> None:
        self.library.close()
        self.library = Library.open("ship", of(self.home, self.url), write=True)

    @rule()
    def sync(self) -> None:
        self.library.sync()
        with Library.open("fresh" + str(time.monotonic_ns()), of(self.home, self.url), write=True) as fresh:
            fresh.add(self.folder)
            assert seen(fresh) == seen(self.library)

    @invariant()
    def it_opens(self) -> None:
        assert self.library.documents()


def seen(library: Library) -> Any:
    """Everything that a user sees, but ids and BM25, which knows how often words stand in what was deleted."""
    found = [
        sorted((one.document, one.text, one.headings, round(one.similarity or 0, 4)) for one in library.search(query, count=200, side=side))
        for query in ("pump valve", "닻 레이더")
        for side in ("lexical", "dense")
    ]
    return [(one.name, one.title, one.chunks) for one in library.documents()], [(one.name, one.reason) for one in library.failures()], found


def test_any_sequence_of_changes_equals_a_fresh_index(
    tmp_path: Path, embedding: tuple[hashed_server.Server, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SDX_TEST_HOME", str(tmp_path))
    monkeypatch.setenv("SDX_TEST_URL", embedding[1])
    quick = settings(
        max_examples=8, stateful_step_count=12, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow], database=None
    )
    run_state_machine_as_test(Folder, settings=quick)
