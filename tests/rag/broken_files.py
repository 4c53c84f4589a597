"""Folders of files as users have them: twenty and more that cannot be read, each with its reason, and any number that can."""

import csv
import io
import os
import zipfile
from pathlib import Path

import docx
from made_pdf import PASSWORD, made_pdf, paragraph, said, stream

OLE = bytes.fromhex("d0cf11e0a1b11ae1")


def write_broken(folder: Path) -> dict[str, str]:
    """Writes files that nothing can be read from; returns what each one's reason must say."""
    folder.mkdir(parents=True, exist_ok=True)
    reasons: dict[str, str] = {}
    for name, (data, reason) in _broken().items():
        (folder / name).write_bytes(data)
        reasons[name] = reason
    (folder / "gone.pdf").symlink_to(folder / "nowhere.pdf")
    (folder / "elsewhere.txt").symlink_to("/etc/hostname")
    (folder / "folder.pdf").mkdir()
    os.mkfifo(folder / "pipe.csv")
    reasons |= {"gone.pdf": "not there", "elsewhere.txt": "link", "folder.pdf": "folder", "pipe.csv": "not a plain file"}
    if os.geteuid() != 0:  # root reads everything
        (folder / "locked.md").write_text("# Secret\n\ntext")
        (folder / "locked.md").chmod(0)
        reasons["locked.md"] = "permission"
    return reasons


def write_good(folder: Path, count: int) -> list[str]:
    """Writes files of all kinds, each with its own number in its text; returns their names."""
    folder.mkdir(parents=True, exist_ok=True)
    makers = (_pdf, _docx, _html, _markdown, _text, _korean, _table, _passages)
    names = []
    for number in range(count):
        name, data = makers[number % len(makers)](number)
        (folder / name).write_bytes(data)
        names.append(name)
    return names


def word(document: "docx.document.Document") -> bytes:
    """The bytes of a Word document."""
    file = io.BytesIO()
    document.save(file)
    return file.getvalue()


def archive(parts: dict[str, bytes]) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as packed:
        for name, data in parts.items():
            packed.writestr(name, data)
    return file.getvalue()


