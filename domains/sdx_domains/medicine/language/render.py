"""A report out of a picture and what is stated of its findings, English or Korean. Start at render().

Nothing is said that no statement backs. Wording (wording.yaml) varies by the content of what is said, so that reports do not become
one template, and the labeller reads the same labels back in both languages.
"""

from collections.abc import Iterable, Mapping, Sequence

from sdx_domains.contract import Language
from sdx_domains.medicine.assure.critical import critical
from sdx_domains.medicine.assure.thresholds import thresholds
from sdx_domains.medicine.evidence import PHANTOMS
from sdx_domains.medicine.findings import Finding, Presence
from sdx_domains.medicine.labels import Label, Region, Urgency, label, labels
from sdx_domains.medicine.language.cautions import in_language
from sdx_domains.medicine.language.compare import Change, changes
from sdx_domains.medicine.language.figures import measured, named
from sdx_domains.medicine.language.follow_up import Before, Setting, recommend
from sdx_domains.medicine.language.words import (
    counted,
    located,
    measures,
    pick,
    place,
    size_mm,
    thing,
    uncounted,
    with_article,
    with_particle,
    wording,
)
from sdx_domains.medicine.measure.thresholds import thresholds as measuring
from sdx_domains.medicine.picture import PRESENCE, Candidate, MedicinePicture, Statement
from sdx_domains.medicine.report import ImpressionLine, Report, Section, Sentence, Status

MEASURED: Mapping[str, str] = {
    "emphysema": "emphysema_index_pct",
    "cardiomegaly": "cardiothoracic_ratio",
    "coronary_calcification": "coronary_calcium_ml",
    "arterial_calcification": "arterial_calcium_ml",
    "pleural_effusion": "pleural_fluid_ml",
    "pericardial_effusion": "pericardial_fluid_mm",
    "pneumothorax": "pneumothorax_ml",
    "medical_material": "metal_ml",
}
"""Label -> the field of Measurements that speaks of it even without a model."""
URGENCIES: tuple[Urgency, ...] = ("critical", "urgent", "routine")
MOST_NAMED = 3
"""Findings of one kind that an impression line names one by one."""
_NOTE_CHARS = 400


def render(
    picture: MedicinePicture,
    statements: Sequence[Statement],
    language: Language,
    status: Status,
    signer: str | None = None,
    setting: Setting = "incidental",
) -> Report:
    """The whole report. ValueError: signed without a signer, or two statements of one finding."""
    if status in ("signed", "addendum") and not signer:
        raise ValueError(f"a report with status {status!r} needs its signer")
    ids = [each.finding.id for each in statements]
    if len(set(ids)) != len(ids):
        raise ValueError(f"findings are stated twice: {', '.join(sorted({each for each in ids if ids.count(each) > 1}))}")
    return Report(
        language=language,
        technique=technique(picture, language),
        comparison=_comparison(picture, language),
        sections=tuple(_sections(picture, statements, language)),
        impression=_impression(statements, language),
        recommendations=recommend(statements, picture.study, language, setting, _before(picture, statements)),
        warnings=tuple(_warnings(picture, language)),
        statement=_statement(picture, language, status, signer),
    )


def _before(picture: MedicinePicture, statements: Sequence[Statement]) -> Before | None:
    return None if picture.prior is None else Before(picture.prior.days_before, changes(picture, statements))


def urgency_of(finding: Finding) -> Urgency:
    """Of its label, raised for what must be told at once."""
    return "critical" if critical(finding) else label(finding.label).urgency


def looked_for(picture: MedicinePicture, statements: Sequence[Statement]) -> set[str]:
    """Labels that may be denied: the model gave a probability and can tell, code measured, or somebody judged a finding of the kind."""
    seen = set(picture.saw.probability) - set(measuring().unheard) if picture.saw else set[str]()
    measured = {key for key, field in MEASURED.items() if getattr(picture.measured, field) is not None}
    return seen | measured | {each.finding.label for each in statements}


