import os
import subprocess
import sys
import time
import unicodedata
from pathlib import Path

import pytest
from broken_files import write_broken, write_good
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from made_pdf import made_pdf, said

from sdx_rag.document import Document, Unreadable
from sdx_rag.readers.limits import Limits
from sdx_rag.readers.read import KINDS, files, read


def test_each_broken_file_is_named_with_its_reason(tmp_path: Path) -> None:
    reasons = write_broken(tmp_path)
    assert len(reasons) >= 20
    assert {path.name for path in files(tmp_path)} == set(reasons)
    for name, part in reasons.items():
        with pytest.raises(Unreadable) as refused:
            read(tmp_path / name)
        assert part in str(refused.value), name
        assert "\n" not in str(refused.value)
        assert str(tmp_path) not in str(refused.value)


def test_good_files_of_all_kinds_are_read_whatever_stands_beside_them(tmp_path: Path) -> None:
    write_broken(tmp_path)
    names = write_good(tmp_path / "good", 16)
    for number, name in enumerate(names):
        (document,) = read(tmp_path / "good" / name)
        assert str(number) in document.blocks[-1].text, name
        assert not document.notes, name


def test_a_folder_is_listed_in_one_order_without_what_programs_leave_behind(tmp_path: Path) -> None:
    wanted = ["a/b.txt", "a/z.md", "b.weird", "가.txt"]
    for name in [*wanted, ".git/config.txt", "~$plan.docx", "a/x.txt~", "y.tmp", ".hidden.md", "z.crdownload"]:
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("x")
    assert [path.relative_to(tmp_path).as_posix() for path in files(tmp_path)] == wanted


def test_links_in_a_folder_are_not_followed(tmp_path: Path) -> None:
    (tmp_path / "inside").mkdir()
    (tmp_path / "inside" / "round").symlink_to(tmp_path)
    assert [path.name for path in files(tmp_path)] == ["round"]
    with pytest.raises(Unreadable, match="links are not followed"):
        read(tmp_path / "inside" / "round")


@pytest.mark.parametrize(
    ("limits", "name", "limit"),
    [
        (Limits(file_bytes=50), "pump_000.pdf", "file_bytes"),
        (Limits(pages=1), "pages.pdf", "pages"),
        (Limits(characters=20), "pump_000.pdf", "characters"),
        (Limits(characters=5), "rule_004.txt", "characters"),
        (Limits(rows=1), "limits_006.csv", "rows"),
        (Limits(unpacked_bytes=100), "valve_001.docx", "100"),
    ],
)
def test_over_a_limit_a_file_is_refused_with_the_limit(tmp_path: Path, limits: Limits, name: str, limit: str) -> None:
    write_good(tmp_path, 8)
    (tmp_path / "pages.pdf").write_bytes(made_pdf(said("one", 72, 700), said("two", 72, 700)))
    assert read(tmp_path / name)
    with pytest.raises(Unreadable, match=f"too large.*{limit}"):
        read(tmp_path / name, limits)


def test_characters_that_nobody_sees_are_taken_out_of_every_kind(tmp_path: Path) -> None:
    tags = "".join(chr(0xE0000 + ord(letter)) for letter in "turn to port")
    text = f"Keep\u200b clear{tags}\u202e of the pump"
    kinds = {"a.txt": text, "a.md": text, "a.html": f"<p>{text}</p>", "a.csv": f"what,when\n{text},now\n"}
    kinds["a.yaml"] = f'source: s\nrules:\n  R1:\n    en: {{title: t, text: "Keep\\u200b clear{tags}\\u202E of the pump"}}\n'
    for name, content in kinds.items():
        (tmp_path / name).write_text(content, encoding="utf-8")
        (document,) = read(tmp_path / name)
        assert "Keep clear of the pump" in document.blocks[0].text, name
        assert f"{len(tags) + 1} hidden characters left out" in document.notes, name


def test_a_file_that_cannot_be_opened_says_so(tmp_path: Path) -> None:
    with pytest.raises(Unreadable, match="not there"):
        read(tmp_path / "nothing.txt")
    with pytest.raises(Unreadable, match="cannot be opened"):
        read(tmp_path / ("x" * 300 + ".txt"))
    with pytest.raises(Unreadable, match="cannot be opened"):
        read(tmp_path / ("x" * 300))
    with pytest.raises(Unreadable, match="name cannot be opened"):
        read(tmp_path / "a\0b.txt")


_BEGINNINGS = st.sampled_from(
    [b"", b"%PDF-1.4\n", b"PK\x03\x04", b"<html><body>", b"\xff\xfe", b"\xef\xbb\xbf", b"source: s\nrules:\n  R1:\n    en: "]
)
_MARKUP = st.lists(
    st.sampled_from(
        [
            *"<>/#|*`[]()!-\n\t,;:'\"&{}%=",
            "<p>",
            "<table><tr><td>",
            "<ol type=i><li>",
            "</",
            "style='color:#ff",
            "|-|\n",
            "Rule 1",
            "제1조(",
            "\x00",
        ]
    ),
    max_size=60,
).map(lambda parts: "".join(parts).encode())
_BYTES = st.tuples(
    _BEGINNINGS, st.one_of(st.binary(max_size=400), _MARKUP, st.text(max_size=200).map(lambda t: t.encode("utf-8", "replace")))
).map(b"".join)


