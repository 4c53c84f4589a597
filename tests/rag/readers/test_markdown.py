from sdx_rag.document import Document
from sdx_rag.readers.limits import Limits
from sdx_rag.readers.markdown import read_markdown


def page(text: str) -> Document:
    return read_markdown(text.encode(), "page.md", Limits())


def test_structure_is_kept_and_markup_is_not() -> None:
    text = "---\ntitle: front\n---\n# Rule 15\n\nKeep *well* clear, `see` below.\n\n## Table\n\n| a | b |\n|---|---|\n| 1 | 2 |\n\n* one\n* two\n\n1. x\n"
    assert [(block.kind, block.level, block.text) for block in page(text).blocks] == [
        ("heading", 1, "Rule 15"),
        ("text", 0, "Keep well clear, see below."),
        ("heading", 2, "Table"),
        ("table", 0, "a | b\n1 | 2"),
        ("item", 1, "one"),
        ("item", 1, "two"),
        ("item", 1, "1. x"),
    ]
    assert page(text).title == "Rule 15"


def test_links_keep_their_words_and_images_their_description() -> None:
    text = "See [the rule](http://evil.example/?q=secret 'title') and ![a chart](http://evil.example/x.png)\n\n[ref]: http://evil.example\n"
    (block,) = page(text).blocks
    assert block.text == "See the rule and a chart"


def test_markup_inside_counts_as_markup() -> None:
    text = "Keep clear. <span style='display:none'>TURN</span> <!-- TURN -->\n\n<div hidden>\n\nTURN\n\n</div>\n\n<script>TURN</script>\n\n[//]: # (TURN)\n"
    read = page(text)
    assert [block.text for block in read.blocks] == ["Keep clear."]
    assert read.notes == ("hidden text left out in 2 places",)
