"""Planted-identity trial: people who do not exist are hidden in DICOM tags, private tags, UIDs, dates, sequences and text; whoever is still
there after de-identification is counted. Start at privacy_trial().
"""

import random
import re
import tempfile
import time
from collections import Counter
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from io import BytesIO
from pathlib import Path
from typing import Any

import yaml

from sdx_domains.contract import Measuring
from sdx_domains.medicine.privacy.deidentify import deidentify
from sdx_domains.medicine.privacy.identity import words_of
from sdx_domains.medicine.privacy.profile import profile
from sdx_domains.medicine.privacy.quiet import unchecked
from sdx_domains.medicine.privacy.text import scrub
from sdx_domains.medicine.privacy.vault import Vault

COUNT = 200
TEXT_VRS = ("LO", "SH", "ST", "LT", "UT", "UC", "PN", "AE", "CS")
LIMITS = {"AE": 16, "SH": 16, "CS": 16, "LO": 64, "PN": 64}
"""Characters of a value, PS3.5 table 6.2-1."""
CHARSETS = ("utf-8", "euc_kr", "utf-16-le")


@dataclass(frozen=True, slots=True)
class Planted:
    """One thing that must not survive."""

    kind: str
    """Where it was put: listed, unlisted, private, sequence, uid, date, descriptor, text, ..."""
    needle: str


@dataclass(frozen=True, slots=True)
class Person:
    """Nobody: every value is drawn."""

    latin: str
    hangul: str
    number: str
    resident: str
    phone: str
    mail: str
    passport: str
    hospital: str
    doctor_latin: str
    doctor_hangul: str
    birth: str
    day: str

    def needles(self) -> tuple[str, ...]:
        family, given = self.latin.split("^")
        return (
            *(f"{family}^{given}", f"{given} {family}", f"{family} {given}", self.hangul, self.number, self.resident, self.phone),
            *(self.mail, self.passport, self.hospital, self.doctor_latin, self.doctor_hangul),
        )


def privacy_trial(asked: Measuring) -> dict[str, Any]:
    """Plant, de-identify, count. `survived` is the bar: it must be 0.

    Also counts what free text lost that it should have kept: figures of findings, which identify nobody.
    """
    counted, survived, lost, figures = Counter[str](), Counter[str](), 0, 0
    started, count = time.process_time(), asked.count or COUNT
    with tempfile.TemporaryDirectory() as folder:
        vault = Vault(Path(folder) / "vault")
        for number in range(count):
            draw = random.Random(asked.seed * 1_000_003 + number)
            with unchecked():
                dataset, planted = plant(draw)
            written = written_bytes(deidentify(dataset, vault, dates=draw.choice(("shift", "remove")), pixels="remove"))
            text, in_text, kept = planted_text(draw, dataset)
            cleaned = scrub(text, words_of(dataset))
            for each in planted:
                counted[each.kind] += 1
                survived[each.kind] += _in(each.needle, written)
            for each in in_text:
                counted[each.kind] += 1
                survived[each.kind] += _in(each.needle, cleaned.encode())
            figures, lost = figures + len(kept), lost + sum(figure not in cleaned for figure in kept)
            if (number + 1) % 50 == 0:
                asked.say(f"{number + 1} of {count}: {sum(counted.values())} planted, {sum(survived.values())} survived")
    total, left = sum(counted.values()), sum(survived.values())
    return {
        "seed": asked.seed,
        "datasets": count,
        "planted": total,
        "survived": left,
        "removed_pct": round(100 * (total - left) / total, 4) if total else 100.0,
        "by_kind": {kind: {"planted": counted[kind], "survived": survived[kind]} for kind in sorted(counted)},
        "figures_in_text": figures,
        "figures_lost": lost,
        "cpu_s": round(time.process_time() - started, 2),
    }


def person(draw: random.Random) -> Person:
    """Names from made-up syllables beside common ones, so that no list of names could know them all."""
    table = _table()
    family, given = draw.choice(table["families"]), "".join(draw.sample(table["syllables"], 2)).capitalize()
    korean = draw.choice(table["korean_families"]) + "".join(draw.sample(table["korean_syllables"], 2))
    letters = re.sub("[^A-Za-z]", "", family)
    birth = f"{draw.randint(1925, 2004)}{draw.randint(1, 12):02d}{draw.randint(1, 28):02d}"
    return Person(
        latin=f"{family}^{given}",
        hangul=korean,
        number="".join(draw.choices("0123456789", k=draw.choice((8, 9)))),
        resident=resident_number(draw, birth),
        phone=draw.choice(("010-{}-{}", "02-{}-{}", "+82 10 {} {}", "031-{}-{}")).format(
            draw.randint(2000, 9999), draw.randint(1000, 9999)
        ),
        mail=f"{given.lower()}.{draw.randint(10, 99)}@{letters.lower()}-mail.org",
        passport=draw.choice("MSR") + "".join(draw.choices("0123456789", k=8)),
        hospital=f"{draw.choice(table['korean_places'])}{draw.choice(('대학교병원', '병원', '의료원'))}",
        doctor_latin=f"{draw.choice(table['families'])}{''.join(draw.sample(table['syllables'], 2))}",
        doctor_hangul=draw.choice(table["korean_families"]) + "".join(draw.sample(table["korean_syllables"], 2)),
        birth=birth,
        day=f"20{draw.randint(15, 25)}{draw.randint(1, 12):02d}{draw.randint(1, 28):02d}",
    )


