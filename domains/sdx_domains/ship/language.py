"""The situation, the advice and the reason in words, English and Korean. Start at describe(), advise(), reason().

Sentences stand in knowledge/wording.yaml; this module picks them by situation and fills in figures. Every figure
is computed by the picture or the option and printed by the fmt_* functions, which the prompt uses too, so that a
model copies digits and never converts them.
"""

from functools import cache
from importlib.resources import files
from math import isfinite
from typing import Any

import yaml

from sdx_domains.contract import Language
from sdx_domains.ship.picture import ShipOption, ShipPicture, Target

GENERAL_RULES = frozenset({2, 5, 6, 7, 8, 9, 10})
"""Rules that hold in every encounter; the short forms cite them only when no other applies."""
ACTING = frozenset({"turn", "slow", "turn_slow", "stop"})
SPEED_STEP_KN = 0.5
"""Smaller differences between an option's speed and the present one are not called a change of speed."""
CPA_SHOWN_NM = 30.0
"""A predicted distance beyond this says nothing: left out."""


def _fixed(value: float, decimals: int) -> str:
    text = f"{value:.{decimals}f}"
    return text.lstrip("-") if float(text) == 0 else text


def fmt_range(nm: float) -> str:
    """Nautical miles, one decimal: "8.5"."""
    return _fixed(nm, 1)


def fmt_cpa(nm: float) -> str:
    """Nautical miles, two decimals: "0.12"."""
    return _fixed(nm, 2)


def fmt_tcpa(minutes: float) -> str:
    """Minutes, one decimal, negative when past: "14.2", "-3.0"."""
    return _fixed(minutes, 1)


def fmt_bearing(deg: float) -> str:
    """An angle that is not a compass direction (relative bearing, turn), whole degrees: "45"."""
    return _fixed(deg, 0)


def fmt_course(deg: float) -> str:
    """A compass direction (course, heading, true bearing), three digits: "045"."""
    return f"{round(deg % 360.0) % 360:03d}"


def fmt_speed(kn: float) -> str:
    """Knots, one decimal: "12.0"."""
    return _fixed(kn, 1)


def fmt_metres(metres: float) -> str:
    """Whole metres: "100"."""
    return _fixed(metres, 0)


@cache
def _wording(language: Language) -> dict[str, Any]:
    return yaml.safe_load((files("sdx_domains.ship") / "knowledge/wording.yaml").read_text(encoding="utf-8"))[language]


def decisive(picture: ShipPicture, option: ShipOption | None = None) -> Target | None:
    """The target that the situation, or the option, turns on; None when no target is tracked.

    The most urgent one with a risk of collision; for an option that acts, the most urgent one that own ship keeps
    clear of, if there is any. Without risk: the most urgent of all.
    """
    risky = [target for target in picture.targets if at_risk(target)]
    if option is not None and option.kind in ACTING:
        risky = [target for target in risky if target.role in ("give_way", "both_give_way", "r19")] or risky
    return next(iter(risky or picture.targets), None)


def _subject(picture: ShipPicture) -> Target | None:
    """The target that a description is about: the decisive one, or the nearest when there is no risk with any."""
    target = decisive(picture)
    if target is None or at_risk(target):
        return target
    return min(picture.targets, key=lambda other: other.range_nm)


def at_risk(target: Target) -> bool:
    """There is risk of collision, and the target is not past and clear."""
    return target.stage > 0 and target.encounter != "none" and not target.past_and_clear


def rule_number(address: str) -> int:
    """ "R17(a)(ii)" -> 17."""
    return int(address.removeprefix("R").split("(")[0])


def cited_rules(target: Target) -> tuple[str, ...]:
    """Addresses that are particular to this encounter; the general ones when there is no other."""
    return tuple(rule for rule in target.rules if rule_number(rule) not in GENERAL_RULES) or target.rules


def describe(picture: ShipPicture, language: Language) -> str:
    """Two paragraphs, 150-700 characters: the situation, then what the rules ask of own ship."""
    return f"{situation(picture, language)}\n\n{_duty(picture, language)}"


