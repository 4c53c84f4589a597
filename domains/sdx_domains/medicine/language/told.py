"""A model's free words about a study: figures that it names are filled in, and what the study does not hold is named.

Start at told() and doubts().
"""

from collections.abc import Iterator

from sdx_domains.contract import Language
from sdx_domains.medicine.assure.reading import Claims, Number, claims, compares, sentences
from sdx_domains.medicine.findings import Finding
from sdx_domains.medicine.labels import label
from sdx_domains.medicine.language.figures import Figure, fill, fill_so_far, known
from sdx_domains.medicine.language.labeller import mentions
from sdx_domains.medicine.picture import MedicinePicture

SCALES = {("cm", "mm"): 10.0, ("l", "ml"): 1000.0}
"""(unit said, unit measured) -> factor."""
SMALL_COUNT = 3
"""Bare numbers up to here are ways of speaking ("both", "1 of 2"), not figures."""


def told(picture: MedicinePicture, text: str, language: Language, whole: bool) -> str:
    """The words as a person may read them. ValueError: a name that is no figure of the picture."""
    return fill(text, picture, language) if whole else fill_so_far(text, picture, language)


def doubts(picture: MedicinePicture, text: str) -> list[str]:
    """What the picture does not hold, a sentence each: findings, sides, sizes and other figures, slices, comparison without a prior."""
    wrong: list[str] = []
    for sentence in sentences(text):
        said = claims(sentence)
        wrong += _findings(picture, sentence, said)
        wrong += _figures(picture, said)
        if picture.prior is None and (words := compares(sentence)):
            wrong.append(f"{words!r} compares with an earlier study, and there is none")
    return wrong


def _findings(picture: MedicinePicture, sentence: str, said: Claims) -> Iterator[str]:
    """A finding that is affirmed must be a candidate, on the side that the sentence names."""
    for key in dict.fromkeys(each.label for each in mentions(sentence) if each.presence != "no"):
        mine = [finding for finding in picture.findings if finding.label == key]
        name = label(key).name.lower()
        if not mine:
            yield f"{name} is said, and this study has no such finding"
        elif said.laterality and label(key).sided and not any(_on(finding, said.laterality) for finding in mine):
            yield f"{name} is said to be {said.laterality}, it is {', '.join(sorted({finding.laterality for finding in mine}))}"


def _on(finding: Finding, side: str) -> bool:
    return finding.laterality in (side, "bilateral") or side == "bilateral"


def _figures(picture: MedicinePicture, said: Claims) -> Iterator[str]:
    figures = list(known(picture).values())
    for number in [*said.numbers, *(number for pair in said.pairs for number in pair)]:
        if not any(_equal(number, figure) for figure in figures) and not (number.unit == "none" and 0 <= number.value <= SMALL_COUNT):
            unit = "" if number.unit == "none" else f" {number.unit}"
            yield f"{number.text}{unit} is no figure of this study"
    for number, of in said.slices:
        if number > picture.study.slices or of not in (None, picture.study.slices):
            yield f"slice {number}{f' of {of}' if of else ''} is said, the study has {picture.study.slices} slices"
        elif not any(finding.slices.first < number <= finding.slices.last + 1 for finding in picture.findings):
            yield f"slice {number} is said, and no finding lies on it"


def _equal(number: Number, figure: Figure) -> bool:
    """As printed or rounded further."""
    unit = figure.unit.lower().replace("%", "pct") or "none"
    same = number.unit == unit or (unit == "none" and number.unit == "count")
    scale = SCALES.get((number.unit, unit), 1.0 if same else 0.0)
    return scale > 0.0 and abs(number.value * scale - figure.value) <= 0.5 * scale * 10.0**-number.decimals + 1e-9
