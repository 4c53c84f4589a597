"""The index of words: what is found first, what is gone, and what a second writer, a killed writer and broken files come to."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sdx_rag.lexical import Lexical, LexicalBroken, LexicalBusy, clear, terms
from sdx_rag.passages import Chunk
from sdx_rag.words import query_tokens

CHUNKS = [
    Chunk("The stand-on vessel keeps her course and speed.", ("Action by the stand-on vessel",), "R17(a)(i)"),
    Chunk(
        "She may act once the other plainly does not; see Rule 15 and Rule 15 again, and Rule 15.",
        ("Action by the stand-on vessel",),
        "R17(a)(ii)",
    ),
    Chunk("The ship that has the other on her starboard side keeps clear.", ("Crossing situation",), "R15"),
    Chunk("피항선은 일찍, 크게 동작한다.", ("피항선의 동작",), "R16", "ko"),
    Chunk("Pumps stop at 0.5 bar. Pumps, pumps, pumps.", ("Pumps",), "4.2.1"),
    Chunk("A drain share of 25 % keeps the EC down.", (), "GC-1"),
]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    with Lexical(tmp_path / "words", write=True) as index:
        for id, chunk in enumerate(CHUNKS):
            index.add(id, *terms(chunk, "Manual"))
        index.commit()
    return tmp_path / "words"


@pytest.mark.parametrize(
    ("query", "first"),
    [
        ("Rule 17(a)(ii)", 1),
        ("What does Rule 15 ask of a vessel?", 2),  # its own passage, not the one that names it three times
        ("제15조", 2),
        ("피항선이 크게 동작하나?", 3),
        ("section 4.2", 4),
        ("4.2.1", 4),
        ("gc-1", 5),
        ("crossing", 2),  # only in its heading
        ("stand on vessels", 0),
    ],
)
def test_first_is_what_was_asked_for(folder: Path, query: str, first: int) -> None:
    assert Lexical(folder).search(query_tokens(query), 3)[0][0] == first


def test_a_weight_counts(folder: Path) -> None:
    index = Lexical(folder)
    assert index.search({"pump": 1.0, "starboard": 0.01}, 1)[0][0] == 4
    assert index.search({"pump": 0.01, "starboard": 1.0}, 1)[0][0] == 2


def test_nothing_asked_or_known_is_nothing_found(folder: Path) -> None:
    index = Lexical(folder)
    assert index.search([], 5) == index.search(["submarine"], 5) == index.search(["pump"], 0) == []


def test_frequencies_are_of_chunks(folder: Path) -> None:
    assert Lexical(folder).frequencies(["pump", "r15", "manual", "submarine"]) == {"pump": 1, "r15": 1, "manual": 6, "submarine": 0}


def test_scores_fall_and_count_is_kept(folder: Path) -> None:
    hits = Lexical(folder).search(["manual"], 4)
    assert len(hits) == 4
    assert [score for _, score in hits] == sorted((score for _, score in hits), reverse=True)


def test_removed_and_replaced(folder: Path) -> None:
    reader = Lexical(folder)
    with Lexical(folder, write=True) as index:
        index.remove([4, 999])
        index.add(5, ["pump"])
        index.commit()
        assert index.ids() == {0, 1, 2, 3, 5}
        assert [id for id, _ in index.search(["pump"], 5)] == [5]
        assert index.search(["drain"], 5) == []
    assert reader.ids() == set(range(6))  # as it was opened, until told
    reader.reload()
    assert reader.ids() == {0, 1, 2, 3, 5}


def test_what_is_not_committed_never_was(folder: Path) -> None:
    with Lexical(folder, write=True) as index:
        index.add(77, ["submarine"])
        index.remove([0])
    assert Lexical(folder).ids() == set(range(6))


def test_second_writer_is_told_who_writes(folder: Path) -> None:
    with Lexical(folder, write=True), pytest.raises(LexicalBusy, match=f"is being written by process {os.getpid()} since 20"):
        Lexical(folder, write=True)
    Lexical(folder, write=True).close()  # free again


WRITER = """
import sys
from pathlib import Path
from sdx_rag.lexical import Lexical
index = Lexical(Path(sys.argv[1]), write=True)
for batch in range(10_000):
    for id in range(batch * 10, batch * 10 + 10):
        index.add(id, ["word", f"w{id}"])
    index.commit()
    print(batch, flush=True)
"""


def test_a_killed_writer_leaves_whole_commits_and_no_lock(tmp_path: Path) -> None:
    process = subprocess.Popen([sys.executable, "-c", WRITER, str(tmp_path)], stdout=subprocess.PIPE, text=True)
    assert process.stdout
    for said in range(6):
        assert int(process.stdout.readline()) == said
    process.send_signal(signal.SIGKILL)
    process.communicate()
    with Lexical(tmp_path, write=True) as index:
        ids = index.ids()
        assert ids == set(range(len(ids)))
        assert len(ids) % 10 == 0
        assert len(ids) >= 60
        index.add(-1, ["word"])
        index.commit()
        assert len(index.search(["word"], 10_000)) == len(ids) + 1


@pytest.mark.parametrize("damage", ["", "x", None], ids=["empty", "other bytes", "missing"])
@pytest.mark.parametrize("kind", ["meta.json", "*.term", "*.idx", "*.fast", "version"])
def test_broken_files_are_told_and_can_be_built_anew(folder: Path, kind: str, damage: str | None) -> None:
    for path in folder.glob(kind):
        path.write_text(damage * path.stat().st_size) if damage is not None else path.unlink()
    with pytest.raises(LexicalBroken, match="words.*build it anew from the catalogue"):
        Lexical(folder)
    clear(folder)
    with Lexical(folder, write=True) as index:
        index.add(1, ["pump"])
        index.commit()
        assert index.ids() == {1}


def test_no_index_is_told(tmp_path: Path) -> None:
    with pytest.raises(LexicalBroken, match="of version none"):
        Lexical(tmp_path)


def test_a_folder_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(OSError, match="file"):
        Lexical(tmp_path / "file/words", write=True)


STEPS = st.lists(
    st.tuples(st.sampled_from(["add", "remove", "commit", "reopen"]), st.integers(0, 6), st.lists(st.sampled_from("abc"), max_size=3)),
    max_size=14,
)


@settings(max_examples=15, deadline=None)
@given(STEPS)
def test_any_steps_end_in_what_they_say(tmp_path_factory: pytest.TempPathFactory, steps: list[tuple[str, int, list[str]]]) -> None:
    folder = tmp_path_factory.mktemp("words")
    index, written, kept = Lexical(folder, write=True), dict[int, list[str]](), dict[int, list[str]]()
    for step, id, tokens in steps:
        match step:
            case "add":
                index.add(id, tokens)
                written[id] = tokens
            case "remove":
                index.remove([id])
                written.pop(id, None)
            case "commit":
                index.commit()
                kept = dict(written)
            case _:
                index.close()
                index, written = Lexical(folder, write=True), dict(kept)
    assert index.ids() == set(kept)
    assert {id for id, _ in index.search(["a"], 99)} == {id for id, tokens in kept.items() if "a" in tokens}
    index.close()
