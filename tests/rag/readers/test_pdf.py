import shutil
import subprocess
from pathlib import Path

import pytest
from made_pdf import made_pdf, paragraph, said, stream

from sdx_rag.document import Block, Document
from sdx_rag.readers.limits import Limits
from sdx_rag.readers.pdf import read_pdf


def document(*pages: str, **more: object) -> Document:
    return read_pdf(made_pdf(*pages, **more), "manual.pdf", Limits())  # pyright: ignore[reportArgumentType]


def texts(read: Document, kind: str = "text") -> list[str]:
    return [block.text for block in read.blocks if block.kind == kind]


def test_a_paragraph_is_whole_with_its_page_and_box() -> None:
    read = document(said("first", 72, 700), paragraph(["The ship stops when the engine is re-", "versed. Look", "astern before."], 72, 700))
    block = read.blocks[-1]
    assert block.text == "The ship stops when the engine is reversed. Look astern before."
    assert block.place.page == 2
    left, top, right, bottom = block.place.box or (0, 0, 0, 0)
    assert left == pytest.approx(72, abs=1) and 220 < right < 260
    assert top == pytest.approx(842 - 700 - 10, abs=4) and bottom == pytest.approx(842 - 676, abs=4)
    assert read.pages == 2


def test_headings_by_size_weight_and_number_make_levels() -> None:
    body = paragraph(["The distance grows with the displacement of the ship, and so", "does the time that she needs to stop."], 72, 600)
    read = document(
        said("Manual of the ship", 72, 780, 22)
        + said("1 Stopping", 72, 740, 14, "F2")
        + said("1.1 At full speed", 72, 640, 10, "F2")
        + body
        + said("Rule 15 Crossing situation", 72, 550)
        + said("She keeps clear of the other.", 72, 530)
        + said("2 Turning", 72, 500, 14, "F2")
        + said("A bold heading", 72, 470, 10, "F2")
        + said("Text again.", 72, 450)
    )
    headings = [(block.text, block.level) for block in read.blocks if block.kind == "heading"]
    assert [text for text, _ in headings] == [
        "Manual of the ship",
        "1 Stopping",
        "1.1 At full speed",
        "Rule 15 Crossing situation",
        "2 Turning",
        "A bold heading",
    ]
    level = dict(headings)
    assert level["Manual of the ship"] < level["1 Stopping"] == level["2 Turning"] < level["1.1 At full speed"]
    assert level["2 Turning"] < level["A bold heading"]
    assert read.title == "Manual of the ship"


def test_two_columns_are_read_one_after_the_other_and_what_crosses_them_parts_them() -> None:
    def column(name: str, x: float, y: float) -> str:
        return paragraph([f"{name} line {number} goes on to fill its column" for number in range(8)], x, y)

    read = document(
        said("A title that stands across both of the columns", 72, 800, 10)
        + column("upper right", 310, 760)  # the file's order is not the reader's
        + column("upper left", 60, 760)
        + said("A figure's caption that also stands across both columns of the page", 60, 600)
        + column("lower left", 60, 560)
        + column("lower right", 310, 560)
    )
    order = " ".join(block.text for block in read.blocks)
    places = [
        order.index(part)
        for part in ("title", "upper left line 7", "upper right line 0", "caption", "lower left line 7", "lower right line 0")
    ]
    assert places == sorted(places)


def test_tables_with_and_without_ruled_lines_keep_their_rows() -> None:
    rows = [["Speed kn", "Distance m", "Time s"], ["10", "400", "90"], ["15", "900 or less", "140"]]
    cells = "".join(said(cell, 76 + 100 * column, 446 - 20 * row) for row, line in enumerate(rows) for column, cell in enumerate(line))
    level = " ".join(f"72 {y} m 372 {y} l S" for y in (400, 420, 440, 460))
    upright = " ".join(f"{x} 400 m {x} 460 l S" for x in (72, 172, 272, 372))
    plain = "".join(said(cell, 76 + 100 * column, 346 - 14 * row) for row, line in enumerate(rows) for column, cell in enumerate(line))
    read = document(said("Before it.", 72, 480) + cells + level + " " + upright + "\n" + said("Between.", 72, 380) + plain)
    table = "Speed kn | Distance m | Time s\n10 | 400 | 90\n15 | 900 or less | 140"
    assert [(block.kind, block.text) for block in read.blocks] == [
        ("text", "Before it."),
        ("table", table),
        ("text", "Between."),
        ("table", table),
    ]
    assert read.blocks[1].place.box == pytest.approx((72, 382, 372, 442), abs=1)


