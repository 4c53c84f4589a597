"""The report as PDF, English and Korean, with key images; and as encapsulated PDF in DICOM. Start at write().

Every page carries the warning at its head and foot: "AI draft, not verified" until a radiologist has signed, then who signed and when.
"""

from collections.abc import Sequence
from functools import cache
from html import escape
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from sdx_domains.contract import Language
from sdx_domains.medicine.labels import label
from sdx_domains.medicine.out.instances import (
    PRODUCT,
    WARNING,
    codes,
    equipment,
    identify,
    made_uid,
    needs_dicom,
    save,
    whole,
)
from sdx_domains.medicine.out.results import Results
from sdx_domains.medicine.picture import Statement
from sdx_domains.medicine.report import Report
from sdx_domains.medicine.volume import Series, Volume

if TYPE_CHECKING:
    from pydicom.dataset import Dataset
    from reportlab.platypus import Flowable

FONT, BOLD = "NanumGothic", "NanumGothic-Bold"
SERIES_NUMBER = 9003
MOST_IMAGES = 6
"""Key images of the most urgent findings; the rest is in the SR."""
IMAGE_MM = 56.0
WINDOWS = {"lungs": (-600.0, 1500.0), "pleura": (40.0, 400.0), "": (40.0, 400.0)}
"""(level, width) in HU by region of the report: lung window, else mediastinum."""
TITLES: dict[Language, dict[str, str]] = {
    "en": {"title": "Chest CT report", "technique": "Technique", "comparison": "Comparison", "findings": "Findings", "impression": "Impression",
           "recommendations": "Recommendations", "warnings": "Limits", "images": "Key images", "addendum": "Addendum", "statement": "About this report",
           "draft": "AI DRAFT: not verified by a radiologist. Research use, not a medical device.",
           "final": "Verified by {signer}, {organisation}, {at}. Research use, not a medical device. Drafted by AI.", "page": "page {page}"},
    "ko": {"title": "흉부 CT 판독문", "technique": "검사 방법", "comparison": "비교 검사", "findings": "소견", "impression": "결론",
           "recommendations": "권고", "warnings": "제한점", "images": "주요 영상", "addendum": "추가기록", "statement": "이 판독문에 대하여",
           "draft": "AI 초안: 영상의학과 의사가 확인하지 않음. 연구용이며 의료기기가 아님.",
           "final": "{organisation} {signer} 확인, {at}. 연구용이며 의료기기가 아님. AI가 초안을 작성함.", "page": "{page}쪽"},
}  # fmt: skip


def write(series: Series, results: Results, path: Path) -> Path:
    """The PDF at this path, whole or not at all: each language from a new page."""
    return whole(path, content(series, results))


def write_dicom(series: Series, results: Results, path: Path) -> Path:
    """The same PDF in DICOM. ValueError: the study came without DICOM instances."""
    return save(encapsulated(series, results), path)


def content(series: Series, results: Results) -> bytes:
    """The PDF's bytes; the same results give the same bytes."""
    from reportlab.lib.pagesizes import A4
    from reportlab.lib.units import mm
    from reportlab.platypus import BaseDocTemplate, Frame, NextPageTemplate, PageBreak, PageTemplate

    _fonts()
    buffer = BytesIO()
    document = BaseDocTemplate(
        buffer, pagesize=A4, title=f"{PRODUCT}: {'report' if results.final else 'AI draft'}", author=PRODUCT, invariant=1
    )
    frame = Frame(18 * mm, 20 * mm, A4[0] - 36 * mm, A4[1] - 44 * mm, id="body")
    languages = list(results.reports)
    document.addPageTemplates(
        [PageTemplate(id=language, frames=[frame], onPage=_banner(results, language, _whose(series))) for language in languages]
    )
    story: list[Any] = []
    for language in languages:
        story += [NextPageTemplate(language), PageBreak()] if story else []
        story += _story(series, results, results.reports[language])
    document.build(story)
    return buffer.getvalue()


@cache
def _fonts() -> None:
    """NanumGothic (SIL OFL) is embedded: a reader's machine may have no Korean font. RuntimeError says what to install."""
    from importlib.util import find_spec

    from reportlab.pdfbase.pdfmetrics import registerFont, registerFontFamily
    from reportlab.pdfbase.ttfonts import TTFont

    found = find_spec("koreanize_matplotlib")
    if found is None or found.origin is None:
        raise RuntimeError("the Korean font is missing: pip install 'sdx[medicine]'")
    folder = Path(found.origin).parent / "fonts"
    registerFont(TTFont(FONT, folder / "NanumGothic.ttf"))
    registerFont(TTFont(BOLD, folder / "NanumGothicBold.ttf"))
    registerFontFamily(FONT, normal=FONT, bold=BOLD, italic=FONT, boldItalic=BOLD)


