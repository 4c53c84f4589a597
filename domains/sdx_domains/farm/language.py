"""The house, the advice and the reason in words, English and Korean. Start at describe(), advise(), reason_form().

Sentences stand in knowledge/wording.yaml with figures by name; this module picks those that can be said now and figures.fill puts the
numbers in, so that every number of a text is one of the picture's or the plan's, printed one way.
"""

from collections.abc import Iterator, Mapping, Sequence

from sdx_domains.contract import Language
from sdx_domains.farm.figures import NAME, SET_POINTS, Figure, fill, known, rounded, wording
from sdx_domains.farm.picture import FarmOption, FarmPicture
from sdx_domains.farm.plan import Plan
from sdx_domains.farm.situation import situation_of
from sdx_domains.farm.strategies import RULES
from sdx_domains.farm.strategies import words as strategy_words

SHUT_PCT, OPEN_PCT = 2.0, 98.0
"""A device below is off or shut, above on or fully open."""
ALWAYS_TOLD = frozenset({"vents", "heating", "screen", "lamps"})
TOLD_CHANGES = {"heat": 0.3, "vent": 0.5, "rh": 1.0, "co2": 50.0, "lamp": 5.0, "screen": 1.5, "shade": 300.0, "fog": 0.15,
                "shot_j": 10.0, "shot_l": 0.05, "feed_ec": 0.2, "feed_ph": 0.2}  # fmt: skip
"""Set-point -> a smaller difference from the rules' plan is not worth telling; also the scale on which differences are compared."""
MOST_CHANGES, MOST_CLAUSES = 2, 2
USUALLY_TOLD = ("heat", "vent")
"""Set-points that a reason tells of a plan that differs in none from the rules'."""
ADVISED = ("heat", "vent", "rh", "co2", "lamp", "screen")
NOTHING = {"co2": 420.0, "lamp": 0.0}
"""Set-point -> up to here it does nothing: the air outside holds that much CO2 already."""


def describe(picture: FarmPicture, language: Language) -> str:
    """Two short paragraphs: climate, weather and prices; then crop, devices, what limits growth, what to watch, alarms."""
    words, figures = wording()[language], known(picture)
    crop = {"crop": words["crops"].get(picture.crop.name, picture.crop.name), "stage": words["stages"][picture.crop.stage]}
    first = [sayable(words[part], figures) for part in ("now", "outside", "forecast", "prices")]
    second = [named(sayable(words["crop"], figures), crop), _devices(figures, language), *_judged(picture, language)]
    text = "\n\n".join(" ".join(sentence for sentence in part if sentence) for part in (first, second))
    return fill(text, picture, language=language)


def advise(picture: FarmPicture, option: FarmOption, language: Language) -> str:
    """One paragraph: what the plan does, and what it leads to in simulation against the rules' plan."""
    words = wording()[language]
    actions = [_action(stem, option, language) for stem in ADVISED]
    against = "" if option.strategy == RULES else words["against"]
    text = named(words["advice"], {"id": option.id, "name": plan_name(option, language), "actions": ", ".join(actions), "against": against})
    text += named(words["flags"], {"flags": "; ".join(option.flags)}) if option.flags else ""
    return fill(text, picture, option, language)


def reason_form(picture: FarmPicture, option: FarmOption, options: Sequence[FarmOption], language: Language) -> str:
    """Why this plan, figures by name: what is measured and forecast, what it does unlike the rules' plan, what that leads to."""
    words = wording()[language]["reason"]
    rules = next((other for other in options if other.strategy == RULES), None)
    same = rules is None or rules.id == option.id
    changes = [] if rules is None or same else _changes(option, rules)
    actions = ", ".join(_action(stem, option, language) for stem in (changes or USUALLY_TOLD))
    return named(
        words["text"],
        {
            "facts": ", ".join(_clauses(picture, changes, language)),
            "actions": actions[0].upper() + actions[1:],
            "outcome": words["outcome_rules" if same else "outcome"],
        },
    )


def reason(picture: FarmPicture, option: FarmOption, options: Sequence[FarmOption], language: Language) -> str:
    """reason_form() with the figures filled in."""
    return fill(reason_form(picture, option, options, language), picture, option, language)


