"""The ship's situation picture: own ship, route, surroundings, targets, options. Types only.

Angles are degrees true 0-360 clockwise from north, unless the name says `rel`: then signed -180..180,
+ to starboard. Distances at this border are nautical miles, speeds knots, times seconds or minutes as named.
"""

from typing import Literal

from pydantic import Field

from sdx_domains.contract import Closed, Option, Picture, Reading

Encounter = Literal["none", "head_on", "crossing_give_way", "crossing_stand_on", "overtaking", "overtaken", "restricted_visibility"]
Role = Literal["none", "give_way", "stand_on", "both_give_way", "r19"]
VesselKind = Literal["power", "sail", "fishing", "cbd", "ram", "nuc"]


class OwnReading(Reading):
    """Own ship, from GNSS, gyro, log, rudder indicator. A field that the source does not give is None."""

    lat_deg: float | None = None
    lon_deg: float | None = None
    cog_deg: float | None = None
    sog_kn: float | None = None
    heading_deg: float | None = None
    rot_deg_min: float | None = None
    rudder_deg: float | None = None
    ordered_heading_deg: float | None = None
    ordered_speed_kn: float | None = None


class TargetReading(Reading):
    """One report about one other vessel (AIS message, radar plot, CSV row)."""

    track_id: str
    """"mmsi:265547250" for AIS, else source and number ("radar:7", "csv:3")."""
    lat_deg: float | None = None
    lon_deg: float | None = None
    cog_deg: float | None = None
    sog_kn: float | None = None
    heading_deg: float | None = None
    rot_deg_min: float | None = None
    name_untrusted: str | None = None
    nav_status: int | None = None
    ship_type: int | None = None
    length_m: float | None = None
    beam_m: float | None = None


class EnvironmentReading(Reading):
    """Surroundings; None = unknown, keeps the last known value."""

    visibility_nm: float | None = None
    wind_kn: float | None = None
    wind_from_deg: float | None = None
    current_kn: float | None = None
    current_to_deg: float | None = None
    daylight: bool | None = None
    depth_m: float | None = None


class RouteReading(Reading):
    """The planned route: waypoints (lat_deg, lon_deg) still ahead, in order, and the planned speed."""

    waypoints: tuple[tuple[float, float], ...]
    planned_sog_kn: float


class OwnShipParameters(Closed):
    """Manoeuvring ability, from trials or the builder. Defaults: a 100 m cargo ship at service speed.

    Nomoto first order in yaw (T r' + r = K delta), first-order lag in surge; `max_rot_deg_min` bounds the autopilot.
    """

    length_m: float = 100.0
    beam_m: float = 16.0
    draft_m: float = 6.0
    service_speed_kn: float = 12.0
    min_speed_kn: float = 2.0
    """Steerage way."""
    max_speed_kn: float = 15.0
    max_rot_deg_min: float = 40.0
    nomoto_k_1_s: float = 0.06
    """Turn rate per rudder angle at service speed, 1/s; scales with speed."""
    nomoto_t_s: float = 12.0
    nomoto_n3_s2: float = 0.0
    """Norrbin's cubic term at service speed, (s/deg)^2: T r' + r + n3 r^3 = K delta; 0 = linear."""
    max_rudder_deg: float = 35.0
    rudder_rate_deg_s: float = 3.0
    surge_t_s: float = 90.0
    """Time constant of speed changes, s."""
    turn_speed_loss: float = 0.2
    """Fraction of speed lost in a sustained turn at max_rot_deg_min."""


class OwnShip(Closed):
    lat_deg: float
    lon_deg: float
    pos_sigma_m: float = 10.0
    heading_deg: float
    cog_deg: float
    sog_kn: float
    rot_deg_min: float = 0.0
    rudder_deg: float = 0.0
    ordered_heading_deg: float | None = None
    """Set-point that the autopilot holds now; None before the first order."""
    ordered_speed_kn: float | None = None
    age_s: float = 0.0
    kind: VesselKind = "power"
    parameters: OwnShipParameters = OwnShipParameters()


class Route(Closed):
    waypoints: tuple[tuple[float, float], ...]
    """(lat_deg, lon_deg) still ahead, the first is steered for."""
    leg_course_deg: float
    """Course of the active leg."""
    course_to_steer_deg: float
    """Course to the active waypoint, or along the leg with cross-track correction."""
    xte_m: float
    """Cross-track error, + to starboard of the leg."""
    planned_sog_kn: float
    distance_nm: float
    """Still to go, along the route."""


