import docx
import pytest
from broken_files import word
from docx.oxml import OxmlElement, parse_xml
from docx.oxml.ns import nsdecls, qn
from docx.shared import Pt, RGBColor

from sdx_rag.document import Document
from sdx_rag.readers.limits import Limits
from sdx_rag.readers.word import read_docx


def read(document: "docx.document.Document") -> Document:
    return read_docx(word(document), "manual.docx", Limits())


def blocks(document: "docx.document.Document") -> list[tuple[str, int, str]]:
    return [(block.kind, block.level, block.text) for block in read(document).blocks]


def numbered(document: "docx.document.Document", levels: list[tuple[str, str]]) -> str:
    """Adds a list to the document whose levels have these forms and texts; its number."""
    numbering = document.part.numbering_part.element
    inner = "".join(
        f'<w:lvl w:ilvl="{place}"><w:start w:val="1"/><w:numFmt w:val="{form}"/><w:lvlText w:val="{text}"/></w:lvl>'
        for place, (form, text) in enumerate(levels)
    )
    numbering.insert(0, parse_xml(f'<w:abstractNum {nsdecls("w")} w:abstractNumId="77">{inner}</w:abstractNum>'))
    numbering.append(parse_xml(f'<w:num {nsdecls("w")} w:numId="77"><w:abstractNumId w:val="77"/></w:num>'))
    return "77"


def put(document: "docx.document.Document", text: str, number: str, level: int) -> None:
    properties = document.add_paragraph(text)._p.get_or_add_pPr()
    properties.append(parse_xml(f'<w:numPr {nsdecls("w")}><w:ilvl w:val="{level}"/><w:numId w:val="{number}"/></w:numPr>'))