def answer(picture: ShipPicture, option: ShipOption, language: Language) -> str:
    """Two paragraphs, 150-700 characters: the situation, then the advice; the form of TANGO2's data sets."""
    return f"{situation(picture, language)}\n\n{advise(picture, option, language)}"


def situation(picture: ShipPicture, language: Language) -> str:
    """One paragraph: visibility, ships, the most urgent one, own ship, CPA/TCPA, encounter, role, risk."""
    words = _wording(language)
    target = _subject(picture)
    environment = picture.environment
    own = {
        "own_course": fmt_course(picture.own.cog_deg),
        "own_speed": fmt_speed(picture.own.sog_kn),
        "distance": fmt_range(picture.route.distance_nm),
    }
    daylight = words["daylight"]["day" if environment.daylight else "night"]
    visibility = words["visibility"]
    if target is None:
        return f"{words['visibility_alone'].format(visibility=fmt_range(environment.visibility_nm), daylight=daylight)} {words['alone'].format(**own)}"
    hidden = sum(not seen.in_sight for seen in picture.targets)
    sentences = [
        visibility.format(
            visibility=fmt_range(environment.visibility_nm),
            daylight=daylight,
            ships=_counted(words["ships"], len(picture.targets)),
            unseen=words["unseen"].format(count=hidden) if hidden else "",
        ),
        words["urgent" if at_risk(target) else "nearest"].format(**_told(target, language)),
        words["own"].format(**own) + words["approach"][_approach(target)].format(**_told(target, language)),
        words["class"][target.encounter if at_risk(target) else "none"].format(**_told(target, language)),
    ]
    return " ".join(sentences)


def advise(picture: ShipPicture, option: ShipOption, language: Language) -> str:
    """One paragraph: rules, turn or speed with figures, port-turn ban, expected CPA, signals."""
    words = _wording(language)
    target = decisive(picture, option)
    fields = option_figures(option, language) | {"label": target.label if target else ""}
    risky = target is not None and at_risk(target)
    rules = _rules(cited_rules(target), "rules", language) if target is not None and risky and target.rules else ""
    text = words["advice"].format(
        basis=words["basis"]["some" if rules else "none"].format(rules=rules),
        action=words["action"][_action(option)].format(**fields),
        timing=words["timing"].format(**fields) if option.start_s > 0 else "",
        ban=words["ban"] if target is not None and risky and port_turn_barred(target) else "",
        expected=_expected(picture, option, language),
        signal=words["signal"][_signal(picture, option, target)].format(**fields),
    )
    return text[0].upper() + text[1:]


def compact(picture: ShipPicture, option: ShipOption, language: Language) -> str:
    """One line: speed action / direction action / basis."""
    words = _wording(language)
    target = decisive(picture, option)
    fields = option_figures(option, language)
    change = option.speed_kn - picture.own.sog_kn
    speed = "stop" if option.kind == "stop" else "keep" if abs(change) < SPEED_STEP_KN else "reduce" if change < 0 else "increase"
    cited = cited_rules(target) if target is not None and at_risk(target) else ()
    return words["compact"].format(
        speed_action=words["speed_action"][speed].format(**fields),
        direction_action=words["direction_action"]["turn" if _turns(option) else "keep"].format(**fields),
        basis=_rules(cited, "short_rules", language) or words["no_basis"],
    )


def reason(picture: ShipPicture, option: ShipOption, language: Language) -> str:
    """One to three short sentences, at most 45 English words: the deciding target, the duty, the act, the predicted CPA."""
    return _reason(picture, option, language, named=False)


def reason_form(picture: ShipPicture, option: ShipOption, language: Language) -> str:
    """The reason with figures by name ("{T1.cpa}", see figures.py): the one text that the embedded model learns to write."""
    return _reason(picture, option, language, named=True)


def names_of(figures: dict[str, str], label: str = "") -> dict[str, str]:
    """The same keys, each with the name of its figure for a value: "{cpa}", or "{T1.cpa}" with a label."""
    return {key: f"{{{label}.{key}}}" if label else f"{{{key}}}" for key in figures}


