"""Measures of one imaginary patient, and how they vary from one to the next. Start at body().

Body coordinates, mm: x to the patient's left, y to the back, z to the head; the origin is the windpipe's fork, in the middle of the chest.
"""

from typing import Literal, NamedTuple

import numpy as np

Sex = Literal["F", "M"]


class Body(NamedTuple):
    """Numbers that the compiled kernels read; lengths in mm, densities in HU."""

    half_width: float
    """Of the space inside the ribs, where it is widest."""
    half_depth: float
    squareness: float
    """0 an ellipse, towards 1 a rectangle."""
    apex_z: float
    base_z: float
    """Lowest recess of the lungs."""
    dome_right_z: float
    dome_left_z: float
    dome_fall: float
    """How far the diaphragm falls from its dome to the wall."""
    fat: float
    """Under the skin, at the side."""
    muscle: float
    breast: float
    """Half-width of a breast; 0: none."""
    gland_hu: float
    spine_y: float
    rib_pitch: float
    rib_phase: float
    bone_hu: float
    disc_phase: float
    heart_x: float
    heart_y: float
    heart_z: float
    heart_a: float
    """Half-axes: along the long axis, across it, from head to foot."""
    heart_b: float
    heart_c: float
    heart_cos: float
    heart_sin: float
    """Of the turn of the long axis in the plane, from the left towards the front."""
    epicardial: float
    """Fat between heart and pericardium."""
    pericardial: float
    """Fluid in the pericardium, mean thickness; 0: none."""
    pericardial_hu: float
    mediastinum: float
    """Half-width of the upper mediastinum."""
    mediastinum_fat_hu: float
    blood_hu: float
    """Of the heart and, with contrast, brighter than muscle."""
    liver_hu: float
    spleen_hu: float
    stomach_hu: float
    gas: float
    """Share of the stomach that is gas, 0..1."""
    lung_hu: float
    gradient_hu: float
    """Added to the lung from front to back."""
    dependent_hu: float
    """Added along the back: a look-alike of fluid and opacity."""
    texture_hu: float
    turn: float
    """Of the patient on the table, radians."""
    shift_x: float
    shift_y: float
    table: float
    """0 none, 1 curved, 2 flat."""
    table_y: float


def body(rng: np.random.Generator, sex: Sex, heart_share: float, contrast: bool) -> Body:
    """A patient; `heart_share` is the cardiothoracic ratio aimed at."""
    large = rng.normal(0.0, 1.0)
    half_width = float(np.clip((128 if sex == "F" else 142) + 8 * large + rng.normal(0, 5), 105, 168))
    half_depth = float(np.clip(half_width * rng.uniform(0.64, 0.76), 72, 118))
    apex = float(rng.uniform(84, 108))
    dome = float(-rng.uniform(88, 118))
    fall = float(rng.uniform(52, 76))
    long_axis = heart_share * half_width * rng.uniform(1.06, 1.10)
    fat = float(np.clip(rng.lognormal(2.7, 0.5), 5, 45))
    turn = float(rng.uniform(0.45, 0.75))
    return Body(
        half_width=half_width,
        half_depth=half_depth,
        squareness=float(rng.uniform(0.35, 0.70)),
        apex_z=apex,
        base_z=dome - fall - 8.0,
        dome_right_z=dome,
        dome_left_z=dome - float(rng.uniform(4, 22)),
        dome_fall=fall,
        fat=fat,
        muscle=float(rng.uniform(10, 18)) * (0.85 if sex == "F" else 1.0),
        breast=float(np.clip(rng.normal(52, 10) + 0.4 * fat, 35, 80)) if sex == "F" else 0.0,
        gland_hu=float(rng.uniform(-80, 30)),
        spine_y=half_depth - float(rng.uniform(14, 22)),
        rib_pitch=float(rng.uniform(22, 28)),
        rib_phase=float(rng.uniform(0, 1)),
        bone_hu=float(rng.uniform(120, 240)),
        disc_phase=float(rng.uniform(0, 1)),
        heart_x=float(0.16 * long_axis + rng.uniform(4, 12)),
        heart_y=-0.22 * half_depth - float(rng.uniform(0, 8)),
        heart_z=dome + float(rng.uniform(26, 36)),
        heart_a=float(long_axis),
        heart_b=float(long_axis * rng.uniform(0.66, 0.76)),
        heart_c=float(min(long_axis * rng.uniform(0.72, 0.84), 66)),
        heart_cos=float(np.cos(turn)),
        heart_sin=float(np.sin(turn)),
        epicardial=float(rng.uniform(2.5, 6.5)),
        pericardial=0.0,
        pericardial_hu=float(rng.uniform(5, 15)),
        mediastinum=float(rng.uniform(24, 31)),
        mediastinum_fat_hu=float(rng.uniform(-105, -75)),
        blood_hu=float(rng.uniform(150, 320) if contrast else rng.uniform(36, 48)),
        liver_hu=float(rng.uniform(85, 115) if contrast else rng.uniform(42, 66)),
        spleen_hu=float(rng.uniform(90, 125) if contrast else rng.uniform(42, 54)),
        stomach_hu=float(rng.uniform(10, 60)),
        gas=float(rng.uniform(0.1, 0.7)),
        lung_hu=float(rng.uniform(-895, -815)),
        gradient_hu=float(rng.uniform(15, 55)),
        dependent_hu=float(rng.choice([0.0, rng.uniform(20, 120)], p=[0.5, 0.5])),
        texture_hu=float(rng.uniform(8, 18)),
        turn=float(rng.normal(0, 0.035)),
        shift_x=float(rng.normal(0, 6)),
        shift_y=float(rng.normal(0, 6)),
        table=float(rng.choice([0.0, 1.0, 2.0], p=[0.15, 0.55, 0.3])),
        table_y=float(rng.uniform(4, 14)),
    )
