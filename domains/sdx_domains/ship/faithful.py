"""Does every figure of a text stand in the picture? unsupported_numbers() names those that do not.

Reads English and Korean. A figure is a number with what it means (its unit, or the word before it), the side and
the targets that its sentence names; it fits if the picture or an option holds that quantity, within rounding, for
one of these targets, for own ship or for the surroundings. A number without a meaning that can be told is reported too.
"""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import isfinite

from sdx_domains.ship.picture import ShipOption, ShipPicture, Target

TOLERANCE = {
    "range": 0.1,
    "cpa": 0.05,
    "speed": 0.1,
    "minutes": 0.1,
    "course": 1.0,
    "relative": 1.0,
    "turn": 1.0,
    "metres": 1.0,
    "rot": 1.0,
}
UNIT = {
    "range": "NM",
    "cpa": "NM CPA",
    "speed": "kn",
    "minutes": "min",
    "course": "deg",
    "relative": "deg relative",
    "turn": "deg of turn",
    "metres": "m",
    "rot": "deg/min",
    "count": "ships",
    "others": "other ships",
    "blasts": "blasts",
    "channel": "VHF channel",
}
ALWAYS_IN_FORCE = frozenset({2, 5, 6, 7, 8, 34})
FOG_SIGNAL_MIN = 2.0
VHF_CHANNELS = (13.0, 16.0)
EPSILON = 1e-6

_NUMBER = re.compile(r"[-−–]?\d+(?:\.\d+)?")
_LABEL = re.compile(r"(?<![A-Za-z0-9])T\d+(?![\d.]*\d)")
_SENTENCE = re.compile(r"(?<=[.!?。;])\s+|\n+")
_SUB = r"(?:\s*\([a-z]+\))*"
_PLAIN_ITEM = rf"\d+(?!\.?\d|\s*(?:NM|deg|°|kn|kt|min|m\b)){_SUB}"
_RULES = re.compile(
    rf"(?:Rules\s+{_PLAIN_ITEM}(?:\s*(?:,\s*and|,|and|or|&)\s*(?:R|Rule\s+)?{_PLAIN_ITEM})*"
    rf"|(?:Rule\s*|(?<![A-Za-z])R|규칙\s*)\d+{_SUB}|제\s*\d+\s*조{_SUB})"
)
_UNITS: tuple[tuple[str, re.Pattern[str]], ...] = tuple(
    (kind, re.compile(pattern))
    for kind, pattern in (
        ("rot", r"\s*(?:deg|degrees|°|도)\s*(?:/|per )\s*(?:min|분)"),
        ("degrees", r"\s*(?:-?deg(?:rees?)?(?![a-z])|°|도)"),
        ("miles", r"\s*(?:NM|nm|nautical miles?|miles?|해리|마일)(?![a-z])"),
        ("speed", r"\s*(?:kn|kts?|knots?|노트)(?![a-z])"),
        ("minutes", r"\s*(?:minutes?|mins?|분)(?![a-z])"),
        ("seconds", r"\s*(?:seconds?|secs?|s|초)(?![a-z])"),
        ("metres", r"\s*(?:metres?|meters?|m|미터)(?![a-z])"),
        ("count", r"\s*(?:(?:other|more|further|tracked)\s+)*(?:ships?|vessels?|targets?|others?|of them)(?![a-z])|\s*척"),
        ("blasts", r"\s*(?:short|prolonged|long)?(?:\s*and rapid)?\s*blasts?"),
    )
)
_BEFORE: tuple[tuple[str, re.Pattern[str]], ...] = tuple(
    (kind, re.compile(pattern, re.IGNORECASE))
    for kind, pattern in (
        ("blasts", r"(?:단음|장음)\s*(?:을|으로)?\s*$"),
        ("channel", r"(?:VHF|channel|채널)\s*(?:channel|채널)?\s*$"),
        ("minutes", r"TCPA(?:\W*\w{1,4}){0,4}\W*$"),
        ("miles", r"(?:CPA|range|거리)(?:\W*\w{1,4}){0,4}\W*$"),
        ("count", r"(?:ships|targets|vessels) in the picture:\s*$"),
        ("speed", r"(?:speed|속력)(?:\W*\w{1,4}){0,4}\W*$"),
        ("degrees", r"(?:course|heading|bearing|bears|침로|방위|선수방위)(?:\W*\w{1,4}){0,4}\W*$"),
    )
)
_OTHER_UNIT = re.compile(r"\s*(?:km|cables?|feet|ft|yards?|hours?|hrs?|h|mph|m/s|킬로|시간)(?![A-Za-z])")
"""No figure of the picture is in these."""
_CPA_BEFORE = re.compile(r"(?<!T)CPA|closest|최근접|근접 거리|\bpass(?:es|ing)?\b|\bmiss", re.IGNORECASE)
_TURN_NEAR = re.compile(r"\b(?:turn|alter|alteration|come|resume)|변침", re.IGNORECASE)
_SIDE_AFTER = re.compile(r"^\s*(?:to|on|off)?\s*(?:the|our|own)?\s*(starboard|port)")
_SIDE_BEFORE = re.compile(r"(starboard|port|우현|좌현)(?:으로|에서|에|쪽으로|쪽|\s+by)?\s*$")
_OTHERS_AFTER = re.compile(r"\s*(?:other|more|further)")
_AGO = re.compile(r"^\s*(?:ago|전)")
_FOG_INTERVAL = re.compile(r"^\s*(?:을 넘지|이내|or less)|^\s*간격")
_AFTER_WORDS = 24
"""Characters after a number in which "변침" may still say that it is a turn."""


