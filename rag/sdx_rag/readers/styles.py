"""Which elements of a web page its own styles hide: not shown, no size, off the page, or written in the background's colour. Start at hides()."""

import re
from collections.abc import Mapping

_NAMES = {"white": (255, 255, 255), "black": (0, 0, 0), "snow": (255, 250, 250), "ivory": (255, 255, 240), "whitesmoke": (245, 245, 245)}
_LENGTH = re.compile(r"(-?[\d.]+)(px|pt|em|rem|ex|%)?")
_AWAY = -400.0  # pixels beyond which something is off the page
_LIKE = 25  # of 255 in each colour: nobody reads text that differs less from its background
# Rules that hold only while a pointer or the keyboard does something, or on paper, say nothing about what is shown.
_PASSING = re.compile(r":(hover|focus|active|visited|target|checked|before|after|:)|::")
_MEDIA = re.compile(r"@media([^{}]{0,300})\{((?:[^{}]*\{[^{}]*\})*[^{}]*)\}", re.IGNORECASE)

Colour = tuple[int, ...] | str


def declared(style: str) -> dict[str, str]:
    """The declarations of a style attribute or rule, lower case, without "!important"."""
    pairs = (part.partition(":") for part in _uncommented(style).lower().split(";"))
    return {name.strip(): value.replace("!important", "").strip() for name, _, value in pairs if value}


def hiding_selectors(sheet: str) -> list[str]:
    """Selectors of a style sheet whose rule hides what they choose; the first 500."""
    sheet = _MEDIA.sub(lambda media: "" if "print" in media[1].lower() else media[2], _uncommented(sheet))
    selectors = []
    for rule in sheet.split("}"):
        before, _, declarations = rule.rpartition("{")
        selector = re.split(r"[{;]", before)[-1].strip()
        if selector and not _PASSING.search(selector) and hides(declared(declarations)):
            selectors.append(selector)
    return selectors[:500]


def _uncommented(style: str) -> str:
    first, *others = style.split("/*")
    return first + "".join(other.partition("*/")[2] for other in others)


def hides(style: Mapping[str, str]) -> bool:
    """Whether these declarations alone make a text unseen on any background."""
    return (
        style.get("display") == "none"
        or style.get("visibility") in ("hidden", "collapse")
        or style.get("content-visibility") == "hidden"
        or _at_most(style.get("opacity"), 0.05)
        or _at_most(style.get("font-size"), 2)
        or _at_most(style.get("text-indent"), _AWAY)
        or style.get("position") in ("absolute", "fixed", "relative")
        and any(_at_most(style.get(side), _AWAY) for side in ("left", "right", "top", "bottom", "margin-left", "margin-top"))
        or "overflow" in style
        and any(_at_most(style.get(side), 1) for side in ("height", "width", "max-height", "max-width"))
        or bool(re.search(r"rect\((0|1px)|inset\((50|100)%", style.get("clip", "") + style.get("clip-path", "")))
        or "scale(0)" in style.get("transform", "")
        or colour(style.get("color")) == "transparent"
        or (colour(style.get("color")) is not None and same(colour(style.get("color")), background(style)))
    )


def _at_most(length: str | None, limit: float) -> bool:
    """Of a length in pixels, points or times the letter's size; percent of less than 5 counts as nothing."""
    match = _LENGTH.fullmatch(length) if length else None
    if not match or match[1].count(".") > 1 or match[1] in ("-", ".", "-."):
        return False
    value = float(match[1])
    unit = {"em": 12.0, "rem": 12.0, "ex": 6.0, "%": 0.12}.get(match[2] or "px", 1.0)
    return value * unit <= limit


def background(style: Mapping[str, str]) -> Colour | None:
    """The colour behind, where these declarations give one."""
    given = style.get("background-color") or style.get("background")
    return next((found for word in re.findall(r"[a-z]+\([^)]*\)|#?\w+", given or "") if (found := colour(word)) is not None), None)


def colour(value: str | None) -> Colour | None:
    """(red, green, blue) of 255, "transparent", or the word itself; None of nothing or of what is inherited."""
    value = (value or "").strip().lower()
    if value in ("", "inherit", "initial", "unset", "currentcolor", "none"):
        return None
    if re.fullmatch(r"#[0-9a-f]{3,4}", value):
        value = "#" + "".join(2 * digit for digit in value[1:])
    if re.fullmatch(r"#[0-9a-f]{6}([0-9a-f]{2})?", value):
        return "transparent" if value[7:] == "00" else tuple(int(value[place : place + 2], 16) for place in (1, 3, 5))
    if match := re.fullmatch(r"rgba?\(([^)]*)\)", value):
        parts = [float(part) for part in re.findall(r"\d+(?:\.\d+)?", match[1])]
        if len(parts) == 4 and parts[3] <= 0.05:
            return "transparent"
        return tuple(round(part) for part in parts[:3]) if len(parts) >= 3 else None
    return _NAMES.get(value, value)


def same(one: Colour | None, other: Colour | None) -> bool:
    """Whether text of one colour cannot be seen on the other."""
    if isinstance(one, tuple) and isinstance(other, tuple):
        return all(abs(a - b) <= _LIKE for a, b in zip(one, other, strict=False))
    return one is not None and one == other
