"""What came of a decision in the greenhouse, in figures from the pictures that followed it."""

from collections.abc import Sequence

from sdx_domains.farm.greenhouse.parameters import FRUIT_DRY_MATTER, FRUIT_STAGES, Parameters
from sdx_domains.farm.greenhouse.state import FRUIT_MG, HARVESTED_MG
from sdx_domains.farm.greenhouse.twin import Bounds
from sdx_domains.farm.picture import FarmPicture


def outcome(then: FarmPicture, later: Sequence[FarmPicture]) -> dict[str, float]:
    """Used and grown since `then`, climate and its share out of bounds in between; a figure that is not known is left out."""
    last = later[-1] if later else then
    used = {name: getattr(last.counters, name) - getattr(then.counters, name) for name in type(then.counters).model_fields}
    found = {name: round(value, 4) for name, value in used.items()}
    bounds = Bounds()
    for name, quantity, low, high in (
        ("temp", "air_temp_c", bounds.temp_min_c, bounds.temp_max_c),
        ("rh", "air_rh_pct", bounds.rh_min_pct, bounds.rh_max_pct),
    ):
        values = [value for picture in later if (value := picture.value(quantity)) is not None]
        if values:
            found[f"{quantity.partition('_')[0]}_{name}_mean"] = round(sum(values) / len(values), 3)
            found[f"{name}_out_share"] = round(sum(not low <= value <= high for value in values) / len(values), 4)
    if then.twin and last.twin:
        found["fruit_kg_m2"] = round(_fruit_kg(last) - _fruit_kg(then), 5)
    return found


def _fruit_kg(picture: FarmPicture) -> float:
    """Fresh fruit on the plants and picked, as the twin has it, kg/m2."""
    dry_mg = sum(picture.twin[FRUIT_MG : FRUIT_MG + FRUIT_STAGES]) + picture.twin[HARVESTED_MG]
    return 1e-6 * dry_mg / float(Parameters.read().array()[FRUIT_DRY_MATTER])
