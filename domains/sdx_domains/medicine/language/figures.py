"""Figures by name: a text says "{F1.long}" or "{emphysema_index}", and code puts the measured value there, with its unit. Start at known().

So a model copies no digit. "{F1}" is the finding itself in words: what, where, how large.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass

from sdx_domains.contract import Language, language_of
from sdx_domains.medicine.findings import Finding
from sdx_domains.medicine.language.words import located, place, size_mm, thing
from sdx_domains.medicine.picture import Measurements, MedicinePicture

NAME = re.compile(r"\{(?P<name>[A-Za-z][A-Za-z0-9_]*(?:\.[a-z][a-z0-9_]*)?)\}")
_UNFINISHED = re.compile(r"\{[\w.]*$")


@dataclass(frozen=True, slots=True)
class Figure:
    """A number that may be told."""

    value: float
    unit: str
    """As printed after a space: "mm", "%", "mL", "HU"; "" for a ratio or a count."""
    decimals: int

    def shown(self) -> str:
        return f"{self.value:.{self.decimals}f} {self.unit}".strip()


MEASURED: Mapping[str, tuple[str, int | None, str, int]] = {
    "emphysema_index": ("emphysema_index_pct", None, "%", 1),
    "cardiothoracic_ratio": ("cardiothoracic_ratio", None, "", 2),
    "coronary_calcium": ("coronary_calcium_ml", None, "mL", 2),
    "arterial_calcium": ("arterial_calcium_ml", None, "mL", 2),
    "fluid_right": ("pleural_fluid_ml", 0, "mL", 0),
    "fluid_left": ("pleural_fluid_ml", 1, "mL", 0),
    "pericardial_fluid": ("pericardial_fluid_mm", None, "mm", 1),
    "air_right": ("pneumothorax_ml", 0, "mL", 0),
    "air_left": ("pneumothorax_ml", 1, "mL", 0),
    "metal": ("metal_ml", None, "mL", 2),
    "aorta": ("aorta_ascending_mm", None, "mm", 1),
    "pulmonary_trunk": ("pulmonary_trunk_mm", None, "mm", 1),
    "lung_right": ("lung_volume_ml", 0, "mL", 0),
    "lung_left": ("lung_volume_ml", 1, "mL", 0),
    "lung_density": ("lung_mean_hu", None, "HU", 0),
}
"""Name -> (field of Measurements, which of a pair, unit, decimals)."""
UNITS: Mapping[str, tuple[str, int]] = {"pct": ("%", 1), "ml": ("mL", 1), "mm": ("mm", 1), "hu": ("HU", 0), "ratio": ("", 2)}
"""Ending of a key of Finding.measure -> (unit, decimals)."""


def known(picture: MedicinePicture) -> dict[str, Figure]:
    """Every figure that may be told of the study, by name; what was not measured is absent."""
    found = {"slices": Figure(picture.study.slices, "", 0)}
    if picture.study.age_years is not None:
        found["age"] = Figure(picture.study.age_years, "", 0)
    if picture.prior is not None:
        found["days_before"] = Figure(picture.prior.days_before, "", 0)
    found |= measured(picture.measured)
    for finding in picture.findings:
        found |= {f"{finding.id}.{name}": figure for name, figure in of_finding(finding).items()}
    return found


def measured(values: Measurements) -> dict[str, Figure]:
    """Of the whole chest."""
    found: dict[str, Figure] = {}
    for name, (field, part, unit, decimals) in MEASURED.items():
        value = getattr(values, field)
        if value is not None:
            found[name] = Figure(value if part is None else value[part], unit, decimals)
    return found


def of_finding(finding: Finding) -> dict[str, Figure]:
    """long, short, mean, volume, density, slice, first, last, count, probability, and each measure without its unit."""
    where = finding.slices
    found = {name: Figure(getattr(where, key) + 1, "", 0) for name, key in (("slice", "key"), ("first", "first"), ("last", "last"))}
    found |= {"count": Figure(finding.count, "", 0), "probability": Figure(100.0 * finding.probability, "%", 0)}
    if finding.size is not None:
        size = finding.size
        found |= {name: Figure(mm, "mm", 1) for name, mm in (("long", size.long_mm), ("short", size.short_mm), ("mean", size.mean_mm))}
        found["volume"] = Figure(size.volume_ml, "mL", 1)
    if finding.hu_mean is not None:
        found["density"] = Figure(finding.hu_mean, "HU", 0)
    for key, value in finding.measure.items():
        stem, _, ending = key.rpartition("_")
        if ending in UNITS:
            found[key if ending == "ratio" else stem] = Figure(value, *UNITS[ending])
    return found


def named(finding: Finding, language: Language) -> str:
    """The finding as a noun phrase: "solid lung nodule in the right upper lobe (8.2 x 6.1 mm)"."""
    size = size_mm(finding)
    told = f" ({size['long']} x {size['short']} mm)" if size else ""
    if language == "ko":
        return f"{place(finding, language)} {thing(finding, language)}{told}".strip()
    return f"{thing(finding, language)}{located(finding, language)}{told}"


def fill(text: str, picture: MedicinePicture, language: Language | None = None) -> str:
    """The text with every name replaced. ValueError names the first that is no figure, and those that are."""
    tongue, figures = language or language_of(text), known(picture)
    findings = {finding.id: finding for finding in picture.findings}

    def value(match: re.Match[str]) -> str:
        name = match["name"]
        if name in findings:
            return named(findings[name], tongue)
        if name not in figures:
            raise ValueError(f"{{{name}}} names no figure of this study; there are {', '.join([*findings, *figures])[:400]}")
        return figures[name].shown()

    filled = NAME.sub(value, text)
    if "{" in filled or "}" in filled:
        raise ValueError(f"a figure's name is not closed or not a word in {filled[:120]!r}")
    return filled


def fill_so_far(text: str, picture: MedicinePicture, language: Language | None = None) -> str:
    """fill() for a text that is still growing: a name that has only begun is held back."""
    return fill(_UNFINISHED.sub("", text), picture, language)
