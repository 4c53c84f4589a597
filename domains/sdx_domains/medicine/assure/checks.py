"""Holds a report to picture and statements: problems() of a rendered report, text_problems() of edited words, twins() of two languages.

Independent of how the text was made: labels are read back by the labeller, places, sizes and slices by reading.py. In a rendered report a
problem is an error; in a radiologist's own words it is a warning to be shown, never a reason to remove them.
"""

from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache
from typing import Literal

from sdx_domains.contract import Closed, Language
from sdx_domains.medicine.assure.claimed import described, mismatches
from sdx_domains.medicine.assure.critical import critical
from sdx_domains.medicine.assure.reading import claims, compares, misspelt, sentences
from sdx_domains.medicine.findings import Finding, Presence
from sdx_domains.medicine.language.follow_up import Setting, recommend
from sdx_domains.medicine.language.labeller import label as read_labels
from sdx_domains.medicine.language.labeller import mentions
from sdx_domains.medicine.picture import MedicinePicture, Statement
from sdx_domains.medicine.report import ImpressionLine, Report, Sentence

Check = Literal[
    "grounding", "omission", "insertion", "contradiction", "side", "zone", "size", "unit", "slice", "descriptor", "typo", "prior",
    "impression", "critical", "recommendation", "languages",
]  # fmt: skip
IMPLIED: Mapping[str, str] = {"ground-glass": "opacity", "part-solid": "opacity"}
"""Descriptor -> label that a sentence about such a finding also reads as: a ground-glass nodule is a lung opacity in CT-RATE's labels."""
RANK: Mapping[Presence, int] = {"no": 0, "uncertain": 1, "yes": 2}


class Problem(Closed):
    """One thing that is wrong."""

    check: Check
    sentence: str
    """"" where it is of the report as a whole."""
    finding_id: str = ""
    what: str
    severity: Literal["error", "warning"] = "error"


def problems(
    picture: MedicinePicture, statements: Sequence[Statement], report: Report, setting: Setting = "incidental"
) -> tuple[Problem, ...]:
    """Everything wrong with a rendered report; () means it may be shown as a draft."""
    stated = {each.finding.id: each for each in statements if each.present != "no"}
    found = [*grounding(picture, statements)]
    for sentence in report.sentences():
        found += _of_sentence(picture, stated, sentence, report.language)
    for line in report.impression:
        found += _of_line(picture, stated, line, report.language)
    found += _labels(statements, report.findings_text(), report.language, "findings")
    found += _labels(statements, report.impression_text(), report.language, "impression")
    found += _omitted(stated, report)
    found += _critical(stated, report)
    found += _advice(picture, statements, report, setting)
    if picture.prior is None and (said := compares(report.comparison)) and read_comparison(report.comparison):
        found.append(Problem(check="prior", sentence=report.comparison, what=f"there is no prior study, but {said!r} is said"))
    return tuple(dict.fromkeys(found))


def text_problems(
    picture: MedicinePicture, statements: Sequence[Statement], findings_text: str, impression_text: str, language: Language
) -> tuple[Problem, ...]:
    """Of a radiologist's own text: every problem is a warning. Sentences are matched to findings by the labels that they speak of."""
    stated = [each for each in statements if each.present != "no"]
    told = [(text, named(text, language)) for text in sentences(findings_text)]
    found: list[Problem] = []
    for text in (*(text for text, _ in told), *sentences(impression_text)):
        found += _of_free(picture, stated, text, language)
    for each in stated:
        if not any(read.get(each.finding.label, "no") != "no" and _fits(picture, each.finding, text) for text, read in told):
            what = f"{each.finding.id} {each.finding.label}: no sentence of the findings fits it"
            found.append(Problem(check="omission", sentence="", finding_id=each.finding.id, what=what))
    found += _labels(statements, findings_text, language, "findings")
    found += _labels(statements, impression_text, language, "impression")
    return tuple(dict.fromkeys(each.model_copy(update={"severity": "warning"}) for each in found))