def _whose(series: Series) -> str:
    """Patient and study as two identifiers on every page; the pseudonym where there is no identity."""
    header = series.header
    if header is None or header.get("PatientIdentityRemoved") == "YES":
        return f"Study {series.facts.study_uid}"
    told = [
        ("", "PatientName"),
        ("ID ", "PatientID"),
        ("born ", "PatientBirthDate"),
        ("study of ", "StudyDate"),
        ("no. ", "AccessionNumber"),
    ]
    return ", ".join(f"{word}{str(header.get(name)).replace('^', ' ').replace('=', ' ')}" for word, name in told if header.get(name))


def warning_line(results: Results, language: Language) -> str:
    """What the head of every page says."""
    signature = results.signature
    if not results.final or signature is None:
        return TITLES[language]["draft"]
    at = signature.at.strftime("%Y-%m-%d %H:%M %z")
    return TITLES[language]["final"].format(signer=signature.signer.replace("^", " "), organisation=signature.organisation, at=at)


def _banner(results: Results, language: Language, whose: str) -> Any:
    """Draws the warning, red for a draft, at the head and foot of a page, and whose report it is."""
    from reportlab.lib.colors import HexColor
    from reportlab.lib.units import mm

    def draw(canvas: Any, document: Any) -> None:
        width, height = document.pagesize
        canvas.saveState()
        canvas.setFillColor(HexColor("#1d5c2f" if results.final else "#a01818"))
        for y in (height - 14 * mm, 8 * mm):
            canvas.rect(12 * mm, y, width - 24 * mm, 7 * mm, stroke=0, fill=1)
        canvas.setFillColor(HexColor("#ffffff"))
        canvas.setFont(BOLD, 8.5)
        for y in (height - 11.6 * mm, 10.4 * mm):
            canvas.drawCentredString(width / 2, y, warning_line(results, language))
        canvas.setFillColor(HexColor("#333333"))
        canvas.setFont(FONT, 7.5)
        canvas.drawString(18 * mm, height - 18 * mm, whose)
        canvas.drawRightString(width - 18 * mm, height - 18 * mm, TITLES[language]["page"].format(page=canvas.getPageNumber()))
        canvas.restoreState()

    return draw


def _story(series: Series, results: Results, report: Report) -> list["Flowable"]:
    """One language's report from title to statement."""
    from reportlab.platypus import Paragraph, Spacer

    words, styles = TITLES[report.language], _styles()
    parts: list[tuple[str, list[str]]] = [
        ("addendum", [escape(text) for text in results.addenda]),
        ("impression", [f"{n}. {'<b>' if line.urgency == 'critical' else ''}{escape(line.text)}{'</b>' if line.urgency == 'critical' else ''}" for n, line in enumerate(report.impression, 1)]),
        ("recommendations", [f"{escape(each.rule)}: {escape(each.text)}" for each in report.recommendations]),
        ("findings", [f"<b>{escape(each.heading)}</b>: {escape(' '.join(s.text for s in each.sentences))}" for each in report.sections]),
        ("technique", [escape(report.technique)]),
        ("comparison", [escape(report.comparison)]),
        ("warnings", [escape(text) for text in report.warnings]),
    ]  # fmt: skip
    story: list[Any] = [Paragraph(words["title"], styles["title"])]
    for name, lines in parts:
        if lines:
            story.append(Paragraph(words[name], styles["head"]))
            story += [Paragraph(line, styles["body"]) for line in lines]
    if shown := _key_images(series, results, report.language):
        story += [Paragraph(words["images"], styles["head"]), shown]
    return [*story, Spacer(1, 8), Paragraph(words["statement"], styles["head"]), Paragraph(escape(report.statement), styles["body"])]


@cache
def _styles() -> dict[str, Any]:
    from reportlab.lib.styles import ParagraphStyle

    body = ParagraphStyle("body", fontName=FONT, fontSize=9, leading=13, wordWrap="CJK", spaceAfter=2)
    return {
        "body": body,
        "small": ParagraphStyle("small", parent=body, fontSize=7, leading=9),
        "head": ParagraphStyle("head", parent=body, fontName=BOLD, fontSize=10, leading=14, spaceBefore=6, keepWithNext=1),
        "title": ParagraphStyle("title", parent=body, fontName=BOLD, fontSize=14, leading=20),
    }


def _key_images(series: Series, results: Results, language: Language) -> Any:
    """A table of marked key slices, the most urgent findings first; None when nothing is stated."""
    from reportlab.lib.units import mm
    from reportlab.platypus import Image, Paragraph, Table

    order = ("critical", "urgent", "routine")
    shown = sorted(
        results.stated, key=lambda each: (order.index(label(each.finding.label).urgency), each.present != "yes", each.finding.id)
    )
    cells: list[list[Any]] = []
    for each in shown[:MOST_IMAGES]:
        picture = key_image(series.volume, each)
        height = IMAGE_MM * picture.shape[0] * series.volume.spacing_mm[1] / (picture.shape[1] * series.volume.spacing_mm[2])
        kind = label(each.finding.label)
        name = f"{each.finding.id} {kind.ko if language == 'ko' else kind.name}, {each.finding.slices.key + 1}/{series.facts.slices}"
        cells.append([Image(BytesIO(_png(picture)), IMAGE_MM * mm, height * mm), Paragraph(escape(name), _styles()["small"])])
    rows = [cells[start : start + 3] for start in range(0, len(cells), 3)]
    return Table([row + [""] * (3 - len(row)) for row in rows], colWidths=[(IMAGE_MM + 2) * mm] * 3, hAlign="LEFT") if rows else None


