"""Questions about the study that code answers from the picture, every finding with its slice. Start at answered().

What is "stated" here is what thresholds suggest (assure/verdict.planned): a chat is about the picture, before anybody has signed.
Patterns and wording: chat.yaml.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from importlib.resources import files
from typing import Any

import yaml

from sdx_domains.answers import one_line
from sdx_domains.contract import Language
from sdx_domains.medicine.assure.verdict import planned
from sdx_domains.medicine.findings import Finding, Presence
from sdx_domains.medicine.labels import label, labels
from sdx_domains.medicine.language.compare import changes
from sdx_domains.medicine.language.figures import measured, named
from sdx_domains.medicine.language.follow_up import recommend
from sdx_domains.medicine.language.labeller import mentions
from sdx_domains.medicine.language.render import Before, looked_for, slice_of, technique
from sdx_domains.medicine.language.words import measures, size_mm, with_particle, wording
from sdx_domains.medicine.picture import MedicinePicture, Statement

_ID = re.compile(r"\bF\d+\b", re.ASCII)


@cache
def book() -> dict[str, Any]:
    """chat.yaml."""
    return yaml.safe_load((files(__package__ or "") / "chat.yaml").read_text(encoding="utf-8"))


def answered(picture: MedicinePicture, text: str, language: Language) -> str | None:
    """The answer that code can give; None where it takes a model."""
    asked = one_line(text)
    if _hits(book()["off_topic"], asked):
        return None
    topic, about = topic_of(asked), _about(picture, asked)
    if _hits(book()["elsewhere"], asked) and not about and topic != "measured":
        return book()[language]["elsewhere"]
    if topic is None and about:
        topic = "presence"
    told = None if topic is None else _ANSWERS[topic](_Question(picture, asked, language, about))
    return None if told is None else told[:1].upper() + told[1:]


def topic_of(text: str) -> str | None:
    """What kind of question it is, by its words."""
    return next((name for name, pattern in book()["topics"].items() if _hits(pattern, text)), None)


class _Question:
    """A question with what it is about: labels by key, finding ids, a side."""

    def __init__(self, picture: MedicinePicture, text: str, language: Language, about: Sequence[str]) -> None:
        self.picture, self.text, self.about = picture, text, about
        self.language: Language = language
        self.words: dict[str, Any] = book()[language]
        self.presence: Mapping[str, Presence] = planned(picture)
        self.side = next((side for side, pattern in book()["sides"].items() if _hits(pattern, text)), "")

    def stated(self) -> list[Finding]:
        """Findings that are not denied and that the question is about; all of them when it names none."""
        ids = set(_ID.findall(self.text))
        found = [finding for finding in self.picture.findings if self.presence[finding.id] != "no"]
        found = [finding for finding in found if not self.about or finding.label in self.about]
        return [finding for finding in found if not ids or finding.id in ids]

    def statements(self) -> list[Statement]:
        return [Statement(finding=finding, present=self.presence[finding.id]) for finding in self.picture.findings]

    def told(self, findings: Sequence[Finding]) -> str:
        """ "solid lung nodule in the right upper lobe (8.2 x 6.1 mm), slice 41/128; ..." """
        return self.words["joined"].join(
            f"{named(each, self.language)}, {slice_of(self.picture, each, self.language)}" for each in findings
        )


def _about(picture: MedicinePicture, text: str) -> list[str]:
    """Labels that the question names, in the order of the table; those of a finding that it names by id."""
    keys = {each.label for each in mentions(text)} | {key for key, pattern in book()["named"].items() if _hits(pattern, text)}
    keys |= {finding.label for finding in picture.findings if finding.id in _ID.findall(text)}
    return [kind.key for kind in labels() if kind.key in keys]


def _kind(key: str, language: Language) -> str:
    words = wording()
    return words["negative"][language].get(key) or words["things"][key]["ko" if language == "ko" else "one"]


def _presence(question: _Question) -> str | None:
    """Each label that is asked about in turn."""
    return " ".join(_present(question, key) for key in question.about) if question.about else _summary(question)


def _present(question: _Question, key: str) -> str:
    words, picture = question.words, question.picture
    kind = _kind(key, question.language)
    slots = {"kind": kind, "kind_nun": with_particle(kind, "eun"), "side": words["sides"].get(question.side, "")}
    mine = [finding for finding in picture.findings if finding.label == key]
    stated = [finding for finding in question.stated() if finding.label == key]
    if question.side and label(key).sided and stated:
        here = [finding for finding in stated if finding.laterality in (question.side, "bilateral")]
        if not here:
            return words["other_side"].format(**slots, what=question.told(stated))
        stated = here
    if stated:
        sure = any(question.presence[finding.id] == "yes" for finding in stated)
        return words["yes" if sure else "uncertain"].format(what=question.told(stated))
    if mine:
        return words["below"].format(**slots, what=question.told(mine))
    return words["none" if key in looked_for(picture, ()) else "unlooked"].format(**slots)


def _size(question: _Question) -> str | None:
    found = [finding for finding in question.stated() if question.about or finding.size is not None]
    if not found:
        return _presence(question) if question.about else question.words["nothing_sized"]
    return " ".join(_sized(question, finding) for finding in found)


def _sized(question: _Question, finding: Finding) -> str:
    size, told = size_mm(finding), measures(finding, question.language)
    parts = [f"{size['long']} x {size['short']} mm"] if size else []
    seen = slice_of(question.picture, finding, question.language)
    form = question.words["size" if parts or told else "no_size"]
    what = named(finding.model_copy(update={"size": None}), question.language)
    return form.format(what=what, size=", ".join([*parts, *told]), seen=seen)


def _where(question: _Question) -> str | None:
    found = question.stated()
    if not found:
        return _presence(question)
    return " ".join(
        question.words["where"].format(what=named(each, question.language), seen=slice_of(question.picture, each, question.language))
        for each in found
    )


def _count(question: _Question) -> str | None:
    found = question.stated()
    if not found or not question.about:
        return _presence(question)
    return question.words["count"].format(count=sum(each.count for each in found), what=question.told(found))


def _certainty(question: _Question) -> str | None:
    found = [each for each in question.picture.findings if each.label in question.about] or question.stated()
    if not found:
        return _presence(question)
    form = question.words["sure"]
    return " ".join(form.format(what=named(each, question.language), share=f"{100.0 * each.probability:.0f}") for each in found)


def _summary(question: _Question) -> str:
    sure = [each for each in question.stated() if question.presence[each.id] == "yes"]
    maybe = [each for each in question.stated() if question.presence[each.id] == "uncertain"]
    if not sure and not maybe:
        return question.words["nothing"]
    told = question.words["summary"].format(what=question.told(sure)) if sure else question.words["normal"]
    return told + (question.words["maybe"].format(what=question.told(maybe)) if maybe else "")


def _change(question: _Question) -> str:
    words, prior = question.words, question.picture.prior
    if prior is None:
        return words["no_prior"]
    told: list[str] = []
    for change in changes(question.picture, question.statements()):
        finding = change.now or change.before
        if finding is None or (question.about and finding.label not in question.about):
            continue
        was = words["was"].format(value=f"{change.was:.1f}") if change.measure == "mean_mm" and change.was is not None else ""
        what = question.told([finding]) if change.now else named(finding, question.language)
        told.append(words["kinds"][change.kind].format(what=what, was=was))
    form = words["changed" if told else "no_change"]
    return form.format(days=prior.days_before, what=words["joined"].join(told))


def _measured(question: _Question) -> str | None:
    """A figure of the whole chest; of a finding when the question names none of those."""
    names = next((row["figures"] for row in book()["measures"] if _hits(row["match"], question.text)), ())
    figures, words = measured(question.picture.measured), wording()[question.language]["describe"]["measured"]
    known = [name for name in names if name in figures]
    if known:
        return " ".join(
            question.words["measured"].format(name=words[name].format(value="").strip(), value=figures[name].shown()) for name in known
        )
    return _size(question) if question.about and not names else question.words["unmeasured"]


def _follow_up(question: _Question) -> str:
    prior = question.picture.prior
    before = None if prior is None else Before(prior.days_before, changes(question.picture, question.statements()))
    found = recommend(question.statements(), question.picture.study, question.language, before=before)
    return (
        " ".join(each.text if each.rule == "critical" else f"{each.rule}: {each.text}" for each in found) or question.words["no_follow_up"]
    )


def _diagnosis(question: _Question) -> str:
    return question.words["diagnosis"].format(what=_follow_up(question)).strip()


def _technique(question: _Question) -> str:
    return technique(question.picture, question.language)


def _hits(pattern: str, text: str) -> bool:
    return re.search(pattern, text, re.IGNORECASE | re.ASCII) is not None


_ANSWERS: Mapping[str, Callable[[_Question], str | None]] = {
    "diagnosis": _diagnosis,
    "measured": _measured,
    "change": _change,
    "follow_up": _follow_up,
    "technique": _technique,
    "certainty": _certainty,
    "size": _size,
    "where": _where,
    "count": _count,
    "presence": _presence,
    "summary": _summary,
}