def twins(one: Report, other: Report) -> tuple[Problem, ...]:
    """Do two languages say the same? Same findings under the same headings, same labels read back, same figures, same urgencies."""
    found: list[Problem] = []
    read = [_positive(read_labels(each.findings_text(), each.language)) for each in (one, other)]
    if read[0] != read[1]:
        found.append(
            _languages(f"labels differ: {_only(read[0], read[1])} in {one.language}, {_only(read[1], read[0])} in {other.language}")
        )
    for first, second in zip(_told(one), _told(other), strict=False):
        if first[0] != second[0]:
            found.append(_languages(f"{first[0]} stands where {second[0]} stands in {other.language}", first[1]))
        elif _numbers(first[1]) != _numbers(second[1]):
            found.append(_languages(f"figures differ from {second[1]!r}", first[1]))
    if len(_told(one)) != len(_told(other)):
        found.append(_languages(f"{len(_told(one))} sentences and lines tell findings, {len(_told(other))} in {other.language}"))
    if [(line.finding_ids, line.urgency) for line in one.impression] != [(line.finding_ids, line.urgency) for line in other.impression]:
        found.append(_languages("the impressions differ in findings or urgency"))
    return tuple(found)


def grounding(picture: MedicinePicture, statements: Sequence[Statement]) -> Iterator[Problem]:
    """Every finding that is stated: one of the picture, shown on a slice of this study, with a place and a measurement or "diffuse"."""
    known = {finding.id: finding for finding in picture.findings}
    uids = picture.study.slice_uids
    for each in statements:
        finding, where = each.finding, each.finding.slices
        own = finding.found_by == "radiologist"
        wrong: list[str] = []
        if each.present == "no":
            continue
        if known.get(finding.id) != finding and not own:
            wrong.append("is no finding of this picture")
        if not where.first <= where.key <= where.last < len(uids) or uids[where.key] != where.key_uid:
            wrong.append(f"key slice {where.key} ({where.key_uid}) is not among the finding's slices of this study")
        bare = finding.size is None and not finding.measure and finding.hu_mean is None
        if bare and finding.zone != "diffuse" and not own:
            wrong.append("has neither a measurement nor is it diffuse")
        yield from (
            Problem(check="grounding", sentence="", finding_id=finding.id, what=f"{finding.id} {finding.label} {what}") for what in wrong
        )


def _of_sentence(picture: MedicinePicture, stated: Mapping[str, Statement], sentence: Sentence, language: Language) -> Iterator[Problem]:
    """A positive sentence against its findings; any other must state nothing."""
    text, backing = sentence.text, [stated[name] for name in sentence.finding_ids if name in stated]
    note = bool(sentence.finding_ids) and not sentence.labels
    if note:  # a radiologist's own words beside a finding
        yield from (each.model_copy(update={"severity": "warning"}) for each in _words(picture, text, language, strict=False))
        return
    for name in sentence.finding_ids:
        if name not in stated:
            yield Problem(check="insertion", sentence=text, finding_id=name, what=f"{name} is not stated")
    yield from _spoken(text, backing, stated.values(), language)
    yield from _words(picture, text, language, strict=True)
    for each in backing:
        said = claims(text)
        for check, what in (*mismatches(said, each.finding, picture, whole=True), *described(text, each.finding, language)):
            yield Problem.model_validate({"check": check, "sentence": text, "finding_id": each.finding.id, "what": what})
        if not said.slices:
            yield Problem(check="grounding", sentence=text, finding_id=each.finding.id, what="no slice is named")


def _of_line(picture: MedicinePicture, stated: Mapping[str, Statement], line: ImpressionLine, language: Language) -> Iterator[Problem]:
    """A line of the impression; where it names several findings, each part must fit one of them."""
    backing = [stated[name] for name in line.finding_ids if name in stated]
    for name in line.finding_ids:
        if name not in stated:
            yield Problem(check="insertion", sentence=line.text, finding_id=name, what=f"{name} is not stated")
    yield from _spoken(line.text, backing, stated.values(), language)
    yield from _words(picture, line.text, language, strict=True)
    if len(backing) == 1:
        finding = backing[0].finding
        for check, what in (*mismatches(claims(line.text), finding, picture, whole=True), *described(line.text, finding, language)):
            yield Problem.model_validate({"check": check, "sentence": line.text, "finding_id": finding.id, "what": what})
    elif backing:
        yield from _of_parts(picture, [each.finding for each in backing], line.text)


