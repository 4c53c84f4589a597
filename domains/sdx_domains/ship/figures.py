"""Figures by name: a model writes "{T1.cpa}", and code puts the picture's number there.

So a small model need not copy digits, and a name tells what is meant: it must stand after its own target, with its own unit
and its own word, or the text is refused. Names: those of language.target_figures() after a target's label ({T1.relative},
{T1.range}, {T1.cpa}, {T1.tcpa}, ...), of own_figures() and, where an option was chosen, of language.option_figures()
({alteration}, {speed}, {min_cpa}, ...). Digits that a text holds besides are faithful.py's to judge.
"""

import re
from collections.abc import Mapping

from sdx_domains.contract import Language, language_of
from sdx_domains.ship.language import fmt_course, fmt_range, fmt_speed, option_figures, target_figures
from sdx_domains.ship.picture import ShipOption, ShipPicture

NAME = re.compile(r"\{(?:(?P<label>T\d+)\.)?(?P<name>\w+)\}")
LABEL = re.compile(r"(?<![A-Za-z0-9{])T\d+(?!\d)")
UNIT_CHARS = 8
"""So far after a name its unit may still be arriving."""
_UNFINISHED = re.compile(r"\{[\w.]*$")
_MILES, _MINUTES, _KNOTS = (
    r"\s*(?:NM(?![A-Za-z])(?!\s*CPA)|해리)",
    r"\s*(?:min(?:utes)?(?![A-Za-z])|분)",
    r"\s*(?:kn(?:ots)?(?![A-Za-z])|노트)",
)
_DEGREES, _METRES = r"\s*(?:deg(?![A-Za-z])|도|(?=[,;.)]|$))", r"\s*(?:m(?![A-Za-z])|미터)"
_WORDS = r"(?!\s*(?:deg|NM|km|min|kn|m(?![A-Za-z])|도|분|해리|노트))"
_CPA = r"(?:(?<!T)CPA|[Cc]losest|최근접)"
USES: Mapping[str, tuple[str, str]] = {
    "relative": ("", _WORDS),
    "alteration": ("", _WORDS),
    "range": (rf"^(?!.*{_CPA}\S*\W*(?:of\W+T\d+\W*)?(?:is|approach|distance)?\W*$)", _MILES),
    "cpa": (rf"{_CPA}[^.;{{}}]{{0,24}}$", _MILES),
    "min_cpa": (rf"(?:\bmin|attainable|expected|predicted|최소|확보 가능|예상)\W*{_CPA}?[^.;{{}}]{{0,12}}$", _MILES),
    "tcpa": ("", _MINUTES),
    "ago": ("", _MINUTES),
    "start": ("", _MINUTES),
    "speed": ("", _KNOTS),
    "own_speed": ("", _KNOTS),
    "course": (r"(?:course|침로)[^.;{}]{0,16}$", _DEGREES),
    "bearing": (r"(?:bear|방위)[^.;{}]{0,16}$", _DEGREES),
    "heading": (r"(?:heading|침로|선수)[^.;{}]{0,16}$", _DEGREES),
    "visibility": (r"(?:[Vv]isib|시정|see)[^.;{}]{0,16}$", _MILES),
    "length": ("", _METRES),
    "beam": ("", _METRES),
    "others": ("", r"\s*(?:other|척)"),
    "ships": ("", r"\s*(?:ships?|targets?|vessels?|척|(?=[,;.)]|$))"),
}
"""Name -> (what must stand before it, what must follow): a figure with another's word or unit would be a false one."""


def own_figures(picture: ShipPicture) -> dict[str, str]:
    """Figures of own ship and the surroundings, by name."""
    return {
        "heading": fmt_course(picture.own.heading_deg),
        "own_speed": fmt_speed(picture.own.sog_kn),
        "visibility": fmt_range(picture.environment.visibility_nm),
        "ships": str(len(picture.targets)),
        "others": str(max(0, len(picture.targets) - 1)),
    }


def fill(text: str, picture: ShipPicture, option: ShipOption | None = None, language: Language | None = None) -> str:
    """The text with every name replaced by its figure, in `language`, else the text's own.

    Raises ValueError that names the first name which is no figure of the picture or the option, or is said of something else.
    """
    language = language or language_of(text)
    known = own_figures(picture) | (option_figures(option, language) if option is not None else {})
    targets = {target.label: target for target in picture.targets}

    def value(match: re.Match[str]) -> str:
        label, name = match.group("label"), match.group("name")
        figures = known if label is None else target_figures(targets[label], language) if label in targets else {}
        if name not in figures:
            raise ValueError(f"{match.group()} names no figure of the picture; there are {', '.join(_names(picture, known))}")
        if complaint := misused(match):
            raise ValueError(complaint)
        return figures[name]

    filled = NAME.sub(value, text)
    if "{" in filled or "}" in filled:
        raise ValueError(f"a figure's name is not closed or not a word in {filled[:120]!r}")
    return filled


def misused(match: re.Match[str]) -> str:
    """Why a name is not said of what it names, "" when it is: wrong target, wrong word before it, wrong unit after it."""
    text, label, name = match.string, match.group("label"), match.group("name")
    before, after = text[: match.start()], text[match.end() :]
    if name not in USES:
        return f"{match.group()} is not a figure to be said here"
    subjects = LABEL.findall(before)
    if label is not None and subjects and subjects[-1] != label:
        return f"{match.group()} is said of {subjects[-1]}"
    wanted, unit = USES[name]
    if wanted and not re.search(wanted, before, re.DOTALL):
        return f"{match.group()} stands after {before[-24:]!r}, which speaks of something else"
    return "" if re.match(unit, after) else f"{match.group()} has the wrong unit: {after[:12]!r}"


def fill_so_far(text: str, picture: ShipPicture, language: Language | None = None) -> str:
    """fill() for a text that is still growing: a name that has only begun, or whose unit has not come, is held back."""
    held = _UNFINISHED.sub("", text)
    names = list(NAME.finditer(held))
    if names and not held[names[-1].end() :].strip() or names and len(held) - names[-1].end() < UNIT_CHARS and misused(names[-1]):
        held = held[: names[-1].start()]
    return fill(held, picture, language=language)


def _names(picture: ShipPicture, known: dict[str, str]) -> list[str]:
    labels = [target.label for target in picture.targets]
    of_target = [f"{{{labels[0]}.{name}}}" for name in target_figures(picture.targets[0], "en") if name in USES] if labels else []
    return [f"{{{name}}}" for name in known if name in USES] + of_target
