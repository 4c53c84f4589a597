"""PDF: both languages, the Korean font inside, the warning on each page, the same bytes twice; valid inside DICOM."""

import re
import zlib
from base64 import a85decode

import numpy as np
import pytest

pytest.importorskip("reportlab")
pytest.importorskip("koreanize_matplotlib")

from sdx_domains.medicine.out import pdf


def pages(content: bytes) -> int:
    return len(re.findall(rb"/Type /Page\b", content))


def streams(content: bytes) -> list[bytes]:
    """Page contents, unpacked."""
    found = []
    for match in re.finditer(rb"/ASCII85Decode /FlateDecode \][^>]*>>\s*stream\r?\n(.*?)endstream", content, re.DOTALL):
        found.append(zlib.decompress(a85decode(match[1].strip().removesuffix(b"~>"))))
    return found


def test_both_languages_with_an_embedded_korean_font(made_up, results, tmp_path):
    content = pdf.write(made_up.series(), results("draft"), tmp_path / "r.pdf").read_bytes()
    assert content.startswith(b"%PDF") and pages(content) >= 2
    assert b"NanumGothic" in content and content.count(b"/FontFile2") >= 2
    assert (tmp_path / "r.pdf").stat().st_mode & 0o777 == 0o600


def test_every_page_has_two_banners_red_for_a_draft_green_when_signed(made_up, results):
    for status, colour in (("draft", b".627451 .094118 .094118 rg"), ("signed", b".113725 .360784 .184314 rg")):
        content = pdf.content(made_up.series(), results(status))
        drawn = [stream for stream in streams(content) if b" re" in stream and b"BT" in stream]
        assert len(drawn) == pages(content)
        assert all(stream.count(b" re f") >= 2 and colour in stream for stream in drawn)


def test_the_warning_says_what_it_must(results):
    assert pdf.warning_line(results("draft"), "en").startswith("AI DRAFT: not verified")
    assert "의료기기가 아님" in pdf.warning_line(results("in_review"), "ko")
    final = pdf.warning_line(results("signed"), "en")
    assert "PARK JIWON" in final and "2026-03-04" in final and "not a medical device" in final and "AI DRAFT" not in final


def test_identity_only_where_there_is_one(made_up):
    from sdx_domains.medicine.out.images import pseudonymous

    assert "PID-77" in pdf._whose(made_up.series())
    outside = pdf._whose(pseudonymous(made_up.series()))
    assert not any(secret in outside for secret in made_up.SECRETS) and "2.25.11" in outside


def test_the_same_results_give_the_same_bytes(made_up, results):
    assert pdf.content(made_up.series(), results("draft")) == pdf.content(made_up.series(), results("draft"))


def test_markup_in_words_stays_words(made_up, results):
    said = made_up.statements(made_up.picture())
    hostile = (said[0].model_copy(update={"note": "<b>bold</b> <img src='file:///etc/passwd'/> & <para>"}), *said[1:])
    assert pages(pdf.content(made_up.series(), results("draft", said=hostile))) >= 2


def test_the_key_image_boxes_the_lesion_on_the_patients_side(made_up, results):
    shown = pdf.key_image(made_up.series().volume, results("draft").stated[0])
    boxed = np.argwhere((shown == (255, 200, 0)).all(axis=2))
    rows, columns = boxed.min(axis=0), boxed.max(axis=0)
    assert (rows[0], columns[0]) == (10, 15) and (rows[1], columns[1]) == (6, 11)


def test_encapsulated_it_is_valid_and_whole(made_up, results, errors, tmp_path):
    from pydicom import dcmread

    for status, flag in (("draft", "UNVERIFIED"), ("signed", "VERIFIED")):
        path = pdf.write_dicom(made_up.series(), results(status), tmp_path / f"{status}.dcm")
        made = dcmread(path)
        assert made.VerificationFlag == flag and made.PatientID == "PID-77"
        assert made.EncapsulatedDocument[: made.EncapsulatedDocumentLength] == pdf.content(made_up.series(), results(status))
        assert errors(path) == []
