"""What a situation at sea is made of: own ship, targets, surroundings, sensors. Types only, and ships scaled by their length."""

from typing import Literal

from pydantic import Field, model_validator

from sdx_domains.contract import Closed
from sdx_domains.ship.picture import Environment, OwnShipParameters

Behaviour = Literal["hold", "comply", "port_turn", "stop", "zigzag", "speed_up"]
"""hold: keeps course and speed whatever happens (so a give-way target that ignores its duty holds, too).
comply: gives way when Rules 14-16 or 13 ask for it. The others misbehave once own ship is within `trigger_range_nm`."""


def ship_of(length_m: float, beam_m: float, service_speed_kn: float) -> OwnShipParameters:
    """A hull of this length that handles as the 100 m ship of the defaults does: same K', T', rudder; turn rate and surge lag scaled."""
    like = OwnShipParameters()
    longer = length_m / like.length_m
    slower = like.service_speed_kn / service_speed_kn
    return like.model_copy(
        update={
            "length_m": length_m,
            "beam_m": beam_m,
            "draft_m": like.draft_m * longer,
            "service_speed_kn": service_speed_kn,
            "max_speed_kn": service_speed_kn * 1.25,
            "max_rot_deg_min": min(like.max_rot_deg_min / longer / slower, 120.0),
            "nomoto_k_1_s": like.nomoto_k_1_s / longer / slower,
            "nomoto_t_s": like.nomoto_t_s * longer * slower,
            "surge_t_s": like.surge_t_s * longer,
        }
    )


class OwnStart(Closed):
    """Own ship at t = 0, on its route."""

    lat_deg: float = Field(ge=-85.0, le=85.0)
    lon_deg: float = Field(ge=-180.0, le=180.0)
    heading_deg: float
    speed_kn: float = Field(gt=0.0, le=40.0)
    parameters: OwnShipParameters = OwnShipParameters()


class TargetStart(Closed):
    """Another vessel at t = 0 and what it is going to do."""

    name: str
    mmsi: int
    lat_deg: float = Field(ge=-85.0, le=85.0)
    lon_deg: float = Field(ge=-180.0, le=180.0)
    heading_deg: float
    speed_kn: float = Field(ge=0.0, le=60.0)
    length_m: float = Field(default=100.0, gt=0.0)
    beam_m: float = Field(default=16.0, gt=0.0)
    ship_type: int = 70
    """AIS code; 70 = cargo."""
    nav_status: int = 0
    """AIS code; 0 = under way using engine."""
    behaviour: Behaviour = "hold"
    trigger_range_nm: float = 1.0
    """Misbehaviour begins when own ship is this near."""
    waypoints: tuple[tuple[float, float], ...] = ()
    """(lat_deg, lon_deg) it steers for, in order; after the last, or with none, it holds its course."""
    leg_speeds_kn: tuple[float, ...] = ()
    """Speed on the leg towards each waypoint; empty = `speed_kn` throughout."""

    @model_validator(mode="after")
    def _speeds_fit_waypoints(self) -> "TargetStart":
        if self.leg_speeds_kn and len(self.leg_speeds_kn) != len(self.waypoints):
            raise ValueError(
                f"{self.name}: {len(self.leg_speeds_kn)} leg speeds for {len(self.waypoints)} waypoints; give one per waypoint"
            )
        return self


class Sensing(Closed):
    """How well the sensors see. The defaults are perfect: every target at every step, no noise."""

    position_sigma_m: float = Field(default=0.0, ge=0.0)
    course_sigma_deg: float = Field(default=0.0, ge=0.0)
    speed_sigma_kn: float = Field(default=0.0, ge=0.0)
    ais_intervals: bool = False
    """Report at the class A intervals of ITU-R M.1371 (2-10 s under way by speed and turning, 3 min at anchor) instead of every step."""
    delay_s: float = Field(default=0.0, ge=0.0)
    """Age of every target report when it arrives."""
    dropout: float = Field(default=0.0, ge=0.0, lt=1.0)
    """Share of target reports that never arrive."""
    losses_s: tuple[tuple[float, float], ...] = ()
    """(from, to): no AIS at all in between."""
    ghosts: int = Field(default=0, ge=0)
    """Reports of vessels that are not there, each lasting a few minutes."""
    duplicate_mmsi: bool = False
    """A second, far vessel transmits under the first target's MMSI."""
    wrong_mmsi: bool = False
    """The last target changes its MMSI half-way through the first 20 minutes."""
    hostile_names: bool = False
    """Names carry instructions to whoever reads them."""
    own_position_sigma_m: float = Field(default=0.0, ge=0.0)


class Scenario(Closed):
    """One situation from its start. Same scenario, same seed, same run."""

    name: str
    own: OwnStart
    route: tuple[tuple[float, float], ...] = Field(min_length=1)
    """(lat_deg, lon_deg) still ahead; the last is the goal."""
    planned_speed_kn: float = Field(gt=0.0)
    targets: tuple[TargetStart, ...] = ()
    environment: Environment = Environment()
    sensing: Sensing = Sensing()
    duration_s: float = Field(default=3900.0, gt=0.0)
    labels: tuple[str, ...] = ()
    """What the source says of the encounters ("HO", "CR-GW", ...), in target order, or of the case ("same as imazu-05")."""