@dataclass(frozen=True, slots=True)
class _Figure:
    text: str
    kind: str
    value: float
    labels: frozenset[str]
    side: int = 0
    """+1 starboard, -1 port, 0 not said."""


def unsupported_numbers(text: str, picture: ShipPicture, options: Sequence[ShipOption]) -> list[str]:
    """One sentence for every figure, target label or rule in `text` that the picture and the options do not hold.

    Rounding allowed: bearings, courses and turns 1 deg, range 0.1 NM, CPA 0.05 NM, speed 0.1 kn, times 0.1 min,
    metres 1 m. A side that is said must be the right one. Pass only the chosen option to hold the text to it.
    """
    wrong: list[str] = []
    known = {target.label for target in picture.targets}
    for sentence in _SENTENCE.split(text):
        labels = frozenset(_LABEL.findall(sentence))
        wrong += [
            f"{label} is not a target of the picture; it has {', '.join(sorted(known)) or 'none'}" for label in sorted(labels - known)
        ]
        bare, rules = _without_names(sentence, options)
        wrong += [message for rule in rules for message in _wrong_rules(rule, picture, options)]
        facts = _Facts(picture, options, labels & known)
        wrong += [message for figure in _figures(bare, labels & known) if (message := facts.complaint(figure))]
    return wrong


def _without_names(sentence: str, options: Sequence[ShipOption]) -> tuple[str, list[str]]:
    """The sentence with rules, labels and option ids blanked out, and the rule citations."""
    rules = _RULES.findall(sentence)
    blank: Callable[[re.Match[str]], str] = lambda match: " " * len(match.group())
    bare = _LABEL.sub(blank, _RULES.sub(blank, sentence))
    named = [re.escape(option.id) for option in options if any(character.isdigit() for character in option.id)]
    if named:
        bare = re.sub(rf"(?<![A-Za-z0-9])(?:{'|'.join(named)})(?![A-Za-z0-9])", blank, bare)
    return bare, rules


def _wrong_rules(citation: str, picture: ShipPicture, options: Sequence[ShipOption]) -> list[str]:
    """Cited rule numbers that are neither in force for any target, nor in an option's flags, nor always in force."""
    addresses = [address for target in picture.targets for address in target.rules]
    addresses += [flag.split()[0] for option in options for flag in option.flags if flag]
    allowed = set(ALWAYS_IN_FORCE) | {int(found) for address in addresses for found in re.findall(r"^R(\d+)", address)}
    if picture.environment.restricted_visibility:
        allowed |= {19, 35}
    numbers = [int(number) for number in re.findall(r"\d+", citation)]
    return [
        f"Rule {number} is not in force here; in force: {', '.join(map(str, sorted(allowed)))}"
        for number in numbers
        if number not in allowed
    ]


