"""Parameters of a house and its crop: a flat array for the compiled code, its values in houses/*.yaml with unit and source of each."""

from collections.abc import Mapping
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any, Self

import numpy as np
import yaml
from numpy.typing import NDArray

FRUIT_STAGES = 5

# Places in the array, in the order of houses/published.yaml, where each is explained
(
    COVER_RATIO, AIR_HEIGHT_M, HOUSE_HEIGHT_M, COVER_SLOPE_DEG, FRAME_ABSORBED, ROOF_TAU, ROOF_RHO, ROOF_EMISSIVITY, ROOF_HEAT_J_M2_K,
    COVER_INSIDE_W, COVER_OUTSIDE_W, COVER_OUTSIDE_WIND, VENT_RATIO, VENT_HEIGHT_M, VENT_DISCHARGE, VENT_WIND, WINDWARD_RATIO, LEAKAGE,
    LEAK_TOP_SHARE, LEAK_MIN_WIND_M_S, THERMAL_TAU, THERMAL_RHO, THERMAL_EMISSIVITY, THERMAL_FIR_TAU, THERMAL_LEAK, BLACKOUT_TAU,
    BLACKOUT_RHO, BLACKOUT_EMISSIVITY, BLACKOUT_FIR_TAU, BLACKOUT_LEAK, SCREEN_HEAT_J_M2_K, FLOOR_HEAT_J_M2_K, FLOOR_PAR_RHO,
    FLOOR_NIR_RHO, FLOOR_RESISTANCE_M2_K_W, SOIL_HEAT_J_M3_K, SOIL_CONDUCTION_W_M_K, SOIL_1_M, SOIL_2_M, SOIL_3_M, SOIL_DEEP_M,
    PIPE_LENGTH_M_M2, PIPE_OUTER_M, PIPE_INNER_M, PIPE_EMISSIVITY, BOILER_W_M2, CO2_MG_M2_S, LAMP_W_M2, LAMP_PAR, LAMP_NIR, LAMP_COOLED,
    LAMP_UMOL_J, LAMP_TAU, LAMP_AREA, LAMP_EMISSIVITY, LAMP_HEAT_J_M2_K, LAMP_AIR_W_M2_K, FOG_KG_M2_S, FOG_W_M2, LEAF_AREA_M2_MG,
    LAI_MAX, LEAF_HEAT_J_M2_K, LEAF_AIR_W_M2_K, CANOPY_PAR_RHO, CANOPY_NIR_RHO, EXTINCTION_PAR, EXTINCTION_NIR, EXTINCTION_FIR,
    BOUNDARY_S_M, STOMATA_MIN_S_M, SUN_UMOL_J, ELECTRONS_25_UMOL, ELECTRONS_PER_PHOTON, CURVATURE, STOMATAL_CO2, COMPENSATION_PPM_K,
    GROW_FRUIT_MG, GROW_LEAF_MG, GROW_STEM_MG, GROWTH_LOSS_FRUIT, GROWTH_LOSS_LEAF, GROWTH_LOSS_STEM, KEEP_FRUIT_1_S, KEEP_LEAF_1_S,
    KEEP_STEM_1_S, KEEP_SHARE, KEEP_Q10, BUFFER_MAX_MG, BUFFER_MIN_MG, GENERATIVE_CD, DEVELOP_1_S, DEVELOP_1_S_K, FRUIT_SHARE_1,
    FRUIT_SHARE_2, FRUIT_SHARE_3, FRUIT_SHARE_4, FRUIT_SHARE_5, FRUIT_DRY_MATTER, SLAB_L_M2, SLAB_CAPACITY, SLAB_DRY, SLAB_WILTING,
    SLAB_DRAIN, IRRIGATION_L_M2_S, UPTAKE_SHARE, EC_HARM, EC_LOSS, EC_POOR, PH_PER_L,
) = range(109)  # fmt: skip
PARAMETERS = 109


@dataclass(frozen=True, eq=False)
class Parameters:
    """Values by name. Read one with `Parameters.read()`, hand `array()` to the compiled code."""

    name: str
    names: tuple[str, ...]
    values: NDArray[np.float64]
    vary: NDArray[np.bool_]
    """Which differ from house to house."""

    @classmethod
    def read(cls, name: str | Path = "tomato_nl") -> Self:
        """A file of houses/ by its name, or any file of that form by its path.

        A file holds rows of its own, or `base` (another file) and `values` that differ from it, as fit.py writes them.
        ValueError names the parameter that is missing, unknown or no finite number.
        """
        content = _content(name)
        own = content.get("values", {})
        rows: Mapping[str, Any] = _content(content["base"]) if "base" in content else content
        values = {key: own.get(key, row["value"]) for key, row in rows.items()}
        expected = tuple(key.lower() for key, place in sorted(_places().items(), key=lambda item: item[1]))
        if tuple(rows) != expected or not set(own) <= set(expected):
            wrong = sorted(set(rows) ^ set(expected) | (set(own) - set(expected))) or ["their order"]
            raise ValueError(f"parameters of {name}: missing, unknown or out of place: {', '.join(wrong[:5])}")
        array = np.array([float(values[key]) for key in expected])
        if not np.isfinite(array).all():
            raise ValueError(f"parameters of {name}: no finite number: {[key for key in expected if not np.isfinite(float(values[key]))]}")
        return cls(str(name), expected, array, np.array([bool(row.get("vary")) for row in rows.values()]))

    def __getitem__(self, name: str) -> float:
        return float(self.values[self.names.index(name)])

    def array(self) -> NDArray[np.float64]:
        """A copy, (PARAMETERS,)."""
        return self.values.copy()

    def replaced(self, **values: float) -> Self:
        """With some values changed; KeyError for an unknown name."""
        array = self.array()
        for name, value in values.items():
            if name not in self.names:
                raise KeyError(f"no parameter {name}; {self.name} has {', '.join(self.names)}")
            array[self.names.index(name)] = value
        return type(self)(self.name, self.names, array, self.vary)

    def perturbed(self, rng: np.random.Generator, share: float = 0.1) -> Self:
        """Another house of the kind: those that vary drawn uniformly within +-share of their value."""
        factors = np.where(self.vary, rng.uniform(1.0 - share, 1.0 + share, len(self.values)), 1.0)
        return type(self)(f"{self.name}, perturbed", self.names, self.values * factors, self.vary)


def _content(name: str | Path) -> dict[str, Any]:
    path = Path(name)
    inside = files(__package__ or "") / "houses" / f"{name}.yaml"
    if path.suffix != ".yaml" and not inside.is_file():
        raise FileNotFoundError(f"no parameters {name}: neither a .yaml file nor one of houses/")
    content = yaml.safe_load((path if path.suffix == ".yaml" else inside).read_text(encoding="utf-8"))
    if not isinstance(content, dict):
        raise TypeError(f"parameters of {name}: a mapping is expected, found {type(content).__name__}")
    return content


def _places() -> dict[str, int]:
    """Name in capitals to place, from this module's own constants."""
    return {
        key: place for key, place in globals().items() if key.isupper() and type(place) is int and key not in ("FRUIT_STAGES", "PARAMETERS")
    }