def _of_parts(picture: MedicinePicture, findings: Sequence[Finding], text: str, whole: bool = True) -> Iterator[Problem]:
    """Parts between semicolons: each must fit another of the findings."""
    parts = [part for part in text.rpartition(":")[2].split(";") if part.strip()]
    left = list(findings)
    for place, part in enumerate(parts):
        said = claims(part)
        if not said.sides | said.zones and not said.pairs:  # "and 2 more"
            more = {number.value for number in said.numbers} - {float(len(left)), float(len(findings))}
            if more and label_count(findings) not in more:
                yield Problem(check="size", sentence=text, what=f"{part.strip()!r}: {len(left)} are left of {len(findings)}")
            continue
        fit = next((each for each in left if not mismatches(said, each, picture, whole)), None)
        if fit is not None:
            left.remove(fit)
            continue
        meant = findings[min(place, len(findings) - 1)]
        for check, what in mismatches(said, meant, picture, whole) or [("size", "is said of one finding twice")]:
            yield Problem.model_validate({"check": check, "sentence": text, "finding_id": meant.id, "what": f"{part.strip()}: {what}"})


def label_count(findings: Sequence[Finding]) -> float:
    """How many single things these findings are together."""
    return float(sum(each.count for each in findings))


def _of_free(picture: MedicinePicture, stated: Sequence[Statement], text: str, language: Language) -> Iterator[Problem]:
    """A sentence that somebody wrote: it must fit one finding of each kind that it states."""
    read = named(text, language)
    backing = [each for each in stated if read.get(each.finding.label, "no") != "no"]
    yield from _spoken(text, backing, stated, language)
    yield from _words(picture, text, language, strict=False)
    for key in sorted({each.finding.label for each in backing}):
        mine = [each.finding for each in backing if each.finding.label == key]
        if ";" in text and len(mine) > 1:
            yield from _of_parts(picture, mine, text, whole=False)
        elif not any(_fits(picture, finding, text) for finding in mine):
            tried = [(finding, mismatches(claims(text), finding, picture, whole=False, key_only=False)) for finding in mine]
            finding, wrong = min(tried, key=lambda row: len(row[1]))
            for check, what in wrong:
                yield Problem.model_validate({"check": check, "sentence": text, "finding_id": finding.id, "what": what})


def _fits(picture: MedicinePicture, finding: Finding, text: str) -> bool:
    """Whether a sentence may be about this finding: nothing that it claims is otherwise."""
    return any(
        not mismatches(claims(part), finding, picture, whole=False, key_only=False) for part in (text, *text.rpartition(":")[2].split(";"))
    )


def _spoken(text: str, backing: Sequence[Statement], stated, language: Language) -> Iterator[Problem]:
    """Labels of one sentence, read back, against the findings that back it and all that are stated."""
    read = named(text, language)
    for key, present in read.items():
        mine = [each.present for each in backing if key in speaks_of(each.finding)]
        if present == "no":
            if any(each.finding.label == key for each in stated):
                yield Problem(check="contradiction", sentence=text, what=f"{key} is denied, but it is stated")
        elif not mine:
            yield Problem(check="insertion", sentence=text, what=f"{key} is stated without a finding behind it")
        elif present not in mine:
            yield Problem(check="contradiction", sentence=text, what=f"{key} reads {present!r}, decided is {mine[0]!r}")
    for each in backing:
        if each.finding.label not in read:
            yield Problem(check="omission", sentence=text, finding_id=each.finding.id, what=f"does not read as {each.finding.label}")


@lru_cache(maxsize=4096)
def named(text: str, language: Language) -> Mapping[str, Presence]:
    """Labels that a sentence names, denials included; the surest where it names one twice."""
    read: dict[str, Presence] = {}
    for each in mentions(text, language):
        if RANK[each.presence] >= RANK[read.get(each.label, "no")]:
            read[each.label] = each.presence
    return read


def _words(picture: MedicinePicture, text: str, language: Language, strict: bool) -> Iterator[Problem]:
    if picture.prior is None and (said := compares(text)):
        yield Problem(check="prior", sentence=text, what=f"there is no prior study, but {said!r} is said")
    for word, near in misspelt(text, strict):
        yield Problem(check="typo", sentence=text, what=f"{word!r} is no word of reports" + (f", perhaps {near!r}" if near else ""))


