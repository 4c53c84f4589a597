"""Injected-error trial: good reports are spoilt by one error each, and the checks must catch it without crying at the good ones. Start at trial().

Two ways: the report as data (a renderer's or a model's draft), and the same words as free text (a radiologist's edit), where nothing but
the words is known. Suite "assurance" of `sdx bench medicine`.
"""

from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from sdx_domains.contract import Language, Measuring
from sdx_domains.medicine.assure.checks import Problem, problems, text_problems, twins
from sdx_domains.medicine.assure.errors import KINDS, ErrorKind, spoil
from sdx_domains.medicine.assure.random_studies import Study, study
from sdx_domains.medicine.language.render import render
from sdx_domains.medicine.report import Report

COUNT = 300
SEEDS_FROM = 900_000_000
"""Of held-out studies; the checks were written on others."""
LANGUAGES: tuple[Language, ...] = ("en", "ko")
CAUGHT, ALARMS = 0.98, 0.02
"""Bars: share of errors caught at least, share of good reports with an alarm at most."""
SHOWN = 5
"""Misses and false alarms told in full."""
Check = Callable[[Study, Report], Sequence[Problem]]


def assurance(measuring: Measuring) -> dict[str, Any]:
    """The trial as a measurement of the bench: JSON with the rates by kind and language, and whether the bars are met."""
    count = measuring.count or COUNT
    studies = [study(SEEDS_FROM + measuring.seed * 1_000_000 + number) for number in range(count)]
    return trial(studies, measuring.seed, measuring.say)


def trial(studies: Sequence[Study], seed: int = 0, say: Callable[[str], None] = lambda line: None) -> dict[str, Any]:
    """Every study in both languages, good and spoilt by every kind of error that it has a place for."""
    found: dict[str, Any] = {"studies": len(studies), "bars": {"caught_at_least": CAUGHT, "false_alarms_at_most": ALARMS}}
    for way, check in (("structured", _structured), ("free_text", _free)):
        found[way] = {language: _by_language(studies, language, check, seed) for language in LANGUAGES}
        for language in LANGUAGES:
            part = found[way][language]
            say(f"{way} {language}: {part['caught']:.1%} of {part['errors']} errors caught, {part['false_alarms']:.1%} false alarms")
    differing = sum(bool(twins(*(_report(each, language) for language in LANGUAGES))) for each in studies)
    found["languages_differ"] = differing / len(studies) if studies else 0.0
    found["passed"] = found["languages_differ"] == 0.0 and all(_passes(found["structured"][language]) for language in LANGUAGES)
    return found


def _by_language(studies: Sequence[Study], language: Language, check: Check, seed: int) -> dict[str, Any]:
    """Rates of one language, checked in one way."""
    errors, caught, named = Counter[str](), Counter[str](), Counter[str]()
    alarms, missed, cried = 0, list[str](), list[str]()
    for number, each in enumerate(studies):
        report = _report(each, language)
        wrong = check(each, report)
        alarms += bool(wrong)
        cried += [f"{problem.check}: {problem.what} | {problem.sentence}" for problem in wrong[:1]]
        before = set(wrong)
        for kind in KINDS:
            rng = np.random.default_rng([seed, number, KINDS.index(kind), LANGUAGES.index(language)])
            spoilt = spoil(each, report, kind, rng)
            if spoilt is None:
                continue
            new = [problem for problem in check(each, spoilt) if problem not in before]
            errors[kind] += 1
            caught[kind] += bool(new)
            named[kind] += any(problem.check in _NAMES[kind] for problem in new)
            missed += [] if new else [f"{kind}: {_difference(report, spoilt)}"]
    total = sum(errors.values())
    return {
        "errors": total,
        "caught": sum(caught.values()) / total if total else 1.0,
        "false_alarms": alarms / len(studies) if studies else 0.0,
        "by_kind": {
            kind: {"errors": errors[kind], "caught": caught[kind] / errors[kind], "named": named[kind] / errors[kind]}
            for kind in KINDS
            if errors[kind]
        },
        "missed": missed[:SHOWN],
        "alarms": cried[:SHOWN],
    }


_NAMES: dict[ErrorKind, tuple[str, ...]] = {
    "omission": ("omission", "impression"), "insertion": ("insertion",), "side": ("side", "zone"), "zone": ("zone",), "size": ("size",),
    "unit": ("unit", "size"), "contradiction": ("contradiction", "omission"), "typo": ("typo",), "slice": ("slice",), "prior": ("prior",),
}  # fmt: skip
"""Checks that name an error of the kind rightly."""


def _passes(part: dict[str, Any]) -> bool:
    return part["caught"] >= CAUGHT and part["false_alarms"] <= ALARMS and all(row["caught"] >= CAUGHT for row in part["by_kind"].values())


def _report(of: Study, language: Language) -> Report:
    return render(of.picture, of.statements, language, "draft")


def _structured(of: Study, report: Report) -> Sequence[Problem]:
    return problems(of.picture, of.statements, report)


def _free(of: Study, report: Report) -> Sequence[Problem]:
    return text_problems(of.picture, of.statements, report.findings_text(), report.impression_text(), report.language)


def _difference(good: Report, spoilt: Report) -> str:
    """The lines of the spoilt report that the good one has not."""
    before = set(good.findings_text().splitlines()) | set(good.impression_text().splitlines())
    return " / ".join(line for line in (*spoilt.findings_text().splitlines(), *spoilt.impression_text().splitlines()) if line not in before)