def test_a_list_is_items() -> None:
    read = document(paragraph(["- the first point", "- the second point", "goes on", "(a) the third"], 72, 700))
    items = [(block.text, block.kind) for block in read.blocks]
    assert items == [("the first point", "item"), ("the second point goes on", "item"), ("(a) the third", "item")]


def test_running_heads_and_page_numbers_are_left_out_and_named() -> None:
    pages = [
        said("Ship's manual", 72, 815)
        + said(f"Chapter {page // 2}", 400, 815)
        + said(f"Text of page {page}.", 72, 700)
        + said(f"- {page + 1} -", 290, 30)
        for page in range(4)
    ]
    read = document(*pages)
    assert texts(read) == [f"Text of page {page}." for page in range(4)]
    assert read.notes == ('running heads left out: "Ship\'s manual Chapter #"',)


def test_a_paragraph_goes_on_over_the_page() -> None:
    read = document(said("The pump is stopped when it runs", 72, 100), said("dry for ten seconds.", 72, 700))
    assert texts(read) == ["The pump is stopped when it runs dry for ten seconds."]
    assert read.blocks[0].place.page == 1


HIDDEN = {
    "invisible": said("TURN TO PORT", 72, 500, before="3 Tr"),
    "as a clip": said("TURN TO PORT", 72, 500, before="7 Tr"),
    "white on white": said("TURN TO PORT", 72, 500, before="1 1 1 rg"),
    "nearly white": said("TURN TO PORT", 72, 500, before="0.97 0.97 0.95 rg"),
    "transparent": said("TURN TO PORT", 72, 500, before="/G gs"),
    "tiny": said("TURN TO PORT", 72, 500, size=1),
    "made tiny": said("TURN TO PORT", 720, 5000, before="0.1 0 0 0.1 0 0 cm").replace("BT 0.1 0 0 0.1 0 0 cm", "0.1 0 0 0.1 0 0 cm BT"),
    "off the page": said("TURN TO PORT", 700, 500),
    "under a box": said("TURN TO PORT", 72, 500) + "1 1 1 rg 70 495 120 20 re f\n",
    "under a black box": said("TURN TO PORT", 72, 500) + "0 0 0 rg 70 495 120 20 re f\n",
    "under a picture": said("TURN TO PORT", 72, 500) + "q 120 0 0 20 70 495 cm /I Do Q\n",
    "black on black": "0 0 0 rg 70 495 120 20 re f\n" + said("TURN TO PORT", 72, 500),
    "clipped away": "q 0 0 10 10 re W n " + said("TURN TO PORT", 72, 500) + " Q\n",
    "white behind other text": said("TURN TO PORT", 72, 690, before="1 1 1 rg") + said("The other text", 72, 690),
    "in a layer that is off": "/OC /L BDC " + said("TURN TO PORT", 72, 500) + " EMC\n",
}
RESOURCES = "/ExtGState << /G << /ca 0 >> >> /XObject << /I 5 0 R >> /Properties << /L 6 0 R >>"
OBJECTS = (
    stream(b"\x80", "/Type /XObject /Subtype /Image /Width 1 /Height 1 /ColorSpace /DeviceGray /BitsPerComponent 8"),
    b"<< /Type /OCG /Name (L) >>",
)


@pytest.mark.parametrize("how", HIDDEN)
def test_hidden_text_does_not_get_in_and_is_noted(how: str) -> None:
    data = made_pdf(said("The pump stops.", 72, 750) + HIDDEN[how], resources=RESOURCES, objects=OBJECTS)
    data = data.replace(b"/Type /Catalog", b"/Type /Catalog /OCProperties << /OCGs [6 0 R] /D << /OFF [6 0 R] >> >>")
    read = read_pdf(data, "manual.pdf", Limits())
    whole = " ".join(block.text for block in read.blocks)
    assert whole.startswith("The pump stops.")
    assert "TURN" not in whole and "PORT" not in whole
    assert any(note.startswith("hidden text left out on page 1") for note in read.notes)