def sentence_of(picture: MedicinePicture, statement: Statement, language: Language, change: Change | None = None) -> Sentence:
    """What the findings say of one statement. ValueError for one that denies."""
    finding = statement.finding
    if statement.present == "no":
        raise ValueError(f"{finding.id} is denied: a negative sentence speaks of labels, not of a finding")
    form = pick(wording()[language][statement.present], picture.study.study_uid, finding.id, finding.label)
    text = form.format(**_slots(finding, language), tail=_tail(picture, finding, language, change))
    return Sentence(text=_capital(text), finding_ids=(finding.id,), labels=(finding.label,))


def _slots(finding: Finding, language: Language) -> dict[str, str]:
    """Words that the forms of wording.yaml name."""
    words, name, where, size = wording()[language], thing(finding, language), place(finding, language), size_mm(finding)
    told = words["size_many" if counted(finding) else "size"].format(**size) if size else ""
    if language == "ko":
        return {
            "where_e": located(finding, language),
            "where_no": f"{where} " if where else "",
            "size_adj": told,
            "thing": name,
            "thing_iga": with_particle(name, "i"),
            "thing_nun": with_particle(name, "eun"),
            "size": words["impression_size"].format(**size) if size else "",
        }
    full = with_article(finding, name)
    verb = "are" if counted(finding) else "is"
    return {
        "where": located(finding, language),
        "size": told,
        "thing": uncounted(finding),
        "a_thing": full,
        "A_thing": _capital(full),
        "is": verb,
    }


def _tail(picture: MedicinePicture, finding: Finding, language: Language, change: Change | None) -> str:
    """What stands in brackets: measures, change since the prior study, the slice to look at (counted from 1 at the feet)."""
    said = [*measures(finding, language), _changed(change, language) if change else ""]
    said.append(slice_of(picture, finding, language))
    return ", ".join(part for part in said if part)


def _changed(change: Change, language: Language) -> str:
    words = wording()[language]
    before = ""
    if change.was is not None and change.measure:
        known = wording()["measures"].get(change.measure)
        value = f"{change.was:.1f}" if known is None else known[language].format(value=f"{change.was:.{known['decimals']}f}")
        before = words["before_mm" if known is None else "before"].format(value=value)
    return words["changes"][change.kind].format(before=before)


def _sections(picture: MedicinePicture, statements: Sequence[Statement], language: Language) -> Iterable[Section]:
    """Every region in the order of wording.yaml: what is there, the most urgent first, what resolved, what is not there."""
    book, told = wording(), changes(picture, statements)
    now = {change.now.id: change for change in told if change.now}
    regions: list[Region] = book["order"]
    for region in regions:
        stated = ranked([each for each in statements if each.present != "no" and label(each.finding.label).region == region])
        sentences = [sentence for each in stated for sentence in _told(picture, each, language, now.get(each.finding.id))]
        sentences += [_gone(picture, change.before, language) for change in told if change.before and _left(change, region, statements)]
        sentences += _denied(picture, statements, region, language)
        if region in book["unread"]:
            sentences.append(Sentence(text=book[language]["unread"]))
        yield Section(region=region, heading=book["headings"][language][region], sentences=tuple(sentences))


def _told(picture: MedicinePicture, statement: Statement, language: Language, change: Change | None) -> list[Sentence]:
    """The sentence, and the radiologist's own words after it, as they were written."""
    sentence = sentence_of(picture, statement, language, change)
    note = " ".join(statement.note.split())[:_NOTE_CHARS]
    return [sentence, Sentence(text=note, finding_ids=sentence.finding_ids)] if note else [sentence]


def _left(change: Change, region: Region, statements: Sequence[Statement]) -> bool:
    """Whether a resolved finding of this region may be named: none of its kind is left, so that no sentence denies another."""
    if change.kind != "resolved" or change.before is None or label(change.before.label).region != region:
        return False
    return all(each.present == "no" or each.finding.label != change.before.label for each in statements)