def resident_number(draw: random.Random, birth: str) -> str:
    """yymmdd-abcdefg: half with the check digit of before October 2020, half without; with and without the hyphen."""
    sex = draw.choice("12" if birth < "2000" else "34")
    digits = birth[2:] + sex + "".join(draw.choices("0123456789", k=5))
    weights = (2, 3, 4, 5, 6, 7, 8, 9, 2, 3, 4, 5)
    right = (11 - sum(int(digit) * weight for digit, weight in zip(digits, weights, strict=True)) % 11) % 10
    last = right if draw.random() < 0.5 else draw.randint(0, 9)
    return f"{digits[:6]}{draw.choice(('-', '-', ''))}{digits[6:]}{last}"


def plant(draw: random.Random) -> tuple[Any, tuple[Planted, ...]]:
    """A CT instance in which a drawn person is hidden everywhere, and the list of what was hidden where."""
    who, dataset, planted = person(draw), _plain(draw), list[Planted]()
    _plant_identity(draw, dataset, who, planted)
    _plant_tags(draw, dataset, who, planted)
    _plant_private(draw, dataset, who, planted)
    _plant_nested(draw, dataset, who, planted)
    for keyword in ("StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID", "FrameOfReferenceUID", "IrradiationEventUID"):
        uid = f"1.3.12.2.1107.5.1.4.{draw.randint(10_000, 99_999)}.{draw.randint(10**17, 10**18)}"
        setattr(dataset, keyword, uid)
        planted.append(Planted("uid", uid))
    for keyword in ("StudyDescription", "SeriesDescription", "ProtocolName"):
        needle = draw.choice(who.needles())
        setattr(dataset, keyword, f"Chest CT {needle} B40f 5.0mm")
        planted.append(Planted("descriptor", needle))
    return dataset, tuple(planted)


def planted_text(draw: random.Random, dataset: Any) -> tuple[str, tuple[Planted, ...], tuple[str, ...]]:
    """Free text about the person of a data set and about another one that no header names, with figures that must stay."""
    table, other, size = _table(), person(draw), f"{draw.randint(3, 40)}.{draw.randint(0, 9)} mm"
    family, given = str(dataset.PatientName).split("=")[0].split("^")
    here = {"given": given, "family": family, "own_id": str(dataset.PatientID), "size": size, "day": _spelled(draw, other.day)}
    fields = {name: getattr(other, name) for name in Person.__slots__} | here
    fields |= {"other_given": other.latin.split("^")[1], "other_family": other.latin.split("^")[0], "birth": _spelled(draw, other.birth)}
    said, planted = list[str](), list[Planted]()
    for sentence in draw.sample(table["sentences"], 8):
        said.append(sentence.format_map(fields))
        planted += [Planted("text", fields[name]) for name in re.findall(r"{(\w+)}", sentence) if name != "size"]
    said += [sentence.format(size=size) for sentence in table["findings"]]
    draw.shuffle(said)
    return " ".join(said), tuple(planted), (size, *table["figures"])


def written_bytes(dataset: Any) -> bytes:
    """The file as it would lie on the disk."""
    target = BytesIO()
    dataset.save_as(target, enforce_file_format=True)
    return target.getvalue()


def _in(needle: str, raw: bytes) -> bool:
    low = raw.lower()
    return any(needle.encode(charset, "ignore").lower() in low for charset in CHARSETS if needle.encode(charset, "ignore"))


@cache
def _table() -> dict[str, Any]:
    return yaml.safe_load((files("sdx_domains.medicine.privacy") / "trial.yaml").read_text(encoding="utf-8"))


def _plain(draw: random.Random) -> Any:
    from pydicom import Dataset
    from pydicom.dataset import FileMetaDataset
    from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian

    made = Dataset()
    made.file_meta = FileMetaDataset()
    made.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    made.SpecificCharacterSet = "ISO_IR 192"
    made.SOPClassUID, made.Modality, made.ImageType = CTImageStorage, "CT", ["ORIGINAL", "PRIMARY", "AXIAL"]
    made.Rows = made.Columns = 4
    made.BitsAllocated, made.BitsStored, made.HighBit, made.PixelRepresentation, made.SamplesPerPixel = 16, 16, 15, 1, 1
    made.PhotometricInterpretation, made.PixelData = "MONOCHROME2", bytes(32)
    made.RescaleSlope, made.RescaleIntercept, made.PixelSpacing = "1", "-1024", [0.7, 0.7]
    made.PatientAge = f"{draw.randint(18, 99):03d}Y"
    return made


