"""Seasons by name: case("field-champion-1991"), "field-champion-1988-leak"; suites of them for benchmarks."""

from typing import Literal

from pydantic import Field

from sdx_domains.contract import Closed
from sdx_domains.farm.field.weather import climate, climates

Fault = Literal["none", "leak", "dry_sensor", "dead_sensor", "dead_station"]
FAULTS: tuple[Fault, ...] = ("leak", "dry_sensor", "dead_sensor", "dead_station")

TUNING_YEARS = tuple(range(1983, 1991))
"""Everything that was chosen by trial was chosen on these."""
HELD_OUT_YEARS = tuple(range(1991, 1999))
"""Never tuned on."""
EXPERIENCE_YEARS = tuple(range(1982, 1991))
"""Of which a perceiver may know the weather; the season itself is left out."""
MOST_YEARS = 12
SUITES = {"field-irrigation": HELD_OUT_YEARS, "field-tuning": TUNING_YEARS}


class FieldCase(Closed):
    """One season of one field."""

    kind: Literal["field"] = "field"
    name: str
    climate: str = "champion"
    year: int = Field(ge=1900, le=2200)
    crop: str = "maize"
    soil: str = "sandy_loam"
    planted: str = "05-01"
    """Month and day."""
    fault: Fault = "none"

    @property
    def first_day(self) -> str:
        return f"{self.year}-{self.planted}"

    @property
    def past_years(self) -> tuple[int, ...]:
        """Of the climate, that may be known in this season: at Champion the same few for all, elsewhere those before it, else others."""
        if self.climate == "champion":
            return tuple(year for year in EXPERIENCE_YEARS if year != self.year)
        known = climate(self.climate)
        last = known.start.year + len(known.table) // 365
        others = [year for year in range(known.start.year, last + 1) if year != self.year]
        return tuple([year for year in others if year < self.year][-MOST_YEARS:] or others[:MOST_YEARS])


def case(name: str) -> FieldCase:
    """The season of that name. KeyError says what there is."""
    parts = name.split("-")
    known = len(parts) in (3, 4) and parts[0] == "field" and parts[1] in climates() and parts[2].isdecimal() and len(parts[2]) == 4
    fault = parts[3] if len(parts) == 4 else "none"
    if not known or (fault != "none" and fault not in FAULTS):
        raise KeyError(
            f"no scenario {name!r}; there are field-CLIMATE-YEAR, CLIMATE of {', '.join(climates())}, then one of {', '.join(FAULTS)}"
        )
    return FieldCase.model_validate({"name": name, "climate": parts[1], "year": int(parts[2]), "fault": fault})


def suite(name: str, count: int | None = None) -> list[FieldCase]:
    """The seasons of a suite, in order. KeyError with the known names."""
    if name not in SUITES:
        raise KeyError(f"no suite {name!r}; there are {', '.join(SUITES)}")
    return [case(f"field-champion-{year}") for year in SUITES[name][:count]]