def plan_name(option: FarmOption, language: Language) -> str:
    """The strategy in a few words of the language."""
    return strategy_words(option.strategy, language)


def sayable(sentences: str | Sequence[str], figures: Mapping[str, Figure]) -> str:
    """The first sentence whose figures are all known, "" when there is none. Names that are no figures (_WORDS) do not count."""
    several = [sentences] if isinstance(sentences, str) else sentences
    return next((sentence for sentence in several if all(name in figures or name in _WORDS for name in NAME.findall(sentence))), "")


_WORDS = frozenset({"crop", "stage", "limit", "risks", "alarms"})


def named(sentence: str, values: Mapping[str, str]) -> str:
    """The sentence with these names replaced and every figure's name left as it is."""
    for name, value in values.items():
        sentence = sentence.replace(f"{{{name}}}", value)
    return sentence


def _devices(figures: Mapping[str, Figure], language: Language) -> str:
    words = wording()[language]
    told: list[str] = []
    for name, forms in words["devices"].items():
        if name in figures:
            position = rounded(figures[name])
            form = "low" if position <= SHUT_PCT else "high" if position >= OPEN_PCT else "part"
            told += [forms[form]] if form in forms and (name in ALWAYS_TOLD or form != "low") else []
    text = ", ".join(told)
    return named(words["actuators"], {"first": text[0].upper() + text[1:]}) if told else ""


def _judged(picture: FarmPicture, language: Language) -> Iterator[str]:
    """What limits the house, what is to be watched, which alarms stand."""
    words, found = wording()[language], situation_of(picture)
    yield named(words["limit"], {"limit": words["limits"][found.limit]})
    watched = [words["risks"][name] for name in found.risks if name != "alarm"]
    if watched:
        yield named(words["risk"], {"risks": ", ".join(watched)})
    if picture.alarms:
        yield named(words["alarm"], {"alarms": ", ".join(alarm_names(picture, language))})


def alarm_names(picture: FarmPicture, language: Language) -> list[str]:
    """What kinds of alarm stand, each once."""
    words = wording()[language]["alarms"]
    return list(dict.fromkeys(words.get(alarm.kind, alarm.kind.replace("_", " ")) for alarm in picture.alarms))


def _clauses(picture: FarmPicture, changes: Sequence[str], language: Language) -> list[str]:
    """The climate, the gravest risk, what speaks for the change, what limits the house, the weather: the first that add something new."""
    words, figures, found = wording()[language]["reason"], known(picture), situation_of(picture)
    risks = [words["risk"][name] for name in found.risks if name in words["risk"]]
    offered = [*risks[:1], *(words["change"][stem] for stem in changes), *risks[1:]]
    offered += [words["limit"].get(found.limit, ""), *words["rest"]]
    told, names = [sayable(words["facts"], figures)], set[str]()
    for clause in offered:
        cited = set(NAME.findall(clause))
        if len(told) <= MOST_CLAUSES and sayable(clause, figures) and not cited & names:
            told.append(clause)
            names |= cited
    return told


def _changes(option: FarmOption, rules: FarmOption) -> list[str]:
    """The set-points in which the plan differs most from the rules', at most MOST_CHANGES."""
    mine, theirs = (Plan.of_setpoints(plan.setpoints).knots for plan in (option, rules))
    sizes: dict[str, float] = {}
    for stem, (field, _, _) in SET_POINTS.items():
        differences = [abs(getattr(a, field) - getattr(b, field)) for a, b in zip(mine, theirs, strict=False)]
        sizes[stem] = max(differences) / TOLD_CHANGES[stem]
    shots = ("shot_j", "shot_l")
    sizes = {"shot": max(sizes[stem] for stem in shots)} | {stem: size for stem, size in sizes.items() if stem not in shots}
    return [stem for stem in sorted(sizes, key=lambda stem: -sizes[stem]) if sizes[stem] >= 1.0][:MOST_CHANGES]


def _action(stem: str, option: FarmOption, language: Language) -> str:
    """What the plan does with one set-point."""
    knots = Plan.of_setpoints(option.setpoints).knots
    none = stem in NOTHING and max(getattr(knot, SET_POINTS[stem][0]) for knot in knots) <= NOTHING[stem]
    return wording()[language]["actions"][f"no_{stem}" if none else stem]