def _figures(sentence: str, labels: frozenset[str]) -> list[_Figure]:
    """Every number of the sentence with its meaning; kind "" when that cannot be told."""
    found: list[_Figure] = []
    end = 0
    for match in _NUMBER.finditer(sentence):
        before, after = sentence[end : match.start()], sentence[match.end() :]
        end = match.end()
        found.append(_figure(match.group(), before, after, labels))
    return found


def _figure(number: str, before: str, after: str, labels: frozenset[str]) -> _Figure:
    # A dash that joins ("10-20", "course-090") is no sign.
    value = float(number.replace("−", "-").replace("–", "-"))
    if value < 0 and before and not before[-1].isspace() and before[-1] not in "(:=":
        value = -value
    kind, rest = _kind(before, after)
    if kind == "miles":
        kind = "cpa" if _CPA_BEFORE.search(before) else "range"
    if kind == "seconds":
        kind, value = "minutes", value / 60.0
    if kind == "minutes":
        if _FOG_INTERVAL.match(rest) or re.search(r"at most\s*$", before):
            return _Figure(number, "fog interval", value, labels)
        value = -value if _AGO.match(rest) else value
    if kind == "count" and (_OTHERS_AFTER.match(after) or before.rstrip().endswith("그 외")):
        kind = "others"
    if kind != "degrees":
        return _Figure(number, kind, value, labels)
    side = _side(before, rest)
    turn = _TURN_NEAR.search(before) or "변침" in rest.split(",")[0][:_AFTER_WORDS]
    kind = "turn" if turn and not _BEFORE[-1][1].search(before) else "relative" if side else "course"
    return _Figure(number, kind, value, labels, side)


def _kind(before: str, after: str) -> tuple[str, str]:
    """Meaning of a number by the unit after it, else by the word before it; and what follows the unit."""
    if _OTHER_UNIT.match(after):
        return "", after
    for kind, pattern in _BEFORE[:2]:
        if pattern.search(before):
            return kind, after
    for kind, pattern in _UNITS:
        if match := pattern.match(after):
            return kind, after[match.end() :]
    for kind, pattern in _BEFORE[2:]:
        if pattern.search(before):
            return kind, after
    return "", after


def _side(before: str, rest: str) -> int:
    match = _SIDE_AFTER.match(rest) or _SIDE_BEFORE.search(before)
    return 0 if match is None else 1 if match.group(1) in ("starboard", "우현") else -1