def _reason(picture: ShipPicture, option: ShipOption, language: Language, named: bool) -> str:
    words = _wording(language)["reason"]
    target = decisive(picture, option)
    fields = option_figures(option, language)
    fields = names_of(fields) if named else fields
    timing = words["timing"].format(**fields) if option.start_s > 0 else ""
    kind = _action(option) + ("_turn" if option.kind == "resume" and _turns(option) else "")
    action = words["action"][kind].format(timing=timing, **fields)
    if target is None:
        return words["alone"].format(action=action)
    shown = option.attainable_cpa_nm <= CPA_SHOWN_NM
    facts = {"closing": "facts", "past": "facts_past", "steady": "facts_steady"}[_approach(target)]
    figures = target_figures(target, language)
    figures = names_of(figures, target.label) if named else figures
    rules = _rules(cited_rules(target), "short_rules", language)
    others = len(picture.targets) - 1
    form = "risk" if at_risk(target) else "past" if target.past_and_clear else "none"
    return words[form].format(
        label=target.label,
        facts=words[facts].format(**figures),
        role=words["role"]["stand_on_acts" if target.role == "stand_on" and option.kind in ACTING else target.role],
        basis=words["basis"].format(rules=rules) if rules else "",
        action=action,
        outcome=words["outcome" if option.kind in ACTING else "outcome_standing"].format(**fields) if shown else "",
        others=_counted(words["others"], others, "{others}" if named else str(others)),
        **{"class": words["class"][target.encounter]},
    )


def port_turn_barred(target: Target) -> bool:
    """Rules 14, 15, 17(c) and 19(d)(i): no turn to port for this target."""
    if target.encounter == "restricted_visibility":
        return abs(target.rel_bearing_deg) < 90.0
    return target.encounter in ("head_on", "crossing_give_way", "crossing_stand_on")


def relative(rel_bearing_deg: float, language: Language) -> str:
    """ "45 deg to starboard", "right ahead"; Korean "우현 45도", "정선수"."""
    words = _wording(language)
    degrees = abs(round(rel_bearing_deg))
    if degrees in (0, 180):
        return words["relative"]["ahead" if degrees == 0 else "astern"]
    return words["relative"]["side"].format(degrees=fmt_bearing(abs(rel_bearing_deg)), side=_side(rel_bearing_deg, language))


def _side(signed_deg: float, language: Language) -> str:
    return _wording(language)["side"]["starboard" if signed_deg > 0 else "port"]


def _approach(target: Target) -> str:
    return "past" if target.tcpa_min < 0 else "steady" if target.tcpa_min == 0 else "closing"


def _counted(words: dict[str, str], count: int, shown: str = "") -> str:
    return words.get("none", "") if count <= 0 else words["one"] if count == 1 else words["many"].format(count=shown or count)


def _rules(addresses: tuple[str, ...], form: str, language: Language) -> str:
    """The numbers of the rules, each once, ascending: "Rules 8 and 16", "R15, R16", "제15조, 제16조"."""
    words = _wording(language)["rules"] | _wording(language)[form]
    numbers = sorted({rule_number(address) for address in addresses})
    items = [words["item"].format(number=number) for number in numbers]
    if form == "short_rules" or len(items) < 2:
        joined = words["comma"].join(items)
    else:
        joined = words["comma"].join(items[:-1]) + words["last"] + items[-1]
    return joined if form == "short_rules" or not items else words["one" if len(items) == 1 else "many"].format(rules=joined)


def target_figures(target: Target, language: Language) -> dict[str, str]:
    """Every figure that may be told of a target, by name, as printed."""
    return {
        "bearing": fmt_course(target.bearing_deg),
        "relative": relative(target.rel_bearing_deg, language),
        "range": fmt_range(target.range_nm),
        "length": fmt_metres(target.length_m),
        "beam": fmt_metres(target.beam_m),
        "course": fmt_course(target.cog_deg),
        "speed": fmt_speed(target.sog_kn),
        "cpa": fmt_cpa(target.cpa_nm),
        "tcpa": fmt_tcpa(target.tcpa_min),
        "ago": fmt_tcpa(abs(target.tcpa_min)),
    }