def _plant_identity(draw: random.Random, dataset: Any, who: Person, planted: list[Planted]) -> None:
    dataset.PatientName = (
        f"{who.latin}={who.hangul[0]}^{who.hangul[1:]}={who.hangul[0]}^{who.hangul[1:]}" if draw.random() < 0.5 else who.latin
    )
    dataset.PatientID, dataset.PatientBirthDate, dataset.StudyDate, dataset.AcquisitionDateTime = (
        who.number,
        who.birth,
        who.day,
        who.day + "101112",
    )
    dataset.file_meta.SourceApplicationEntityTitle = who.number
    dataset.preamble = who.resident.encode().ljust(128, b"\0")
    planted += [Planted("identity", text) for text in (who.latin, who.number, who.birth, who.resident)] + [Planted("date", who.day)]


def _plant_tags(draw: random.Random, dataset: Any, who: Person, planted: list[Planted]) -> None:
    """In attributes of the standard's table, and in others of the dictionary that it does not list."""
    from pydicom.datadict import dictionary_VR, keyword_dict

    taken = {element.keyword for element in dataset}
    listed = [keyword for keyword in profile().listed if keyword not in taken]
    unlisted = [keyword for keyword in keyword_dict if keyword not in profile().listed and keyword not in taken]
    for kind, keywords in (("listed", draw.sample(listed, 60)), ("unlisted", draw.sample(unlisted, 200))):
        for keyword in keywords:
            vr, tag = dictionary_VR(keyword), keyword_dict[keyword]
            needle = {"UI": f"1.2.410.200010.{who.number}.{draw.randint(1, 999)}", "DA": who.birth, "DT": who.birth}.get(
                vr, draw.choice(who.needles())
            )
            if vr in (*TEXT_VRS, "UI", "DA", "DT") and tag >> 16 > 2 and len(needle) <= LIMITS.get(vr, 1000):
                dataset.add_new(tag, vr, needle.upper() if vr == "CS" else needle)
                planted.append(Planted(kind, needle))


def _plant_private(draw: random.Random, dataset: Any, who: Person, planted: list[Planted]) -> None:
    from pydicom import Dataset

    needles = draw.sample(who.needles(), 5)
    block = dataset.private_block(0x0029, "SDX TRIAL", create=True)
    inner = Dataset()
    inner.PatientComments = needles[0]
    block.add_new(1, "LO", needles[1])
    block.add_new(2, "SQ", [inner])
    block.add_new(3, "UN", needles[2].encode())
    dataset.add_new(0x00091010, "UN", needles[3].encode())
    dataset.add_new(0x60003000, "OW", needles[4].encode().ljust(64, b"\0"))
    planted += [Planted("private", needle) for needle in needles]


def _plant_nested(draw: random.Random, dataset: Any, who: Person, planted: list[Planted]) -> None:
    """Three sequences deep, in free text, codes, names and a strange character set."""
    from pydicom import Dataset

    needles = draw.sample(who.needles(), 4)
    code, deep, middle = Dataset(), Dataset(), Dataset()
    code.CodeValue, code.CodingSchemeDesignator, code.CodeMeaning = who.number[:16], draw.choice(("99LOCAL", "DCM", "SCT")), needles[0]
    deep.ReferencedSOPInstanceUID, deep.PurposeOfReferenceCodeSequence = f"1.2.410.{who.number}.{draw.randint(1, 9999)}", [code]
    deep.OperatorsName, deep.ImageComments = who.doctor_latin, needles[1]
    middle.SpecificCharacterSet = "ISO_IR 149"
    middle.InstitutionName, middle.DerivationDescription, middle.SourceImageSequence = who.hospital, needles[2], [deep]
    dataset.DerivationImageSequence = [middle]
    dataset.OtherPatientIDsSequence = [code]
    dataset.RequestAttributesSequence = [middle]
    planted += [
        Planted("sequence", text) for text in (*needles[:3], who.doctor_latin, who.hospital, str(deep.ReferencedSOPInstanceUID), who.number)
    ]


def _spelled(draw: random.Random, day: str) -> str:
    year, month, date = day[:4], day[4:6], day[6:]
    english = f"{('Jan', 'Feb', 'March', 'Apr', 'May', 'June', 'July', 'Aug', 'Sept', 'October', 'Nov', 'Dec')[int(month) - 1]} {int(date)}, {year}"
    return draw.choice(
        (
            day,
            f"{year}-{month}-{date}",
            f"{year}.{month}.{date}",
            f"{year}년 {int(month)}월 {int(date)}일",
            english,
            f"{month}/{date}/{year}",
        )
    )