def test_headings_paragraphs_lists_and_tables_come_in_order() -> None:
    document = docx.Document()
    document.add_heading("Manual of the ship", 0)
    document.add_heading("Stopping", 1)
    document.add_paragraph("She stops in eleven lengths.")
    document.add_heading("At full speed", 2)
    document.add_paragraph("first", "List Bullet")
    table = document.add_table(2, 3)
    for place, cell in enumerate(["Speed", "Distance", "Time", "10", "400"]):
        table.cell(place // 3, place % 3).text = cell
    assert blocks(document) == [
        ("heading", 1, "Manual of the ship"),
        ("heading", 2, "Stopping"),
        ("text", 0, "She stops in eleven lengths."),
        ("heading", 3, "At full speed"),
        ("item", 1, "first"),
        ("table", 0, "Speed | Distance | Time\n10 | 400 | "),
    ]
    assert read(document).title == "Manual of the ship"


def test_list_numbers_are_counted_as_word_counts_them() -> None:
    document = docx.Document()
    number = numbered(document, [("decimal", "Rule %1"), ("lowerLetter", "(%2)"), ("lowerRoman", "(%3)"), ("decimal", "%1.%4")])
    for text, level in [("a", 0), ("b", 1), ("c", 1), ("d", 2), ("e", 2), ("f", 1), ("g", 0), ("h", 1), ("i", 3)]:
        put(document, text, number, level)
    assert [block.text for block in read(document).blocks] == [
        "Rule 1 a",
        "(a) b",
        "(b) c",
        "(i) d",
        "(ii) e",
        "(c) f",
        "Rule 2 g",
        "(a) h",
        "2.1 i",
    ]


def test_what_is_deleted_moved_or_only_a_fields_code_is_left_out() -> None:
    document = docx.Document()
    paragraph = document.add_paragraph("The limit is ")._p
    run = '<w:r><w:delText xml:space="preserve">ten</w:delText></w:r>'
    for part in (
        f"<w:del {nsdecls('w')}>{run}</w:del>",
        f"<w:ins {nsdecls('w')}><w:r><w:t>five</w:t></w:r></w:ins>",
        f"<w:moveFrom {nsdecls('w')}><w:r><w:t>moved</w:t></w:r></w:moveFrom>",
        f"<w:r {nsdecls('w')}><w:instrText>HYPERLINK evil</w:instrText></w:r>",
        f'<w:hyperlink {nsdecls("w")}><w:r><w:t xml:space="preserve"> bar</w:t></w:r></w:hyperlink>',
    ):
        paragraph.append(parse_xml(part))
    assert blocks(document) == [("text", 0, "The limit is five bar")]


def test_hidden_text_does_not_get_in_and_is_noted() -> None:
    document = docx.Document()
    paragraph = document.add_paragraph("Keep clear. ")
    paragraph.add_run("vanished").font.hidden = True
    paragraph.add_run("tiny").font.size = Pt(1)
    paragraph.add_run("white").font.color.rgb = RGBColor(255, 255, 255)
    style = document.styles.add_style("Unseen", 2)
    style.font.hidden = True
    paragraph.add_run("by its style", style="Unseen")
    assert blocks(document) == [("text", 0, "Keep clear.")]
    assert read(document).notes == ("hidden text left out in 4 places",)


def test_white_text_in_a_dark_cell_is_seen() -> None:
    document = docx.Document()
    cell = document.add_table(1, 2).cell(0, 0)
    cell.paragraphs[0].add_run("Speed").font.color.rgb = RGBColor(255, 255, 255)
    cell._tc.get_or_add_tcPr().append(parse_xml(f'<w:shd {nsdecls("w")} w:val="clear" w:fill="003366"/>'))
    assert "Speed" in read(document).blocks[0].text


def test_heads_and_feet_are_left_out_and_text_boxes_read_once() -> None:
    document = docx.Document()
    document.sections[0].header.paragraphs[0].text = "running head"
    box = "<w:txbxContent><w:p><w:r><w:t>In the box.</w:t></w:r></w:p></w:txbxContent>"
    document.add_paragraph("Beside it.")._p.append(
        parse_xml(
            f'<w:r {nsdecls("w")} xmlns:mc="http://schemas.openxmlformats.org/markup-compatibility/2006"><mc:AlternateContent>'
            f'<mc:Choice Requires="wps">{box}</mc:Choice><mc:Fallback>{box}</mc:Fallback></mc:AlternateContent></w:r>'
        )
    )
    assert blocks(document) == [("text", 0, "Beside it."), ("text", 0, "In the box.")]


def test_cells_that_span_columns_keep_the_others_in_place() -> None:
    document = docx.Document()
    table = document.add_table(2, 3)
    table.cell(0, 0).merge(table.cell(0, 1)).text = "wide"
    for place in range(3):
        table.cell(1, place).text = str(place)
    table.cell(0, 2).text = "last"
    assert blocks(document) == [("table", 0, "wide |  | last\n0 | 1 | 2")]


def test_footnotes_are_noted() -> None:
    document = docx.Document()
    run = document.add_paragraph("A claim").add_run()
    mark = OxmlElement("w:footnoteReference")
    mark.set(qn("w:id"), "2")
    run._r.append(mark)
    assert read(document).notes == ("footnotes are not read",)


@pytest.mark.parametrize("name", ["제목 1", "heading 1"])
def test_a_style_that_is_based_on_a_heading_is_one(name: str) -> None:
    document = docx.Document()
    style = document.styles.add_style("Own", 1)
    style.base_style = document.styles["Heading 1"]
    document.styles["Heading 1"].element.find(qn("w:name")).set(qn("w:val"), name)
    document.add_paragraph("A heading", "Own")
    assert blocks(document) == [("heading", 1, "A heading")]


def test_rows_inside_a_content_control_are_kept() -> None:
    document = docx.Document()
    table = document.add_table(2, 2)
    for place in range(4):
        table.cell(place // 2, place % 2).text = str(place)
    row = table.rows[1]._tr
    control = parse_xml(f"<w:sdt {nsdecls('w')}><w:sdtContent/></w:sdt>")
    row.addprevious(control)
    control[0].append(row)
    assert blocks(document) == [("table", 0, "0 | 1\n2 | 3")]
