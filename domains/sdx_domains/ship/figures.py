"""Figures by name: a model writes "{T1.cpa}", and code puts the picture's number there.

So no number in a text is a model's own, and a small model need not copy digits. Names: those of language.target_figures()
after a target's label ({T1.relative}, {T1.range}, {T1.cpa}, {T1.tcpa}, ...), of own_figures() and, where an option was
chosen, of language.option_figures() ({alteration}, {speed}, {min_cpa}, ...).
"""

import re

from sdx_domains.contract import language_of
from sdx_domains.ship.language import fmt_course, fmt_range, fmt_speed, option_figures, target_figures
from sdx_domains.ship.picture import ShipOption, ShipPicture

_NAME = re.compile(r"\{(?:(?P<label>T\d+)\.)?(?P<name>\w+)\}")
_UNFINISHED = re.compile(r"\{[^{}]*$")


def own_figures(picture: ShipPicture) -> dict[str, str]:
    """Figures of own ship and the surroundings, by name."""
    return {
        "heading": fmt_course(picture.own.heading_deg),
        "own_speed": fmt_speed(picture.own.sog_kn),
        "visibility": fmt_range(picture.environment.visibility_nm),
        "ships": str(len(picture.targets)),
        "others": str(max(0, len(picture.targets) - 1)),
    }


def fill(text: str, picture: ShipPicture, option: ShipOption | None = None) -> str:
    """The text with every name replaced by its figure, in the text's own language.

    Raises ValueError that names the first name which is no figure of the picture or the option.
    """
    language = language_of(text)
    known = own_figures(picture) | (option_figures(option, language) if option is not None else {})
    targets = {target.label: target for target in picture.targets}

    def value(match: re.Match[str]) -> str:
        label, name = match.group("label"), match.group("name")
        figures = known if label is None else target_figures(targets[label], language) if label in targets else {}
        if name not in figures:
            raise ValueError(f"{match.group()} names no figure of the picture; there are {', '.join(_names(picture, known))}")
        return figures[name]

    filled = _NAME.sub(value, text)
    if "{" in filled or "}" in filled:
        raise ValueError(f"a figure's name is not closed or not a word in {filled[:120]!r}")
    return filled


def fill_so_far(text: str, picture: ShipPicture) -> str:
    """fill() for a text that is still growing: a name that has only begun is held back. ValueError as there."""
    return fill(_UNFINISHED.sub("", text), picture)


def _names(picture: ShipPicture, known: dict[str, str]) -> list[str]:
    labels = [target.label for target in picture.targets]
    of_target = [f"{{{labels[0]}.{name}}}" for name in target_figures(picture.targets[0], "en")] if labels else []
    return [f"{{{name}}}" for name in known] + of_target