def _gone(picture: MedicinePicture, before: Finding, language: Language) -> Sentence:
    text = pick(wording()[language]["gone"], picture.study.study_uid, before.id).format(**_slots(before, language))
    return Sentence(text=_capital(text), labels=(before.label,))


def _denied(picture: MedicinePicture, statements: Sequence[Statement], region: Region, language: Language) -> list[Sentence]:
    """One sentence for all that was looked for in the region and is not there, one for what nobody looked for."""
    words, seen = wording()[language], looked_for(picture, statements)
    stated = {each.finding.label for each in statements if each.present != "no"}
    absent = [kind for kind in labels() if kind.region == region and kind.key not in stated]
    told: list[Sentence] = []
    for kinds, forms in (
        ([kind for kind in absent if kind.key in seen], words["negative"]),
        ([kind for kind in absent if kind.key not in seen], [words["not_assessed"]]),
    ):
        if kinds:
            form = pick(forms, picture.study.study_uid, region, *(kind.key for kind in kinds))
            told.append(Sentence(text=_listed(form, kinds, language), labels=tuple(kind.key for kind in kinds)))
    return told


def _listed(form: str, kinds: Sequence[Label], language: Language) -> str:
    words = wording()
    names = [words["negative"][language].get(kind.key) or words["things"][kind.key]["ko" if language == "ko" else "one"] for kind in kinds]
    told = words[language]["or"].join([", ".join(names[:-1]), names[-1]] if len(names) > 1 else names)
    return form.format(list=told, List=_capital(told), list_nun=with_particle(told, "eun"))


def ranked(statements: Sequence[Statement]) -> list[Statement]:
    """By urgency, sure before doubtful, then by the order of labels.yaml and size."""
    order = {kind.key: index for index, kind in enumerate(labels())}

    def key(each: Statement) -> tuple[int, bool, int, float, str]:
        finding = each.finding
        long_mm = finding.size.long_mm if finding.size else 0.0
        return URGENCIES.index(urgency_of(finding)), each.present != "yes", order[finding.label], -long_mm, finding.id

    return sorted(statements, key=key)


def _impression(statements: Sequence[Statement], language: Language) -> tuple[ImpressionLine, ...]:
    """A line for each kind of finding and each degree of certainty, the most urgent first; one line for a study with nothing stated."""
    groups: dict[tuple[str, Presence], list[Finding]] = {}
    for each in ranked([each for each in statements if each.present != "no"]):
        groups.setdefault((each.finding.label, each.present), []).append(each.finding)
    if not groups:
        return (ImpressionLine(text=wording()[language]["impression"]["normal"], finding_ids=(), urgency="routine"),)
    return tuple(
        ImpressionLine(
            text=_line(found, present, language),
            finding_ids=tuple(each.id for each in found),
            urgency=_most_urgent(found),
        )
        for (_, present), found in groups.items()
    )


def _most_urgent(found: Sequence[Finding]) -> Urgency:
    urgencies = {urgency_of(each) for each in found}
    return next(urgency for urgency in URGENCIES if urgency in urgencies)


def _line(found: Sequence[Finding], present: Presence, language: Language) -> str:
    words, first = wording()[language]["impression"], found[0]
    named = [told for finding in found if (told := _place_and_size(finding, language))]
    if len(found) == 1 or not named:
        return _capital(words[present].format(**_slots(first, language))) + "."
    things = wording()["things"][first.label]
    many = things["ko"] if language == "ko" else things.get("many", things["one"])
    each = named[:MOST_NAMED]
    if len(found) > len(each):
        each.append(words["more"].format(count=len(found) - len(each)))
    form = words["several" if present == "yes" else "several_uncertain"]
    return form.format(things=many, Things=_capital(many), each="; ".join(each)) + "."


