"""Does what a sentence claims of a finding equal the finding? mismatches() names what does not."""

from collections.abc import Iterator
from functools import cache

from sdx_domains.contract import Language
from sdx_domains.medicine.assure.reading import Claims, Number
from sdx_domains.medicine.findings import Finding
from sdx_domains.medicine.labels import label
from sdx_domains.medicine.language.words import wording
from sdx_domains.medicine.picture import MedicinePicture

SIDES = ("right", "left", "bilateral")
ZONES = ("upper", "mid", "lower", "diffuse")
EPSILON = 1e-9
Mismatch = tuple[str, str]
"""(kind of problem, what is wrong)."""


def mismatches(said: Claims, finding: Finding, picture: MedicinePicture, whole: bool, key_only: bool = True) -> list[Mismatch]:
    """What the claims get wrong of the finding.

    Args:
        whole: the sentence must also tell place and size, where the finding has them.
        key_only: a slice that is named must be the key slice; else any slice that shows the finding.
    """
    return [
        *_sides(said, finding, whole),
        *_zones(said, finding, whole),
        *_sizes(said, finding, picture, whole),
        *_slices(said, finding, picture, key_only),
    ]


def _sides(said: Claims, finding: Finding, whole: bool) -> Iterator[Mismatch]:
    if said.laterality and said.laterality != finding.laterality:
        yield "side", f"{said.laterality} is said, the finding is {finding.laterality}"
    elif whole and not said.laterality and label(finding.label).sided and finding.laterality in SIDES:
        yield "side", f"no side is said, the finding is {finding.laterality}"


def _zones(said: Claims, finding: Finding, whole: bool) -> Iterator[Mismatch]:
    wrong = [] if finding.lobe == "several" else sorted(said.lobes - {finding.lobe})
    if wrong:
        yield "zone", f"{', '.join(wrong)} is said, the finding lies in {finding.lobe}"
    if wrong := sorted(said.zones - {finding.zone}):
        yield "zone", f"{', '.join(wrong)} is said, the finding's zone is {finding.zone}"
    if whole and not said.lobes and not said.zones and label(finding.label).zoned and finding.zone in ZONES:
        yield "zone", f"no place is said, the finding's zone is {finding.zone}"


def _sizes(said: Claims, finding: Finding, picture: MedicinePicture, whole: bool) -> Iterator[Mismatch]:
    size = finding.size
    for pair in said.pairs:
        for number, value in zip(pair, (size.long_mm, size.short_mm) if size else (None, None), strict=True):
            if value is None or not _equal(number, "mm", value):
                yield _kind(number, {("mm", value)} if value else set()), f"{number.text} {number.unit} is said, measured: {_told(finding)}"
    figures = _figures(finding, picture)
    for number in said.numbers:
        if not any(_equal(number, unit, value) for unit, value in figures):
            yield _kind(number, figures), f"{number.text} {number.unit} is said, measured: {_told(finding)}"
    if whole and size and not said.pairs:
        yield "size", f"no size is said, measured: {_told(finding)}"


def _slices(said: Claims, finding: Finding, picture: MedicinePicture, key_only: bool) -> Iterator[Mismatch]:
    where = finding.slices
    low, high = (where.key, where.key) if key_only else (where.first, where.last)
    for number, of in said.slices:
        if not low <= number - 1 <= high:
            yield "slice", f"slice {number} is said, it is {low + 1}" + (f" to {high + 1}" if high > low else "")
        if of not in (None, picture.study.slices):
            yield "slice", f"{of} slices are said, the study has {picture.study.slices}"


def _figures(finding: Finding, picture: MedicinePicture) -> set[tuple[str, float]]:
    """(unit, value) of all that may be told of it; with a prior study also what was measured of its like then."""
    before = [each for each in picture.prior.findings if each.label in (finding.label, "nodule", "mass")] if picture.prior else []
    found: set[tuple[str, float]] = set()
    for each in (finding, *before):
        if each.size:
            found |= {("mm", each.size.long_mm), ("mm", each.size.short_mm), ("mm", each.size.mean_mm), ("ml", each.size.volume_ml)}
        found |= {(_unit(name), value) for name, value in each.measure.items()}
    if finding.hu_mean is not None:
        found.add(("hu", finding.hu_mean))
    return found | {("count", float(finding.count)), ("none", float(finding.count))}


def _unit(name: str) -> str:
    end = name.rpartition("_")[2]
    return end if end in ("mm", "ml", "pct", "hu") else "none"


def _equal(number: Number, unit: str, value: float) -> bool:
    """As printed or rounded further: 12.4 mm may be told as 12.4 mm, 12 mm or 1.24 cm."""
    scale = {("cm", "mm"): 10.0, ("l", "ml"): 1000.0}.get((number.unit, unit), 1.0 if number.unit == unit else 0.0)
    return scale > 0.0 and abs(number.value * scale - value) <= 0.5 * scale * 10.0**-number.decimals + EPSILON


def _kind(number: Number, figures: set[tuple[str, float]]) -> str:
    """A right number with a wrong unit is a wrong unit."""
    return "unit" if any(abs(number.value - value) <= 0.5 * 10.0**-number.decimals + EPSILON for _, value in figures) else "size"


def _told(finding: Finding) -> str:
    size = [f"{finding.size.long_mm:.1f} x {finding.size.short_mm:.1f} mm"] if finding.size else []
    return ", ".join([*size, *(f"{name} {value:g}" for name, value in finding.measure.items())]) or "nothing"


def described(text: str, finding: Finding, language: Language) -> list[Mismatch]:
    """Descriptors (solid, large, ...) in the text that the finding does not have; names of things and of measures ("solid part") are no descriptors."""
    rest, wrong = text.lower(), list[Mismatch]()
    for name in _things(language):
        rest = rest.replace(name, " ")
    for word, keys in _descriptors(language):
        if word in rest.split() or (language == "ko" and word in rest) or f"{word}," in rest.split():
            rest = rest.replace(word, " ")
            if not keys & set(finding.descriptors):
                wrong.append(("descriptor", f"{word!r} is said, the finding is {', '.join(finding.descriptors) or 'not described'}"))
    return wrong


@cache
def _things(language: Language) -> tuple[str, ...]:
    """Names of findings and measures, the longest first."""
    names = {str(row[key]).lower() for row in wording()["things"].values() for key in ("one", "many", "ko") if key in row}
    names |= {row[language].partition("{value}")[0].strip().lower() for row in wording()["measures"].values()} - {""}
    return tuple(sorted((name for name in names if (language == "ko") == ("가" <= name[0] <= "힣")), key=len, reverse=True))


@cache
def _descriptors(language: Language) -> tuple[tuple[str, frozenset[str]], ...]:
    """(word, keys it may stand for), the longest word first."""
    words: dict[str, set[str]] = {}
    for table in (wording()["descriptors"][language], wording()["sized"].get(language, {})):
        for key, word in table.items():
            words.setdefault(word.lower(), set()).add(key)
    return tuple((word, frozenset(words[word])) for word in sorted(words, key=len, reverse=True))
