"""The greenhouse's fast loop as the equipment nodes run it: picture and order in, commands out. Start at FarmController.act.

Set-points come from the order's plan while it is valid, else from the rules; the compiled loop (loop.py) makes positions of them.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any

import numpy as np
import yaml
from numpy.typing import NDArray

from sdx_domains.contract import Order
from sdx_domains.equipment import ActuatorCommand, Alarm, Operation
from sdx_domains.farm import NAME
from sdx_domains.farm.control.alarms import Watch
from sdx_domains.farm.control.limits import Limits, limits, outside
from sdx_domains.farm.control.loop import hold, no_edits
from sdx_domains.farm.control.memory import HELD, SEEN_OPEN, SHOT_LEFT, fresh_memory
from sdx_domains.farm.control.row import shipped
from sdx_domains.farm.control.rules import rule_plan
from sdx_domains.farm.control.safety import RULES
from sdx_domains.farm.greenhouse import vectors as v
from sdx_domains.farm.picture import Actuator, FarmPicture
from sdx_domains.farm.plan import Plan

Array = NDArray[np.float64]
DEAD_BAND = 0.01
"""A position that differs less from what was sent is not sent again, 0..1."""
REFRESH_S = 900.0
"""Everything is sent again after so long, so that a device that lost power or was handled comes back."""
RETRY_S = 60.0
"""A device that does not stand where it was told is told again after so long."""
BLEND_S = 600.0
"""New set-points take over in this time when a plan or its source changes."""
RULES_S = 3600.0
"""The rules' own plan is made anew after this long, or when day and night change."""
SHORTEST_S, LONGEST_S = 0.1, 600.0
"""Of a step of the loop."""
EXPIRES_S = 120.0
OUTSIDE_CO2_PPM = 420.0
MEASURED = {
    "air_temp_c": v.AIR_TEMP_C, "air_rh_pct": v.AIR_RH_PCT, "co2_ppm": v.AIR_CO2_PPM, "pipe_temp_c": v.PIPE_TEMP_C,
    "leaf_temp_c": v.LEAF_TEMP_C, "par_umol_m2_s": v.PAR_UMOL, "substrate_wc_pct": v.SUBSTRATE_WC_PCT,
    "substrate_ec_ds_m": v.SUBSTRATE_EC, "substrate_ph": v.SUBSTRATE_PH,
}  # fmt: skip
WEATHER = {
    "out_solar_w_m2": v.SOLAR_W_M2, "out_temp_c": v.OUT_TEMP_C, "out_rh_pct": v.OUT_RH_PCT, "wind_m_s": v.WIND_M_S,
    "wind_dir_deg": v.WIND_DIR_DEG, "rain_mm_h": v.RAIN_MM_H,
}  # fmt: skip
PLACES = {name: place for place, name in enumerate(v.ACTUATOR_NAMES)}
WATER = v.ACTUATOR_NAMES[v.IRRIGATION]
WATER_RULES = frozenset({"water_fault", "water_cap"})
"""That cut a shot short."""
PLAIN_EC, PLAIN_PH = 0.5, 7.0
"""Water without nutrients and without acid; judgement."""


def plan_of(order: Order, known: Limits) -> tuple[Plan | None, str]:
    """The plan that an order holds; None and why where it may not be followed. Its expiry is not looked at."""
    bounds = known.plan
    if order.domain != NAME:
        return None, f"the order is for {order.domain[:40]!r}"
    if not bounds.valid_min_s <= order.valid_for_s <= bounds.valid_max_s:
        return None, f"the order is valid for {order.valid_for_s:g} s, not {bounds.valid_min_s:g} to {bounds.valid_max_s:g}"
    try:
        plan = Plan.of_setpoints(order.setpoints)
    except ValueError as error:
        return None, f"the order holds no plan: {str(error).splitlines()[0][:200]}"
    if not order.issued_s - bounds.start_early_s <= plan.start_s <= order.issued_s + bounds.start_late_s:
        return None, f"the plan starts at {plan.start_s:g} s, the order is of {order.issued_s:g} s"
    wrong = outside(plan, known)
    return (None, "; ".join(wrong[:3])) if wrong else (plan, "")


@dataclass(slots=True)
class _Followed:
    """A plan that is followed, and whose."""

    plan: Plan
    table: Array
    order_id: str
    """ "": the rules' own."""