def _labels(statements: Sequence[Statement], text: str, language: Language, where: str) -> Iterator[Problem]:
    """Labels of the whole text against the statements: what is missing, what is more, what is otherwise."""
    read = _positive(read_labels(text, language))
    wanted = decided(statements)
    implied = {key for each in statements if each.present != "no" for key in speaks_of(each.finding)}
    for key in sorted(wanted.keys() - read.keys()):
        yield Problem(check="omission", sentence="", what=f"{key} is stated, the {where} do not say so")
    for key in sorted(read.keys() - wanted.keys() - implied):
        yield Problem(check="insertion", sentence="", what=f"the {where} say {key}, no finding backs it")
    for key in sorted(key for key in wanted.keys() & read.keys() if wanted[key] != read[key]):
        yield Problem(check="contradiction", sentence="", what=f"{key}: the {where} say {read[key]!r}, decided is {wanted[key]!r}")


def speaks_of(finding: Finding) -> set[str]:
    """Labels that a sentence about the finding may read as: its own, and what its descriptors imply."""
    return {finding.label} | {IMPLIED[word] for word in finding.descriptors if word in IMPLIED}


def decided(statements: Sequence[Statement]) -> dict[str, Presence]:
    """By label the surest of what is stated."""
    found: dict[str, Presence] = {}
    for each in statements:
        if each.present != "no" and RANK[each.present] > RANK[found.get(each.finding.label, "no")]:
            found[each.finding.label] = each.present
    return found


def _positive(read: Mapping[str, Presence]) -> dict[str, Presence]:
    return {key: present for key, present in read.items() if present != "no"}


def _omitted(stated: Mapping[str, Statement], report: Report) -> Iterator[Problem]:
    told = {name for sentence in report.sentences() if sentence.labels for name in sentence.finding_ids}
    concluded = {name for line in report.impression for name in line.finding_ids}
    for name, each in stated.items():
        if name not in told:
            yield Problem(check="omission", sentence="", finding_id=name, what=f"{name} {each.finding.label} has no sentence")
        if name not in concluded:
            yield Problem(check="impression", sentence="", finding_id=name, what=f"{name} {each.finding.label} is not in the impression")


def _critical(stated: Mapping[str, Statement], report: Report) -> Iterator[Problem]:
    first = {name for line in report.impression if line.urgency == "critical" for name in line.finding_ids}
    advised = {each.finding_id for each in report.recommendations if each.rule == "critical"}
    for name, each in stated.items():
        if critical(each.finding) and (name not in first or name not in advised):
            where = "the impression" if name not in first else "the recommendations"
            yield Problem(
                check="critical", sentence="", finding_id=name, what=f"{name} {each.finding.label} is critical, {where} do not flag it"
            )


def _advice(picture: MedicinePicture, statements: Sequence[Statement], report: Report, setting: Setting) -> Iterator[Problem]:
    wanted, told = recommend(statements, picture.study, report.language, setting), report.recommendations
    for each in [each for each in told if each not in wanted]:
        yield Problem(check="recommendation", sentence=each.text, finding_id=each.finding_id, what="no rule advises this here")
    for each in [each for each in wanted if each not in told]:
        yield Problem(check="recommendation", sentence="", finding_id=each.finding_id, what=f"missing: {each.rule} {each.category}")


def read_comparison(text: str) -> bool:
    """Does the comparison section name a study? It names its days."""
    return bool(claims(text).numbers)


def _languages(what: str, sentence: str = "") -> Problem:
    return Problem(check="languages", sentence=sentence, what=what)


def _only(mine: Mapping[str, Presence], others: Mapping[str, Presence]) -> str:
    return ", ".join(f"{key} {mine[key]}" for key in sorted(mine) if others.get(key) != mine[key]) or "nothing"


def _told(report: Report) -> list[tuple[tuple[str, ...], str]]:
    """(finding ids, text) of all that tells findings, radiologists' own words left out: they are in one language."""
    found = [(each.finding_ids, each.text) for each in report.sentences() if each.finding_ids and each.labels]
    return found + [(line.finding_ids, line.text) for line in report.impression]


def _numbers(text: str) -> list[tuple[float, str]]:
    """Figures of a sentence; how many things it speaks of is left out, since languages count differently."""
    said = claims(text)
    pairs = [number for pair in said.pairs for number in pair]
    return sorted((number.value, number.unit) for number in (*pairs, *said.numbers) if number.unit not in ("none", "count")) + sorted(
        (float(number), "slice") for number, _ in said.slices
    )