def _place_and_size(finding: Finding, language: Language) -> str:
    size = size_mm(finding)
    parts = [place(finding, language), f"{size['long']} x {size['short']} mm" if size else ""]
    return ", ".join(part for part in parts if part)


def technique(picture: MedicinePicture, language: Language) -> str:
    """How the study was taken, one sentence."""
    words, study = wording()[language], picture.study
    gap, row, column = study.spacing_mm
    contrast = "unknown" if study.contrast is None else "yes" if study.contrast else "no"
    return words["technique"].format(
        slices=study.slices,
        plane=f"{row:.2f}" if round(row, 2) == round(column, 2) else f"{row:.2f} x {column:.2f}",
        gap=f"{gap:.2f}",
        thickness="" if study.thickness_mm is None else words["thickness"].format(value=f"{study.thickness_mm:.2f}"),
        kernel=words["kernels"][study.kernel],
        contrast=words["contrast"][contrast],
    )


def _comparison(picture: MedicinePicture, language: Language) -> str:
    words = wording()[language]["comparison"]
    return words["none"] if picture.prior is None else words["prior"].format(days=picture.prior.days_before)


def _warnings(picture: MedicinePicture, language: Language) -> Iterable[str]:
    """Of the study as ingest told them, then the limits of what read it."""
    words = wording()[language]["warnings"]
    if told := words["coverage"].get(picture.study.coverage):
        yield told
    yield from (in_language(told, language) for told in picture.study.warnings)
    if picture.saw is None:
        yield words["no_model"]
    elif picture.saw.unlike_training > thresholds().unlike_training:
        yield words["unlike"].format(value=f"{picture.saw.unlike_training:.1f}", limit=f"{thresholds().unlike_training:g}")
    if picture.saw is not None and picture.saw.trained_on == PHANTOMS:
        yield words["synthetic"]


def _statement(picture: MedicinePicture, language: Language, status: Status, signer: str | None) -> str:
    words, saw = wording()[language], picture.saw
    model = words["model"].format(name=saw.model, sha=saw.model_sha256[:12]) if saw else words["no_model"]
    return words["statement"].format(model=model, verified=words["verified"][status].format(signer=signer or ""))


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]


def describe(picture: MedicinePicture, language: Language) -> str:
    """The study in words: how it was taken, what was measured, which candidate findings there are and how probable."""
    words, figures = wording()[language]["describe"], measured(picture.measured)
    told = [words["measured"][name].format(value=figures[name].shown()) for name in words["measured"] if name in figures]
    lines = [technique(picture, language), *([words["of_chest"].format(list=", ".join(told))] if told else [])]
    lines += [
        words["candidate"].format(
            id=each.id, what=named(each, language), share=f"{100.0 * each.probability:.0f}", seen=slice_of(picture, each, language)
        )
        for each in picture.findings
    ]
    return "\n".join([*lines, *([] if picture.findings else [words["none"]])])


def advise(picture: MedicinePicture, option: Candidate, language: Language) -> str:
    """What choosing this would say: the finding's sentence as suggested, or for the draft as a whole the impression."""
    words = wording()[language]["describe"]
    if option.finding is None:
        present: dict[float, Presence] = {value: name for name, value in PRESENCE.items()}
        stated = [Statement(finding=each, present=present.get(option.setpoints.get(each.id, 0.0), "no")) for each in picture.findings]
        return "\n".join(line.text for line in _impression(stated, language))
    if option.suggested == "no":
        told = words["not_stated"].format(what=named(option.finding, language))
    else:
        told = sentence_of(picture, Statement(finding=option.finding, present=option.suggested), language).text
    return " ".join([told, words["probability"].format(share=f"{100.0 * option.finding.probability:.0f}")])


def slice_of(picture: MedicinePicture, finding: Finding, language: Language) -> str:
    """ "slice 41/128": the slice to look at, counted from 1 at the feet."""
    return wording()[language]["seen"].format(number=finding.slices.key + 1, slices=picture.study.slices)