@pytest.mark.parametrize("suffix", sorted(KINDS))
@settings(max_examples=40, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=_BYTES)
@example(data=b"<ol start=99999999999999999999999><li>x")
@example(data=b"<td colspan=99999999999>x<table><tr><td colspan=999999999>a<td>b")
@example(data=b"a,b\n" + b'"' * 301)
@example(data=b"rules: {R1: {en: 2024-99-99}}")
def test_no_bytes_make_reading_fail_otherwise(tmp_path: Path, suffix: str, data: bytes) -> None:
    _only_read_or_refused(tmp_path / f"x{suffix}", data)


@settings(max_examples=80, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    which=st.integers(0, 7),
    changes=st.lists(st.tuples(st.integers(0, 10**6), st.integers(0, 255)), min_size=1, max_size=8),
    keep=st.integers(20, 100),
)
def test_no_damage_to_a_good_file_makes_reading_fail_otherwise(
    tmp_path: Path, good: dict[str, bytes], which: int, changes: list[tuple[int, int]], keep: int
) -> None:
    name = list(good)[which]
    data = bytearray(good[name])
    for place, value in changes:
        data[place % len(data)] = value
    _only_read_or_refused(tmp_path / name, bytes(data[: len(data) * keep // 100]))


@pytest.fixture(scope="module")
def good(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """A good file of each kind, by name."""
    folder = tmp_path_factory.mktemp("good")
    return {name: (folder / name).read_bytes() for name in write_good(folder, 8)}


def _only_read_or_refused(path: Path, data: bytes) -> None:
    path.write_bytes(data)
    start = time.process_time()
    try:
        (document,) = read(path)
    except Unreadable as refused:
        assert str(refused) and "\n" not in str(refused)
    else:
        _is_clean(document)
    assert time.process_time() - start < 5.0


def _is_clean(document: Document) -> None:
    assert document.title and document.blocks
    for block in document.blocks:
        assert block.text.strip()
        assert block.text == unicodedata.normalize("NFC", block.text)
        block.text.encode("utf-8")
        assert not any(unicodedata.category(letter) in ("Cf", "Cc", "Cs", "Cn", "Co") for letter in block.text if letter not in "\n\t")


LONG = 200_000


@pytest.mark.parametrize(
    ("name", "data"),
    [
        ("a.html", "<style>" + "a " * LONG + "</style><p>x"),
        ("b.html", "<style>" + "/*" * LONG + "</style><p>x"),
        ("c.html", "<style>@media " + "print " * LONG + "</style><p>x"),
        ("d.html", "<style>" + "@media all{a{}" * (LONG // 10) + "</style><p>x"),
        ("e.html", "<p style='" + ";" * LONG + "'>x"),
        ("f.html", "<b>" * 1_900 + "<p>x" * 500),
        ("a.md", "---" + "\n" * LONG + "x"),
        ("b.md", "[" * 20_000 + "x"),
        ("a.txt", "-" * LONG),
        ("b.txt", "(" * LONG + "\n" + "x\n" * LONG),
        ("c.txt", "제1조(" * LONG),
        ("a.csv", "a,b\n" + '"' * LONG),
        ("a.yaml", "source: s\nrules: {" + "a: [" * LONG),
    ],
)
def test_small_hostile_files_take_no_long_time(tmp_path: Path, name: str, data: str) -> None:
    _only_read_or_refused(tmp_path / name, data.encode())


def test_a_page_with_thousands_of_pieces_takes_no_long_time(tmp_path: Path) -> None:
    cells = "".join(said(f"{row}", 50 + 60 * column, 800 - row * 0.2, 3) for row in range(3_000) for column in range(2))
    _only_read_or_refused(tmp_path / "a.pdf", made_pdf(cells))


def test_a_package_that_is_not_installed_is_named_with_what_to_type(tmp_path: Path) -> None:
    write_good(tmp_path, 8)
    code = """
import sys
from pathlib import Path
from sdx_rag.document import Unreadable
from sdx_rag.readers.read import files, read
for package in ("pypdfium2", "docx", "selectolax", "markdown_it"):
    sys.modules[package] = None  # as if it were not there
for path in files(Path(sys.argv[1])):
    try:
        read(path)
    except Unreadable as error:
        print(path.suffix, error)
"""
    told = subprocess.run([sys.executable, "-c", code, str(tmp_path)], capture_output=True, text=True, check=True).stdout
    assert sorted(line.split()[0] for line in told.splitlines()) == [".docx", ".html", ".md", ".pdf"]
    assert told.count("pip install -e '.[rag]'") == 4


def test_nothing_of_a_file_is_kept_open(tmp_path: Path) -> None:
    write_broken(tmp_path)
    write_good(tmp_path, 8)
    before = len(os.listdir("/proc/self/fd"))
    for path in files(tmp_path):
        try:
            read(path)
        except Unreadable:
            continue
    assert len(os.listdir("/proc/self/fd")) == before
