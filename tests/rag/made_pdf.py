"""PDFs made by hand, so that a test says exactly what stands in them."""

import zlib

PAGE = (595.0, 842.0)
PASSWORD = "/Filter /Standard /V 1 /R 2 /Length 40 /P -4 /O <" + "41" * 32 + "> /U <" + "42" * 32 + ">"


def made_pdf(*contents: str, more: str = "", resources: str = "", encrypt: str = "", objects: tuple[bytes, ...] = ()) -> bytes:
    """A PDF with a page for each content stream; fonts F1 (Helvetica) and F2 (its bold).

    `more` goes into each page's dictionary, `resources` into its resources; `objects` are numbered from 5.
    """
    fixed = 4 + len(objects)
    kids = " ".join(f"{fixed + 1 + 2 * page} 0 R" for page in range(len(contents)))
    fonts = "<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica%s /Encoding /WinAnsiEncoding >>"
    parts = [
        b"<< /Type /Catalog /Pages 2 0 R >>",
        f"<< /Type /Pages /Kids [{kids}] /Count {len(contents)} >>".encode(),
        (fonts % "").encode(),
        (fonts % "-Bold").encode(),
        *objects,
    ]
    for page, content in enumerate(contents):
        used = f"/Resources << /Font << /F1 3 0 R /F2 4 0 R >> {resources} >>"
        box = f"/MediaBox [0 0 {PAGE[0]:g} {PAGE[1]:g}]"
        parts.append(f"<< /Type /Page /Parent 2 0 R {box} {used} /Contents {fixed + 2 + 2 * page} 0 R {more} >>".encode())
        parts.append(stream(content.encode("cp1252")))
    body, places = b"%PDF-1.7\n", []
    for number, part in enumerate(parts, 1):
        places.append(len(body))
        body += b"%d 0 obj\n%s\nendobj\n" % (number, part)
    table = b"xref\n0 %d\n0000000000 65535 f \n" % (len(parts) + 1) + b"".join(b"%010d 00000 n \n" % place for place in places)
    secret = f"/Encrypt << {encrypt} >> /ID [<41> <41>]" if encrypt else ""
    return body + table + f"trailer << /Size {len(parts) + 1} /Root 1 0 R {secret} >>\nstartxref\n{len(body)}\n%%EOF\n".encode()


def stream(data: bytes, about: str = "") -> bytes:
    """A stream object, packed."""
    packed = zlib.compress(data)
    return f"<< /Length {len(packed)} /Filter /FlateDecode {about} >>\nstream\n".encode() + packed + b"\nendstream"


def said(text: str, x: float, y: float, size: float = 10.0, font: str = "F1", before: str = "") -> str:
    """A line of text with its left end at (x, y) from the bottom left corner; `before` are operators such as "3 Tr"."""
    escaped = text.replace("\\", "\\\\").replace("(", "\\(").replace(")", "\\)")
    return f"q BT {before} /{font} {size:g} Tf {x:g} {y:g} Td ({escaped}) Tj ET Q\n"


def paragraph(lines: list[str], x: float, y: float, size: float = 10.0, pitch: float = 12.0) -> str:
    """Lines below each other."""
    return "".join(said(line, x, y - pitch * place, size) for place, line in enumerate(lines))
