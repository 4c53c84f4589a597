"""Random ship situations for tests that draw them: fixture `situations` gives (picture, options)."""

import pytest
from hypothesis import strategies as st

from sdx_domains.ship.picture import Environment, OwnShip, Route, ShipOption, ShipPicture, Target, TargetOutcome

ENCOUNTERS = {
    "none": ("none", ()),
    "head_on": ("both_give_way", ("R7", "R8", "R14")),
    "crossing_give_way": ("give_way", ("R7", "R8", "R15", "R16")),
    "crossing_stand_on": ("stand_on", ("R7", "R8", "R15", "R17(a)(i)")),
    "overtaking": ("give_way", ("R7", "R8", "R13", "R16")),
    "overtaken": ("stand_on", ("R7", "R8", "R13", "R17(a)(i)")),
    "restricted_visibility": ("r19", ("R5", "R6", "R8", "R19")),
}


def number(low: float, high: float) -> st.SearchStrategy[float]:
    return st.floats(low, high, allow_nan=False).map(lambda value: round(value, 4))


@st.composite
def targets(draw: st.DrawFn, label: str, restricted: bool) -> Target:
    encounter = draw(
        st.sampled_from(["none", "restricted_visibility"] if restricted else [e for e in ENCOUNTERS if e != "restricted_visibility"])
    )
    role, rules = ENCOUNTERS[encounter]
    return Target(
        track_id=f"csv:{label[1:]}",
        label=label,
        lat_deg=35.0,
        lon_deg=129.0,
        length_m=draw(number(5, 400)),
        beam_m=draw(number(2, 60)),
        cog_deg=draw(number(0, 359.9999)),
        sog_kn=draw(number(0, 30)),
        heading_deg=draw(number(0, 359.9999)),
        age_s=1.0,
        in_sight=not restricted,
        range_nm=draw(number(0.05, 24)),
        bearing_deg=draw(number(0, 359.9999)),
        rel_bearing_deg=draw(number(-180, 180)),
        aspect_deg=0.0,
        bearing_rate_deg_min=0.0,
        range_rate_kn=-5.0,
        cpa_nm=draw(number(0, 12)),
        cpa_sigma_nm=0.05,
        tcpa_min=draw(st.one_of(st.just(0.0), number(-60, 90))),
        bcr_nm=None,
        bct_min=None,
        passes="ahead",
        encounter=encounter,
        role=role,
        rules=rules,
        stage=0 if encounter == "none" else draw(st.integers(1, 4)),
        risk=draw(number(0, 1)),
        past_and_clear=draw(st.booleans()) if encounter == "none" else False,
    )


@st.composite
def options(draw: st.DrawFn, labels: tuple[str, ...], own: OwnShip, option_id: str) -> ShipOption:
    kind = draw(st.sampled_from(["keep", "turn", "slow", "turn_slow", "stop", "resume", "hold"]))
    turns = kind in ("turn", "turn_slow", "resume")
    outcomes = tuple(TargetOutcome(label=label, min_cpa_nm=draw(number(0, 12)), t_min=draw(number(0, 60))) for label in labels)
    course = draw(number(0, 359.9999))
    speed = draw(number(0, 25)) if "slow" in kind or kind == "stop" else own.sog_kn
    return ShipOption(
        id=option_id,
        label=kind,
        setpoints={"heading_deg": course, "speed_kn": speed},
        course_deg=course,
        speed_kn=speed,
        turn_deg=draw(number(-90, 90)) if turns else 0.0,
        start_s=draw(st.sampled_from([0.0, 0.0, 120.0, 300.0])),
        duration_s=600.0,
        kind=kind,
        min_cpa_nm=min((outcome.min_cpa_nm for outcome in outcomes), default=99.0),
        escape_cpa_nm=draw(st.one_of(st.none(), number(0, 12))) if kind in ("keep", "hold") and labels else None,
        by_target=outcomes,
    )


@st.composite
def drawn_situations(draw: st.DrawFn) -> tuple[ShipPicture, tuple[ShipOption, ...]]:
    restricted = draw(st.booleans())
    labels = tuple(f"T{n}" for n in range(1, draw(st.integers(0, 4)) + 1))
    own = OwnShip(
        lat_deg=35.0, lon_deg=129.0, heading_deg=draw(number(0, 359.9999)), cog_deg=draw(number(0, 359.9999)), sog_kn=draw(number(0, 25))
    )
    picture = ShipPicture(
        t_s=0.0,
        own=own,
        route=Route(
            waypoints=((35.5, 129.0),),
            leg_course_deg=0.0,
            course_to_steer_deg=draw(number(0, 359.9999)),
            xte_m=0.0,
            planned_sog_kn=12.0,
            distance_nm=draw(number(0.5, 400)),
        ),
        environment=Environment(visibility_nm=draw(number(0.1, 2) if restricted else number(2, 20)), restricted_visibility=restricted),
        targets=tuple(draw(targets(label, restricted)) for label in labels),
    )
    return picture, tuple(draw(options(labels, own, option_id)) for option_id in "AB")


@pytest.fixture(scope="session")
def situations() -> st.SearchStrategy[tuple[ShipPicture, tuple[ShipOption, ...]]]:
    """Strategy of (picture, two options) over every encounter, role, stage and kind of option."""
    return drawn_situations()


@pytest.fixture(scope="session")
def small_case() -> tuple[ShipPicture, ShipOption]:
    """One vessel crossing from starboard at 8.5 NM, CPA 0.12 NM, and a turn of 30 deg for it."""
    target = {
        "track_id": "csv:1", "label": "T1", "lat_deg": 35.1, "lon_deg": 129.1, "cog_deg": 270.0, "sog_kn": 12.0, "heading_deg": 270.0,
        "age_s": 1.0, "range_nm": 8.485, "bearing_deg": 45.0, "rel_bearing_deg": 45.0, "aspect_deg": -45.0, "bearing_rate_deg_min": 0.0,
        "range_rate_kn": -17.0, "cpa_nm": 0.12, "cpa_sigma_nm": 0.05, "tcpa_min": 30.0, "bcr_nm": None, "bct_min": None, "passes": "ahead",
        "encounter": "crossing_give_way", "role": "give_way", "rules": ["R7", "R8", "R15", "R16"], "stage": 2, "risk": 0.9,
    }  # fmt: skip
    own = {"lat_deg": 35.0, "lon_deg": 129.0, "heading_deg": 0.0, "cog_deg": 0.0, "sog_kn": 12.0}
    route = {
        "waypoints": [[35.2, 129.0]],
        "leg_course_deg": 0.0,
        "course_to_steer_deg": 0.0,
        "xte_m": 0.0,
        "planned_sog_kn": 12.0,
        "distance_nm": 12.0,
    }
    option = {
        "id": "B", "label": "starboard 30", "setpoints": {"heading_deg": 30.0}, "course_deg": 30.0, "speed_kn": 12.0, "turn_deg": 30.0,
        "duration_s": 600.0, "kind": "turn", "min_cpa_nm": 1.234, "by_target": [{"label": "T1", "min_cpa_nm": 1.234, "t_min": 24.0}],
    }  # fmt: skip
    picture = ShipPicture.model_validate({"t_s": 0.0, "own": own, "route": route, "targets": [target]})
    return picture, ShipOption.model_validate(option)
