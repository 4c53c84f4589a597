import io
import shutil
import subprocess
from pathlib import Path

import pytest
from made_pdf import made_pdf
from PIL import Image, ImageDraw, ImageFont

from sdx_rag.document import Unreadable
from sdx_rag.readers.limits import Limits
from sdx_rag.readers.pdf import read_pdf


def scan(*lines: str, font: ImageFont.FreeTypeFont | ImageFont.ImageFont | None = None) -> bytes:
    """A PDF whose page is a picture of a text."""
    picture = Image.new("L", (1200, 1700), 255)
    for place, line in enumerate(lines):
        ImageDraw.Draw(picture).text((150, 300 + 70 * place), line, font=font or ImageFont.load_default(48), fill=0)
    jpeg = io.BytesIO()
    picture.save(jpeg, "JPEG")
    image = "/Type /XObject /Subtype /Image /Width 1200 /Height 1700 /ColorSpace /DeviceGray /BitsPerComponent 8"
    data = jpeg.getvalue()
    part = f"<< {image} /Filter /DCTDecode /Length {len(data)} >>\nstream\n".encode() + data + b"\nendstream"
    return made_pdf("q 595 0 0 842 0 0 cm /I Do Q", resources="/XObject << /I 5 0 R >>", objects=(part,))


def test_without_ocr_a_scan_is_only_noted() -> None:
    read = read_pdf(scan("The pump stops."), "scan.pdf", Limits())
    assert not read.blocks and "OCR reads it" in read.notes[0]


def test_without_tesseract_ocr_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    with pytest.raises(Unreadable, match="apt install tesseract-ocr"):
        read_pdf(scan("The pump stops."), "scan.pdf", Limits(), ocr=True)


@pytest.mark.skipif(shutil.which("tesseract") is None, reason="tesseract is not installed")
def test_a_scan_is_read_with_its_place() -> None:
    read = read_pdf(scan("The pump stops at 30 bar."), "scan.pdf", Limits(), ocr=True)
    assert "The pump stops at 30 bar." in read.blocks[0].text
    left, top, _, _ = read.blocks[0].place.box or (0.0, 0.0, 0.0, 0.0)
    assert left == pytest.approx(150 * 595 / 1200, abs=6) and top == pytest.approx(300 * 842 / 1700, abs=14)
    assert "read by OCR" in read.notes[0]


@pytest.mark.skipif(shutil.which("tesseract") is None, reason="tesseract is not installed")
def test_korean_is_read_where_its_data_are_installed() -> None:
    known = subprocess.run(["tesseract", "--list-langs"], capture_output=True, text=True, check=True).stdout.split()
    fonts = sorted(Path("/usr/share/fonts").rglob("NotoSansCJK-Regular.ttc"))
    if "kor" not in known or not fonts:
        pytest.skip("needs tesseract's Korean data and a Korean font")
    lines = ["우현 쪽의 다른 선박을 피하여야 한다.", "The ship keeps clear."]
    read = read_pdf(scan(*lines, font=ImageFont.truetype(fonts[0], 36, index=1)), "scan.pdf", Limits(), ocr=True)
    assert " ".join(block.text for block in read.blocks) == " ".join(lines)