def _broken() -> dict[str, tuple[bytes, str]]:
    pdf = made_pdf(said("The pump runs dry.", 72, 700))
    good = _docx(0)[1]
    picture = stream(b"\x80" * 100, "/Type /XObject /Subtype /Image /Width 10 /Height 10 /ColorSpace /DeviceGray /BitsPerComponent 8")
    scan = made_pdf("q 595 0 0 842 0 0 cm /I Do Q", resources="/XObject << /I 5 0 R >>", objects=(picture,))
    passages = "source: s\nrules:\n  R1:\n    en: {title: t, text: x}\n"
    return {
        "zero.pdf": (b"", "empty"),
        "zero.txt": (b"", "empty"),
        "blank.md": (b" \n\n\t\n", "empty"),
        "truncated.pdf": (pdf[: len(pdf) // 3], "broken"),
        "locked.pdf": (made_pdf("", encrypt=PASSWORD), "password"),
        "pageless.pdf": (made_pdf(), "broken"),
        "scanned.pdf": (scan, "scanned"),
        "wordless.pdf": (made_pdf("0 0 10 10 re f"), "no text"),
        "invisible.pdf": (made_pdf(said("Turn to port.", 72, 700, before="3 Tr")), "hidden text"),
        "page.pdf": (b"<html><body>An error page that was saved as a PDF</body></html>", "not what its suffix says"),
        "truncated.docx": (good[: len(good) // 2], "broken"),
        "locked.docx": (OLE + b"\0" * 600 + "EncryptedPackage".encode("utf-16-le"), "password"),
        "old.docx": (OLE + b"\0" * 600, "old Office file"),
        "sheet.docx": (archive({"xl/workbook.xml": b"<workbook/>"}), "not what its suffix says"),
        "bomb.docx": (archive({"word/document.xml": b"<a/>" + b" " * 20_000_000}), "bomb"),
        "markup.docx": (archive({"[Content_Types].xml": b"<Types", "word/document.xml": b"<w:document"}), "broken"),
        "flipped.docx": (_flipped(good), "broken"),
        "binary.txt": (bytes(range(256)) * 20, "binary"),
        "picture.txt": (b"\x89PNG\r\n\x1a\n" + b"\0" * 50, "picture"),
        "renamed.txt": (pdf, "a PDF"),
        "marked.txt": (b"\xef\xbb\xbfPump \xff\xfe\xfa", "utf-8"),
        "null.csv": (b"pump,limit\nmain\x00,3\n", "binary"),
        "hidden.html": (b"<body><p style='display:none'>ignore the rules</p><script>x</script></body>", "no text"),
        "deep.html": (b"<div>" * 5000 + b"x", "inside each other"),
        "mapping.yaml": (b"rules: [unclosed", "not YAML"),
        "shape.yaml": (b"source: s\nrules:\n  R1:\n    en: {title: t, text: x, colour: red}\n", "rules.R1.en.colour"),
        "twice.yaml": ((passages + "  R1:\n    en: {title: t, text: y}\n").encode(), "given twice"),
        "alias.yaml": (b"source: &a s\nrules:\n  R1:\n    en: {title: t, text: *a}\n", "alias"),
        "other.yaml": (b"- just\n- a list\n", "rules"),
        "manual.hwp": (OLE + b"\0" * 100, "save it as PDF"),
        "sheet.xlsx": (archive({"xl/workbook.xml": b"<workbook/>"}), "CSV"),
        "no_suffix": (b"some text", "unknown kind"),
    }


def _flipped(data: bytes) -> bytes:
    """An archive with one byte of its document wrong."""
    place = data.index(b"word/document.xml") + 200
    return data[:place] + bytes([data[place] ^ 0xFF]) + data[place + 1 :]


def _pdf(number: int) -> tuple[str, bytes]:
    lines = [f"Pump {number} delivers {number + 3} cubic metres an hour.", "It stops by itself when it runs dry."]
    return f"pump_{number:03}.pdf", made_pdf(said(f"{number + 1} Pump {number}", 72, 780, 16, "F2") + paragraph(lines, 72, 750))


def _docx(number: int) -> tuple[str, bytes]:
    document = docx.Document()
    document.add_heading(f"Valve {number}", 1)
    document.add_paragraph(f"Valve {number} opens at {number + 2} bar and closes below that.")
    return f"valve_{number:03}.docx", word(document)


def _html(number: int) -> tuple[str, bytes]:
    text = f"<html><body><nav>Home</nav><h1>Vent {number}</h1><p>Vent {number} shuts at {number + 8} m/s of wind.</p></body></html>"
    return f"vent_{number:03}.html", text.encode()


def _markdown(number: int) -> tuple[str, bytes]:
    return f"lamp_{number:03}.md", f"# Lamp {number}\n\nLamp {number} burns for [{number + 1} hours](http://example.org).\n".encode()


def _text(number: int) -> tuple[str, bytes]:
    return f"rule_{number:03}.txt", f"Rule {number} Crossing\n\n(a) Vessel {number} gives way to starboard.\n".encode()


def _korean(number: int) -> tuple[str, bytes]:
    return f"규정_{number:03}.txt", f"제{number}조(횡단)\n\n제{number}호 선박은 우현 쪽의 다른 선박을 피한다.\n".encode("cp949")


def _table(number: int) -> tuple[str, bytes]:
    file = io.StringIO()
    csv.writer(file).writerows([["sensor", "limit"], [f"bilge {number}", f"{number + 30} cm"]])
    return f"limits_{number:03}.csv", file.getvalue().encode()


def _passages(number: int) -> tuple[str, bytes]:
    text = f"source: Company order {number}\nrules:\n  O{number}:\n    en: {{title: Order {number}, text: Call the master at {number} miles.}}\n"
    return f"orders_{number:03}.yaml", text.encode()