class FarmController:
    """Implements equipment.Controller for one greenhouse. Deterministic; act() costs well below a millisecond."""

    def __init__(self, known: Limits | None = None) -> None:
        self._limits = known or limits()
        self._row = shipped()
        self._watch = Watch(self._limits)
        self._memory: Array | None = None
        self._measured, self._weather = np.full(v.MEASURED, np.nan), np.full(v.WEATHER, np.nan)
        self._positions, self._edits = np.zeros(v.ACTUATORS), no_edits()
        self._rules: list[str] = []
        self._counts: dict[str, int] = dict.fromkeys([*RULES, "commands", "edited"], 0)
        self._now_s: float | None = None
        self._seen_order: Order | None = None
        self._invalid = ""
        self._followed: _Followed | None = None
        self._rules_day = False
        self._setpoints: Array | None = None
        self._from: Array | None = None
        self._switched_s = 0.0
        self._feed_ec: tuple[float, float] | None = None
        self._sent = np.full(v.ACTUATORS, np.nan)
        self._sent_s = np.full(v.ACTUATORS, -np.inf)

    def act(self, picture: Any, order: Order | None, now_s: float) -> Sequence[ActuatorCommand]:
        """What the devices are told now; a second call for the same moment, or without a greenhouse's picture, tells nothing."""
        if not isinstance(picture, FarmPicture) or not np.isfinite(now_s) or (self._now_s is not None and now_s == self._now_s):
            return ()
        try:
            return self._act(picture, order, now_s)
        except Exception as error:  # noqa: BLE001  whatever is wrong in here, the house must not lose its loop
            self._watch.say("controller_error", "critical", f"{type(error).__name__}: {error}")
            self._now_s = now_s
            return ()

    def stopped(self, picture: Any | None, now_s: float) -> Sequence[ActuatorCommand]:
        """Every motor halts where it stands and every supply is shut, as an emergency stop does (KS X 3267, operation 0)."""
        self._sent[:] = np.nan  # all is told anew when the stop is over
        return [
            ActuatorCommand(
                id=f"stop:{name}@{now_s:.3f}",
                device=name,
                op="stop",
                issued_s=now_s,
                expires_s=now_s + EXPIRES_S,
                issuer="safety",
                reason="stop",
            )
            for name in PLACES
        ]

    def alarms(self) -> Sequence[Alarm]:
        return self._watch.alarms()

    def edits(self) -> Mapping[str, int]:
        return dict(self._counts)

    def _act(self, picture: FarmPicture, order: Order | None, now_s: float) -> Sequence[ActuatorCommand]:
        dt_s = min(max(now_s - self._now_s, SHORTEST_S), LONGEST_S) if self._now_s is not None else 60.0
        self._now_s = now_s
        devices = {actuator.device: actuator for actuator in picture.actuators}
        self._read(picture, devices)
        faults = self._watch.look(picture, now_s)
        setpoints = self._asked(picture, order, now_s)
        assert self._memory is not None
        running = self._memory[HELD + v.IRRIGATION] > 0.0
        hold(
            self._measured, setpoints, self._weather, faults, picture.hour, dt_s, self._memory, self._row, self._positions, self._edits
        )  # fmt: skip
        self._leave_to_people(devices)
        self._counts["commands"] += 1
        self._counts["edited"] += int(self._edits.any())
        self._rules = [RULES[place] for place in np.flatnonzero(self._edits)]
        for rule in self._rules:
            self._counts[rule] += 1
        return self._commands(devices, setpoints, running, dt_s, now_s)

    def _read(self, picture: FarmPicture, devices: Mapping[str, Actuator]) -> None:
        """The picture into the arrays of the loop; what is not believed becomes NaN."""
        for names, row in ((MEASURED, self._measured), (WEATHER, self._weather)):
            for name, place in names.items():
                found = picture.measured.get(name)
                row[place] = np.nan if found is None or found.quality == "bad" else found.value
        self._weather[v.OUT_CO2_PPM] = OUTSIDE_CO2_PPM
        if self._memory is None:
            self._memory = fresh_memory(np.array([_position(devices.get(name)) for name in v.ACTUATOR_NAMES]))
            self._memory[HELD + v.IRRIGATION] = 0.0
        self._memory[SEEN_OPEN] = 0.5 * sum(_position(devices.get(v.ACTUATOR_NAMES[place])) for place in (v.VENT_LEE, v.VENT_WIND))
        self._leave_to_people(devices)

    def _leave_to_people(self, devices: Mapping[str, Actuator]) -> None:
        """Devices in a person's hands are where that person puts them: the loop goes on from there when it gets them back."""
        assert self._memory is not None
        for name, actuator in devices.items():
            if actuator.right != "REMOTE" and name in PLACES:
                self._memory[HELD + PLACES[name]] = _position(actuator)
                self._sent[PLACES[name]] = np.nan

    def _asked(self, picture: FarmPicture, order: Order | None, now_s: float) -> Array:
        """Set-points of now: the plan's or the rules', blended over from what held before."""
        if order is not self._seen_order:
            self._seen_order, self._invalid = order, ""
            if order is not None:
                self._take(order)
        if order is not None and not self._invalid and order.expired(now_s):
            self._invalid = f"the plan expired {now_s - order.issued_s - order.valid_for_s:.0f} s ago"
        self._watch.order(order, self._invalid)
        if order is None or self._invalid:
            self._rule(picture, now_s)
        followed = self._followed
        assert followed is not None
        asked = _at(followed, now_s)
        if self._from is not None:
            left = 1.0 - (now_s - self._switched_s) / BLEND_S
            if 0.0 < left <= 1.0:
                asked = asked + left * (self._from - asked)
            else:
                self._from = None
        self._setpoints = asked
        return asked

    def _take(self, order: Order) -> None:
        """Follow the order's plan, or know why not."""
        plan, self._invalid = plan_of(order, self._limits)
        if plan is not None:
            self._follow(_Followed(plan, plan.table(), order.id))

    def _rule(self, picture: FarmPicture, now_s: float) -> None:
        """Follow the rules' own plan, fresh enough."""
        own = self._followed if self._followed is not None and not self._followed.order_id else None
        if own is None or now_s - own.plan.start_s >= RULES_S or picture.daylight != self._rules_day:
            self._rules_day = picture.daylight
            plan = rule_plan(picture)
            self._follow(_Followed(plan, plan.table(), ""))

    def _follow(self, followed: _Followed) -> None:
        self._followed, self._from = followed, self._setpoints
        self._switched_s = self._now_s or 0.0

    def _commands(
        self, devices: Mapping[str, Actuator], setpoints: Array, running: bool, dt_s: float, now_s: float
    ) -> Sequence[ActuatorCommand]:
        told: list[ActuatorCommand] = []
        astray = self._watch.astray()
        for name, place in PLACES.items():
            found = devices.get(name)
            if found is not None and found.right != "REMOTE":
                continue
            if place == v.IRRIGATION:
                told += self._water(setpoints, running, dt_s, now_s)
                continue
            position = float(self._positions[place])
            off = abs(position - self._sent[place])
            ends = position in (0.0, 1.0) and off > 0.0
            if off < DEAD_BAND and not ends and now_s - self._sent_s[place] < (RETRY_S if name in astray else REFRESH_S):
                continue
            self._sent[place], self._sent_s[place] = position, now_s
            self._watch.told(name, position)
            told.append(self._command(name, "set_position", {"position_pct": round(100.0 * position, 2)}, now_s))
        return told

    def _water(self, setpoints: Array, running: bool, dt_s: float, now_s: float) -> Sequence[ActuatorCommand]:
        """One command a shot, with its size and its feed; a shot that is cut short is stopped."""
        assert self._memory is not None
        share = self._positions[v.IRRIGATION]
        per_s = self._limits.hard.pump_l_m2_min / 60.0
        if running and share == 0.0 and not WATER_RULES.isdisjoint(self._rules):
            return (self._command(WATER, "stop", {}, now_s),)
        if running or share == 0.0:
            return ()
        size = share * dt_s * per_s + self._memory[SHOT_LEFT]
        feed = self._feed(float(setpoints[v.FEED_EC]), float(setpoints[v.FEED_PH]), now_s)
        return (self._command(WATER, "water", {"l_m2": round(size, 4), **feed}, now_s, duration_s=round(size / per_s, 1)),)

    def _feed(self, ec: float, ph: float, now_s: float) -> dict[str, float]:
        """EC and pH of the feed, EC in small steps; plain water on a salty or starved sensor, no acid beyond the pH limits."""
        hard, slab_ec, slab_ph = self._limits.hard, self._measured[v.SUBSTRATE_EC], self._measured[v.SUBSTRATE_PH]
        if slab_ec > hard.ec_stop_high or slab_ec < hard.ec_stop_low:
            return {"ec_ds_m": PLAIN_EC, "ph": PLAIN_PH}
        if self._feed_ec is not None:
            last, since_s = self._feed_ec
            most = hard.ec_step_h * (now_s - since_s) / 3600.0
            ec = min(max(ec, last - most), last + most)
        self._feed_ec = ec, now_s
        return {"ec_ds_m": round(ec, 2), "ph": PLAIN_PH if slab_ph < hard.ph_stop_low or slab_ph > hard.ph_stop_high else round(ph, 2)}

    def _command(self, device: str, op: Operation, value: Mapping[str, float], now_s: float, duration_s: float = 0.0) -> ActuatorCommand:
        rules = [rule for rule in self._rules if device in why()[rule][0]]
        return ActuatorCommand(
            id=f"{device}@{now_s:.3f}",
            device=device,
            op=op,
            value=value,
            duration_s=duration_s,
            issued_s=now_s,
            expires_s=now_s + EXPIRES_S,
            issuer="safety" if rules else "controller",
            order_id=self._followed.order_id if self._followed is not None else "",
            reason="; ".join(why()[rule][1] for rule in rules),
        )


def _position(actuator: Actuator | None) -> float:
    return actuator.position_pct / 100.0 if actuator is not None else 0.0


def _at(followed: _Followed, now_s: float) -> Array:
    """Plan.at, without making the table again."""
    table = followed.table
    hours = min(max((now_s - followed.plan.start_s) / 3600.0, 0.0), len(table) - 1.0)
    low = min(int(hours), len(table) - 1)
    high = min(low + 1, len(table) - 1)
    return table[low] + (hours - low) * (table[high] - table[low])


@cache
def why() -> Mapping[str, tuple[tuple[str, ...], str]]:
    """Rule -> devices that it may change, and why, in words with the limits' values."""
    rows = yaml.safe_load((files(__package__ or "") / "why.yaml").read_text(encoding="utf-8"))
    values = limits().hard.model_dump()
    return {rule: (tuple(rows[rule]["devices"]), rows[rule]["text"].format(**values)) for rule in RULES}