def key_image(volume: Volume, statement: Statement) -> NDArray[np.uint8]:
    """(rows, columns, 3) key slice in the window of its region, the patient's right on the left, the finding boxed, letters R and L."""
    finding = statement.finding
    level, width = WINDOWS.get(label(finding.label).region, WINDOWS[""])
    plane = volume.hu[finding.slices.key].astype(np.float32)
    grey = np.clip((plane - level + width / 2) / width * 255.0, 0.0, 255.0).astype(np.uint8)
    shown = np.repeat(grey[:, :, None], 3, axis=2)
    if finding.size is not None or finding.zone != "diffuse":
        x0, y0, z0, x1, y1, z1 = finding.bbox_lps_mm
        _, top, left = volume.index((x0, y0, z0))
        _, bottom, right = volume.index((x1, y1, z1))
        thick = max(1, shown.shape[0] // 170)  # to be seen when the page shows the image at half its size
        box = np.zeros(plane.shape, bool)
        box[max(top - thick + 1, 0) : bottom + thick, max(left - thick + 1, 0) : right + thick] = True
        box[top + 1 : bottom, left + 1 : right] = False
        shown[box] = (255, 200, 0)
    return _lettered(shown)


def _lettered(shown: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """R on the left edge, L on the right: a picture must never be read the wrong way round."""
    from PIL import Image, ImageDraw, ImageFont

    rows, columns, _ = shown.shape
    size = max(10, rows // 18)
    picture, font = Image.fromarray(shown), ImageFont.load_default(size)
    draw = ImageDraw.Draw(picture)
    draw.text((2, rows // 2 - size // 2), "R", fill=(255, 255, 255), font=font)
    draw.text((columns - size, rows // 2 - size // 2), "L", fill=(255, 255, 255), font=font)
    return np.asarray(picture)


def _png(picture: NDArray[np.uint8]) -> bytes:
    from PIL import Image

    buffer = BytesIO()
    Image.fromarray(picture).save(buffer, "PNG")
    return buffer.getvalue()


def encapsulated(series: Series, results: Results) -> "Dataset":
    """Encapsulated PDF (PS3.3 A.45.1) as a pydicom Dataset."""
    from pydicom.dataset import Dataset, FileMetaDataset
    from pydicom.uid import EncapsulatedPDFStorage, ExplicitVRLittleEndian

    header = needs_dicom(series)
    study, made = str(header.StudyInstanceUID), Dataset()
    made.file_meta = FileMetaDataset()
    made.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    made.SOPClassUID, made.SOPInstanceUID = EncapsulatedPDFStorage, made_uid("PDF", study, results.content)
    made.SeriesInstanceUID, made.SeriesNumber, made.InstanceNumber = made_uid("PDF series", study), SERIES_NUMBER, 1
    made.Modality, made.ConversionType, made.BurnedInAnnotation = "DOC", "WSD", "YES"
    made.SeriesDescription = f"{PRODUCT} {'report' if results.final else 'AI DRAFT, not verified'}"
    about = equipment(results.made_by)
    made.Manufacturer, made.ManufacturerModelName = about["manufacturer"], about["manufacturer_model_name"]
    made.SoftwareVersions, made.DeviceSerialNumber = about["software_versions"], about["device_serial_number"]
    made.AcquisitionDateTime = ""
    made.DocumentTitle = f"Chest CT {'report' if results.final else f'draft. {WARNING}, not verified'}"
    value, scheme, meaning = codes()["fixed"]["procedure"]
    title = Dataset()
    title.CodeValue, title.CodingSchemeDesignator, title.CodeMeaning = value, scheme, meaning
    made.ConceptNameCodeSequence = [title]
    made.VerificationFlag = "VERIFIED" if results.final else "UNVERIFIED"
    made.MIMETypeOfEncapsulatedDocument = "application/pdf"
    pages = content(series, results)
    made.EncapsulatedDocumentLength = len(pages)
    made.EncapsulatedDocument = pages + b"\0" * (len(pages) % 2)
    made.SourceInstanceSequence = [_source(series, key) for key in _keys(results.stated)] or [_source(series, series.facts.slices // 2)]
    identify(made, header, results.made)
    return made


def _keys(stated: Sequence[Statement]) -> list[int]:
    return sorted({each.finding.slices.key for each in stated})


def _source(series: Series, index: int) -> "Dataset":
    from pydicom.dataset import Dataset

    item = Dataset()
    item.ReferencedSOPClassUID, item.ReferencedSOPInstanceUID = series.header.SOPClassUID, series.sop_uids[index]
    return item
