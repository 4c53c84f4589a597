"""Prices of the field, from prices.yaml: prices()."""

from functools import cache
from importlib.resources import files

import yaml

from sdx_domains.farm.field.picture import FieldPrices


@cache
def prices() -> FieldPrices:
    """The shipped ones."""
    found = yaml.safe_load((files(__package__ or "") / "prices.yaml").read_text(encoding="utf-8"))
    return FieldPrices(grain_usd_t=found["grain_usd_t"], water_usd_mm_ha=found["water_usd_mm_ha"], fixed_usd_ha=found["fixed_usd_ha"])


def profit_usd_ha(prices: FieldPrices, yield_t_ha: float, irrigation_mm: float) -> float:
    """Value of the grain less water and fixed costs."""
    return prices.grain_usd_t * yield_t_ha - prices.water_usd_mm_ha * irrigation_mm - prices.fixed_usd_ha