class _Facts:
    """The quantities that a sentence about certain targets may name."""

    def __init__(self, picture: ShipPicture, options: Sequence[ShipOption], labels: frozenset[str]) -> None:
        self.picture = picture
        self.options = options
        self.labels = labels
        self.targets = [target for target in picture.targets if not labels or target.label in labels]

    def complaint(self, figure: _Figure) -> str:
        """ "" if the figure is a fact, else one sentence that says what is."""
        if figure.kind == "":
            return f"{figure.text} has no unit or name that says what it is"
        if figure.kind == "fog interval":
            return "" if figure.value == FOG_SIGNAL_MIN else f"{figure.text} min is not the interval of the fog signal; it is 2 min"
        values = [value for value in self.values(figure.kind) if isfinite(value)]
        if any(_fits(figure, value) for value in values):
            return ""
        where = " or ".join(sorted(figure.labels)) or "the picture"
        near = sorted(values, key=lambda value: abs(value - figure.value))[:3]
        side = {1: " to starboard", -1: " to port", 0: ""}[figure.side]
        return f"{figure.text} {UNIT[figure.kind]}{side} is not a figure of {where}; nearest: {', '.join(f'{value:.2f}' for value in near) or 'none'}"

    def values(self, kind: str) -> list[float]:
        """Every value of that kind of quantity."""
        read: dict[str, Callable[[], list[float]]] = {
            "range": self._ranges,
            "cpa": self._cpas,
            "speed": self._speeds,
            "minutes": self._minutes,
            "course": self._courses,
            "relative": lambda: [target.rel_bearing_deg for target in self.targets],
            "turn": lambda: [turn for option in self.options for turn in (option.turn_deg, option.offset_deg)],
            "metres": self._metres,
            "rot": lambda: [self.picture.own.rot_deg_min, *(target.rot_deg_min for target in self.targets)],
            "count": self._counts,
            "others": lambda: [float(len(self.picture.targets) - 1)],
            "blasts": self._blasts,
            "channel": lambda: list(VHF_CHANNELS),
        }
        return read[kind]()

    def _ranges(self) -> list[float]:
        shared = [self.picture.environment.visibility_nm, self.picture.route.distance_nm, self.picture.cpa_limit_nm]
        return shared + [value for target in self.targets for value in (target.range_nm, abs(target.bcr_nm or target.range_nm))]

    def _cpas(self) -> list[float]:
        values = [self.picture.cpa_limit_nm, *(target.cpa_nm for target in self.targets)]
        for option in self.options:
            values += [option.min_cpa_nm, option.attainable_cpa_nm]
            values += [outcome.min_cpa_nm for outcome in option.by_target if not self.labels or outcome.label in self.labels]
        return values

    def _speeds(self) -> list[float]:
        own, environment = self.picture.own, self.picture.environment
        values = [own.sog_kn, own.ordered_speed_kn, self.picture.route.planned_sog_kn, environment.wind_kn, environment.current_kn]
        return (
            [value for value in values if value is not None]
            + [ship.sog_kn for ship in self.targets]
            + [option.speed_kn for option in self.options]
        )

    def _minutes(self) -> list[float]:
        values = [value for target in self.targets for value in (target.tcpa_min, target.bct_min) if value is not None]
        for option in self.options:
            # Prompts and texts print an option's start and duration in whole minutes.
            whole = [round(option.start_s / 60.0), round(option.duration_s / 60.0)]
            values += [*whole, option.start_s / 60.0, option.duration_s / 60.0, option.extra_time_s / 60.0]
            values += [outcome.t_min for outcome in option.by_target if not self.labels or outcome.label in self.labels]
        return values

    def _courses(self) -> list[float]:
        own, route, environment = self.picture.own, self.picture.route, self.picture.environment
        values = [own.heading_deg, own.cog_deg, own.ordered_heading_deg, route.leg_course_deg, route.course_to_steer_deg]
        values += [environment.wind_from_deg, environment.current_to_deg]
        values += [value for ship in self.targets for value in _directions(ship)]
        return [value for value in values if value is not None] + [option.course_deg for option in self.options]

    def _metres(self) -> list[float]:
        size = self.picture.own.parameters
        values = [size.length_m, size.beam_m, size.draft_m, abs(self.picture.route.xte_m), self.picture.environment.depth_m]
        return [value for value in values if value is not None] + [value for ship in self.targets for value in (ship.length_m, ship.beam_m)]

    def _counts(self) -> list[float]:
        targets = self.picture.targets
        risky = sum(target.stage > 0 for target in targets)
        seen = sum(target.in_sight for target in targets)
        counts = {len(targets), len(targets) - 1, risky, seen, len(targets) - seen, len(self.labels)}
        return [float(count) for count in counts if count > 0 or not targets]

    def _blasts(self) -> list[float]:
        """Rule 34: 1 starboard, 2 port, 3 astern, 5 doubt. Rule 35: 1 making way, 2 stopped."""
        fitting: set[float] = {1.0, 2.0} if self.picture.environment.restricted_visibility else set()
        for option in self.options:
            fitting |= {1.0} if option.turn_deg > 0 else {2.0} if option.turn_deg < 0 else set()
            fitting |= {3.0} if option.kind == "stop" else set()
        return sorted(fitting | ({5.0} if any(target.role == "stand_on" for target in self.picture.targets) else set()))


def _directions(target: Target) -> tuple[float, ...]:
    """Compass directions and the angles without a side that may be said of a target."""
    return (target.cog_deg, target.heading_deg, target.bearing_deg, abs(target.rel_bearing_deg))


def _fits(figure: _Figure, value: float) -> bool:
    """Within rounding; directions go round, a side that is said must agree."""
    tolerance = TOLERANCE.get(figure.kind, 0.0) + EPSILON
    if figure.kind == "course":
        return abs((figure.value - value + 180.0) % 360.0 - 180.0) <= tolerance
    if figure.kind in ("relative", "turn"):
        return abs(figure.value - (value * figure.side if figure.side else abs(value))) <= tolerance
    if figure.kind == "rot":
        return abs(abs(figure.value) - abs(value)) <= tolerance
    return abs(figure.value - value) <= tolerance