def _told(target: Target, language: Language) -> dict[str, str]:
    """The figures of a target, its label, the degree of risk and its rules."""
    risk = _wording(language)["risk"]["high" if target.risk >= 0.67 else "moderate" if target.risk >= 0.33 else "low"]
    return target_figures(target, language) | {"label": target.label, "risk": risk, "rules": _rules(target.rules, "rules", language)}


def option_figures(option: ShipOption, language: Language) -> dict[str, str]:
    """Every figure that may be told of an option, by name, as printed. `alteration`: of course, with its side."""
    side = _side(option.turn_deg, language)
    alteration = _wording(language)["relative"]["side"].format(degrees=fmt_bearing(abs(option.turn_deg)), side=side)
    shown = isfinite(option.attainable_cpa_nm) and option.attainable_cpa_nm <= CPA_SHOWN_NM
    return {
        # A turn that is not made has no figure; a return to the route may be one of 0 deg.
        **({"alteration": alteration} if _turns(option) or option.kind == "resume" else {}),
        **({"min_cpa": fmt_cpa(option.attainable_cpa_nm)} if shown else {}),
        "turn": fmt_bearing(abs(option.turn_deg)),
        "side": side,
        "course": fmt_course(option.course_deg),
        "speed": fmt_speed(option.speed_kn),
        "start": _fixed(option.start_s / 60.0, 0),
    }


def _turns(option: ShipOption) -> bool:
    """The turn is a degree or more once rounded."""
    return option.kind not in ("keep", "hold") and round(option.turn_deg) != 0


def _action(option: ShipOption) -> str:
    """The kind of the option; a turn of less than a degree is no turn."""
    if option.kind in ("turn", "turn_slow") and not _turns(option):
        return "hold" if option.kind == "turn" else "slow"
    return option.kind


def _expected(picture: ShipPicture, option: ShipOption, language: Language) -> str:
    words = _wording(language)["expected"]
    if not picture.targets or option.attainable_cpa_nm > CPA_SHOWN_NM:
        return ""
    if option.attainable_cpa_nm > option.min_cpa_nm:
        # Standing on: the distance that counts is the one that own ship can still reach by acting later.
        return words["attainable"].format(min_cpa=fmt_cpa(option.attainable_cpa_nm))
    nearest = min(option.by_target, key=lambda outcome: outcome.min_cpa_nm, default=None)
    if nearest is None or fmt_tcpa(nearest.t_min) == fmt_tcpa(0.0):
        return words["one"].format(min_cpa=fmt_cpa(option.min_cpa_nm))
    return words["at"].format(min_cpa=fmt_cpa(nearest.min_cpa_nm), nearest=nearest.label, t=fmt_tcpa(nearest.t_min))


def _signal(picture: ShipPicture, option: ShipOption, target: Target | None) -> str:
    """Sound signal: Rule 35 in restricted visibility, Rule 34 when the ships are in sight of one another."""
    if picture.environment.restricted_visibility:
        return "fog_stopped" if option.speed_kn < SPEED_STEP_KN else "fog"
    if target is None or not at_risk(target):
        return "none"
    if option.kind not in ACTING:
        return "doubt" if target.role == "stand_on" and target.stage >= 3 and target.in_sight else "none"
    if not target.in_sight:
        return "slow"
    if option.kind == "stop":
        return "astern"
    return ("starboard" if option.turn_deg > 0 else "port") if _turns(option) else "slow"


def _duty(picture: ShipPicture, language: Language) -> str:
    words = _wording(language)
    target = _subject(picture)
    duties = words["duty"]
    if target is None:
        return duties["alone"]
    others = _counted(words["others"], len(picture.targets) - 1)
    return duties[_duty_kind(target)].format(**_told(target, language)) + others


def _duty_kind(target: Target) -> str:
    if not at_risk(target):
        return "past" if target.past_and_clear else "none"
    if target.role == "stand_on":
        return "stand_on_hold" if target.stage <= 2 else "stand_on_may" if target.stage == 3 else "stand_on_must"
    if target.role == "r19":
        return "r19"
    return target.encounter if target.encounter in ("head_on", "crossing_give_way", "overtaking") else "give_way"