class Environment(Closed):
    visibility_nm: float = 10.0
    restricted_visibility: bool = False
    daylight: bool = True
    wind_kn: float = 0.0
    wind_from_deg: float = 0.0
    current_kn: float = 0.0
    current_to_deg: float = 0.0
    depth_m: float | None = None
    waters: Literal["open", "coastal", "confined"] = "open"


class Target(Closed):
    track_id: str
    """"mmsi:..." or source and number; key of the track."""
    label: str
    """T1, T2, ... by first sight; what model and people say. Stays with the track."""
    name_untrusted: str = ""
    """Cleaned for display; never part of a prompt."""
    kind: VesselKind = "power"
    length_m: float = 100.0
    beam_m: float = 16.0
    sources: tuple[str, ...] = ("ais",)
    lat_deg: float
    lon_deg: float
    pos_sigma_m: float = 15.0
    cog_deg: float
    cog_sigma_deg: float = 1.0
    sog_kn: float
    sog_sigma_kn: float = 0.2
    heading_deg: float
    rot_deg_min: float = 0.0
    age_s: float
    """Since its last accepted report; the position is extrapolated to the picture's time."""
    in_sight: bool = True
    # relative to own ship
    range_nm: float
    bearing_deg: float
    rel_bearing_deg: float
    """Bearing - own heading."""
    aspect_deg: float
    """Bearing of own ship from the target - target heading, signed."""
    bearing_rate_deg_min: float
    range_rate_kn: float
    """Negative = closing."""
    cpa_nm: float
    cpa_sigma_nm: float
    tcpa_min: float
    """Negative = past. Not closing (relative speed < 0.1 kn): 0 and cpa = range."""
    bcr_nm: float | None
    """Signed range when the target crosses own heading line: + ahead (bow), - astern; None = it does not."""
    bct_min: float | None
    passes: Literal["ahead", "astern", "port", "starboard", "clear"]
    # COLREG
    encounter: Encounter
    encounter_since_s: float | None = None
    """Locked since this time; None = not locked (no risk yet)."""
    role: Role
    rules: tuple[str, ...]
    """Applicable rule addresses, e.g. ("R7", "R8", "R15", "R16")."""
    stage: int = Field(ge=0, le=4)
    """0 no risk, 1 risk far off, 2 action due (give-way) / hold (stand-on), 3 stand-on may act, 4 must act / in extremis."""
    risk: float = Field(ge=0.0, le=1.0)
    past_and_clear: bool = False
    last_manoeuvre_s: float | None = None
    """Time of the target's last detected manoeuvre (>= 2 deg or 7 %)."""
    last_manoeuvre_deg: float = 0.0
    """+ = it turned to starboard."""


class EnvelopeItem(Closed):
    """One field of the operational envelope (operational design domain)."""

    name: str
    value: float
    limit: float
    unit: str
    ok: bool


class ShipPicture(Picture):
    domain: str = "ship"
    own: OwnShip
    route: Route
    environment: Environment = Environment()
    targets: tuple[Target, ...] = ()
    """Most urgent first (risk, then tcpa)."""
    cpa_limit_nm: float = 0.5
    envelope: tuple[EnvelopeItem, ...] = ()

    def target(self, label: str) -> Target:
        for target in self.targets:
            if target.label == label:
                return target
        raise KeyError(f"no target {label!r} in the picture; there are {[t.label for t in self.targets]}")


class TargetOutcome(Closed):
    label: str
    min_cpa_nm: float
    """Smallest distance over the roll-out, between samples too."""
    t_min: float
    """When, minutes from now."""
    crosses_ahead: bool = False


class ShipOption(Option):
    """One manoeuvre: from start_s hold course and speed for duration_s, then resume the route."""

    course_deg: float
    speed_kn: float
    turn_deg: float
    """Signed change against the present heading, + to starboard."""
    offset_deg: float = 0.0
    """Signed change against the route's course, + to starboard."""
    start_s: float = 0.0
    duration_s: float = 0.0
    kind: Literal["keep", "turn", "slow", "turn_slow", "stop", "resume", "hold"]
    min_cpa_nm: float
    escape_cpa_nm: float | None = None
    """For keep and hold: the smallest CPA if this stands two minutes more and the best allowed manoeuvre follows; else None."""
    by_target: tuple[TargetOutcome, ...] = ()
    extra_time_s: float = 0.0
    """Against following the route undisturbed."""
    cost: float = 0.0
    """The fallback's order of preference among allowed options; smaller is better."""

    @property
    def attainable_cpa_nm(self) -> float:
        """What may be expected: the smallest CPA as rolled out, or by the way out that stays open while keep or hold stands."""
        return max(self.min_cpa_nm, self.escape_cpa_nm or 0.0)