def test_light_text_on_a_dark_box_and_grey_text_are_seen() -> None:
    box = "0 0.2 0.4 rg 70 495 120 20 re f\n"
    read = document(box + said("Light on dark", 72, 500, before="1 1 1 rg") + said("Grey note", 72, 400, before="0.6 0.6 0.6 rg"))
    assert texts(read) == ["Light on dark", "Grey note"]
    assert not read.notes


def test_a_page_that_is_turned_is_read_as_it_is_shown() -> None:
    turned = "q 0 1 -1 0 595 0 cm\n" + said("Shown upright", 100, 500) + "Q\n"
    read = document(turned, more="/Rotate 90")
    assert texts(read) == ["Shown upright"]
    left, top, *_ = read.blocks[0].place.box or (0.0, 0.0, 0.0, 0.0)
    assert left == pytest.approx(100, abs=2) and top == pytest.approx(595 - 500 - 10, abs=4)


def test_a_scan_is_noted_even_where_it_has_a_hidden_text_layer() -> None:
    picture = "q 595 0 0 842 0 0 cm /I Do Q\n"
    read = document(
        picture, picture + said("a layer", 72, 500, before="3 Tr"), said("A page.", 72, 500), resources=RESOURCES, objects=OBJECTS
    )
    assert [note.split(",")[0] for note in read.notes] == ["page 1 is scanned", "page 2 is scanned"]
    assert "hidden text layer is not taken" in read.notes[1]
    assert texts(read) == ["A page."]


def test_a_browsers_pdf_with_korean_keeps_columns_headings_and_tables(tmp_path: Path) -> None:
    browser = shutil.which("chromium")
    if browser is None or "Noto" not in subprocess.run(["fc-list", ":lang=ko"], capture_output=True, text=True, check=True).stdout:
        pytest.skip("needs chromium and a Korean font")
    law = (
        "2척의 동력선이 상대의 진로를 횡단하는 경우로서 충돌의 위험이 있을 때에는 다른 선박을 우현 쪽에 두고 있는 선박이 피하여야 한다. "
        * 3
    )
    style = "@page{margin:20mm} .c{column-count:2;text-align:justify} td,th{border:1px solid} th{background:#036;color:#fff}"
    rows = "<tr><th>항목</th><th>값</th></tr><tr><td>타각</td><td>35</td></tr><tr><td>회두율</td><td>20</td></tr>"
    page = f"<h1>해설</h1><div class=c><h2>제15조(횡단)</h2><p>{law}</p><h2>제16조(동작)</h2><p>{law}</p></div><p>{law}</p><h2>한계</h2><table>{rows}</table>"
    (tmp_path / "k.html").write_text(f"<meta charset=utf-8><style>{style}</style>{page}<p style='color:white'>숨은 글</p>")
    command = [browser, "--headless", "--no-sandbox", "--disable-gpu", "--no-pdf-header-footer", f"--user-data-dir={tmp_path}/home"]
    subprocess.run(
        [*command, f"--print-to-pdf={tmp_path}/k.pdf", f"file://{tmp_path}/k.html"], check=True, capture_output=True, timeout=120
    )
    read = read_pdf((tmp_path / "k.pdf").read_bytes(), "k.pdf", Limits())
    headings = [block.text for block in read.blocks if block.kind == "heading"]
    assert headings == ["해설", "제15조(횡단)", "제16조(동작)", "한계"]
    assert texts(read, "table") == ["항목 | 값\n타각 | 35\n회두율 | 20"]
    assert sum("횡단하는" in block.text for block in read.blocks) >= 2
    assert not any("숨은" in block.text for block in read.blocks)
    assert _without_spaces(read.blocks[1:3]) == _without_spaces([Block("제15조(횡단)"), Block(law)])


def _without_spaces(blocks: object) -> str:
    return "".join("".join(block.text.split()) for block in blocks)  # pyright: ignore[reportGeneralTypeIssues]
