import pytest

from sdx_domains.knowledge import FOLDER, domains, passage_files
from sdx_rag.document import Block, Unreadable
from sdx_rag.readers.limits import Limits
from sdx_rag.readers.passage_file import read_passages
from sdx_rag.readers.read import read


def test_one_passage_for_each_address_and_language() -> None:
    text = """title: Book
source: Company
rules:
  R1(a):
    en: {title: Speed, text: Go slowly.}
    ko: {title: 속력, text: 천천히 간다.}
  R2:
    source: Master
    en: {title: Watch, text: Look out.}
"""
    document = read_passages(text.encode(), "book.yaml", Limits())
    assert document.title == "Book"
    assert document.blocks == (
        Block("Go slowly.", "passage", address="R1(a)", title="Speed", source="Company"),
        Block("천천히 간다.", "passage", address="R1(a)", title="속력", source="Company"),
        Block("Look out.", "passage", address="R2", title="Watch", source="Master"),
    )
    assert read_passages(text.replace("title: Book\n", "").encode(), "night_orders.yaml", Limits()).title == "night orders"


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("source: s\n", "no `rules:`"),
        ("rules:\n  R1: {en: {title: t, text: x}}\n", "source: Field required"),
        ("source: s\nrules: {}\n", "rules"),
        ("source: s\nrules:\n  R1: {source: x}\n", "rules.R1 has neither `en` nor `ko`"),
        ("source: s\nrules:\n  R1: {en: {title: t, text: ''}}\n", "rules.R1.en.text"),
        ("source: s\nrules:\n  R1: {fr: {title: t, text: x}}\n", "rules.R1.fr"),
        ("source: s\nrules:\n  R1: {en: {title: t, text: 3}}\n", "given: 3"),
        ("source: s\nrules:\n  R1: {en: {title: t, text: x}}\n  R1: {en: {title: t, text: y}}\n", "'R1' is given twice"),
        ("source: !!python/object/apply:os.system [ls]\nrules: {}\n", "not YAML"),
        ("source: s\nrules: " + "[" * 3000, "levels deep"),
        ("a: &a [x,x]\nb: &b [*a,*a]\nrules: *b\n", "alias"),
    ],
)
def test_a_wrong_file_is_refused_with_its_field_and_value(text: str, reason: str) -> None:
    with pytest.raises(Unreadable) as refused:
        read_passages(text.encode(), "a.yaml", Limits())
    assert reason in str(refused.value)


def test_all_shipped_knowledge_is_read() -> None:
    shipped = [path for domain in domains() for path in passage_files(domain)]
    assert FOLDER / "ship/knowledge/colreg.yaml" in shipped
    for path in shipped:
        (document,) = read(path)
        languages = [any("가" <= letter <= "힣" for letter in block.text) for block in document.blocks]
        assert languages.count(True) == languages.count(False), path.name
