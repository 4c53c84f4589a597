// The page of a greenhouse: climate with what may come, measurements, devices, plans, alarms; the rest is page.js.

import { draw } from "./charts.js";
import { byId, send, start } from "./page.js";
import { element, fill, write } from "./panels.js";
import { WORDS } from "./words.js";

const PAST_H = 24, AHEAD_H = 24;
const INSIDE = "#3ddc84", OUTSIDE = "#4cc3ff", HEAT = "#ff8a5c", VENT = "#c78bff", FAN = "rgba(157, 178, 192, .35)", CHOSEN = "#ffb020";
const TILES = [
  "air_temp_c", "air_rh_pct", "co2_ppm", "vpd_kpa", "dew_point_c", "leaf_temp_c", "pipe_temp_c", "par_umol_m2_s", "substrate_wc_pct",
  "substrate_ec_ds_m", "substrate_ph", "drain_pct", "out_temp_c", "out_rh_pct", "out_solar_w_m2", "wind_m_s", "rain_mm_h",
];

function show(state, language) {
  const words = WORDS[language];
  showAlarms(state, words);
  showPlans(state, words);
  const picture = state.picture;
  if (!picture || !picture.measured) return;
  showCharts(state, words);
  fill(byId("measured"), TILES.filter((name) => picture.measured[name]).map((name) => measuredTile(name, picture.measured[name], words)));
  showDevices(picture, state, words);
  const { counters, crop } = picture;
  const used = [
    ["heat_used", counters.heat_kwh_m2, "kWh"], ["elec_used", counters.elec_kwh_m2, "kWh"], ["CO₂", counters.co2_kg_m2, "kg"],
    ["water", counters.water_l_m2, "L"], ["drain", counters.drain_l_m2, "L"], ["dli", crop.dli_mol_m2, "mol"], ["gdd", crop.gdd_cd, "°Cd"],
  ];
  fill(byId("used"), used.map(([name, value, unit]) => tile(words[name] || name, number(value), unit)));
}

// --- charts

function showCharts(state, words) {
  const now = state.picture.t_s;
  const hours = (t_s) => (t_s - now) / 3600;
  const past = state.trails || {};
  const bounds = state.bounds || {};
  const chart = (id, title, unit, low, high, name, lines) =>
    draw(byId(id), { title, unit, from: -PAST_H, to: AHEAD_H, now: words.now, low, high, band: bounds[name], lines });
  const line = (name, colour, more = {}) => {
    const points = past[name] || [];
    return { x: points.map((point) => hours(point[0])), y: points.map((point) => point[1]), colour, ...more };
  };
  const fan = (name) => futures(state).map(({ outcome, chosen }) => (
    { x: outcome[name].map((_, hour) => hours((state.decided_t_s ?? now) + 3600 * hour)), y: outcome[name], colour: chosen ? CHOSEN : FAN, width: chosen ? 2 : 1 }));
  const forecast = (name) => ahead(state.picture.forecast, name, now);
  chart("chart-temp", words.temperature, "°C", 10, 30, "air_temp_c", [
    ...fan("air_temp_c"), line("out_temp_c", OUTSIDE), { ...forecast("temp_c"), colour: OUTSIDE, dash: [4, 3] },
    setpoints(state, "heat_temp_c", hours, HEAT), setpoints(state, "vent_temp_c", hours, VENT), line("air_temp_c", INSIDE, { width: 2 }),
  ]);
  chart("chart-rh", words.humidity, "%", 40, 100, "air_rh_pct", [
    ...fan("air_rh_pct"), setpoints(state, "rh_max_pct", hours, VENT), line("air_rh_pct", INSIDE, { width: 2 })]);
  chart("chart-co2", "CO₂", "ppm", 300, 1100, "co2_ppm", [
    ...fan("co2_ppm"), setpoints(state, "co2_ppm", hours, HEAT), line("co2_ppm", INSIDE, { width: 2 })]);
  const price = ahead(state.picture.prices, "elec_eur_kwh", now);
  chart("chart-light", words.light, "W/m²", 0, 600, "", [
    line("out_solar_w_m2", OUTSIDE), { ...forecast("solar_w_m2"), colour: OUTSIDE, dash: [4, 3] },
    { x: price.x, y: price.y.map((value) => 1000 * value), colour: CHOSEN, step: true, width: 1 }]);
  const legend = [[INSIDE, words.inside], [OUTSIDE, words.outside], [HEAT, words.heat_setpoint], [VENT, words.vent_setpoint], [CHOSEN, words.chosen_plan], [FAN, words.other_plans]];
  fill(byId("legend"), legend.map(([colour, text]) => {
    const mark = element("span", text, "sdx-key");
    mark.style.setProperty("--key", colour);
    return mark;
  }));
}

// What each plan leads to, the chosen one last so that it lies on top.
function futures(state) {
  const chosen = state.proposal && state.proposal.option_id;
  const found = (state.options || []).filter((option) => option.outcome && option.outcome.air_temp_c);
  return found.map((option) => ({ outcome: option.outcome, chosen: option.id === chosen })).sort((a, b) => a.chosen - b.chosen);
}

function ahead(columns, name, now) {
  if (!columns || !columns[name]) return { x: [], y: [] };
  return { x: columns[name].map((_, hour) => (columns.start_s - now) / 3600 + hour), y: columns[name] };
}

// One set-point of the order in force over its knots and on to the order's end.
function setpoints(state, name, hours, colour) {
  const told = state.order ? state.order.setpoints : {};
  const x = [], y = [];
  for (let knot = 0; `${name}@${knot}` in told; knot += 1) {
    x.push(hours(told.start_s + 3600 * knot));
    y.push(told[`${name}@${knot}`]);
  }
  if (y.length) {
    x.push(hours(state.order.issued_s + state.order.valid_for_s));
    y.push(y.at(-1));
  }
  return { x, y, colour, dash: [6, 3] };
}

// --- tiles, devices, plans, alarms

function number(value) {
  return Math.abs(value) >= 100 ? value.toFixed(0) : Math.abs(value) >= 10 ? value.toFixed(1) : value.toFixed(2);
}

function tile(title, value, unit, quality = "good") {
  const box = element("div", "", "sdx-tile");
  box.dataset.quality = quality;
  box.append(element("b", value), element("i", unit), element("span", title));
  return box;
}

function measuredTile(name, measured, words) {
  const [title, unit] = words.quantities[name] || [name, ""];
  const box = tile(title, number(measured.value), unit, measured.quality);
  box.title = `${measured.source}, ${Math.round(measured.age_s)} s`;
  return box;
}

function showDevices(picture, state, words) {
  const rows = picture.actuators.map((device) => {
    const row = element("div", "", "sdx-device");
    row.dataset.fault = device.status > 0 && device.status < 200;
    const bar = element("div", "", "sdx-bar");
    bar.style.setProperty("--at", `${device.position_pct}%`);
    if (device.requested_pct !== null) {
      bar.dataset.asked = true;
      bar.style.setProperty("--to", `${device.requested_pct}%`);
    }
    const right = device.right === "REMOTE" ? "" : ` ${device.right}`;
    row.append(element("span", words.device_names[device.device] || device.device.replaceAll("_", " ")), bar, element("b", `${Math.round(device.position_pct)} %${right}`));
    return row;
  });
  fill(byId("devices"), rows);
  const select = byId("hand-device"), before = select.value;
  fill(select, picture.actuators.map((device) => {
    const choice = element("option", words.device_names[device.device] || device.device);
    choice.value = device.device;
    return choice;
  }));
  if (before) select.value = before;
}

function showPlans(state, words) {
  const chosen = state.proposal && state.proposal.option_id;
  const rows = (state.options || []).filter((option) => option.outcome).map((option) => {
    const row = element("tr");
    row.dataset.chosen = option.id === chosen;
    const o = option.outcome;
    const cells = [
      option.label, o.gain_eur_m2.toFixed(3), o.heat_kwh_m2.toFixed(1), o.elec_kwh_m2.toFixed(1), o.temp_mean_c.toFixed(1),
      (100 * o.rh_out_share).toFixed(0), (100 * o.temp_out_share).toFixed(0),
    ];
    row.append(element("td", option.id), ...cells.map((text) => element("td", text)));
    row.title = [option.label, ...option.flags].join("\n");
    return row;
  });
  if (!rows.length) {
    const row = element("tr"), cell = element("td", words.no_proposal, "sdx-dim");
    cell.colSpan = 8;
    row.append(cell);
    rows.push(row);
  }
  fill(byId("plans"), rows);
}

function showAlarms(state, words) {
  const alarms = state.alarms || (state.picture && state.picture.alarms) || [];
  write("alarm-count", alarms.length ? String(alarms.length) : "");
  const rows = alarms.map((alarm) => {
    const row = element("li", "", "sdx-alarm");
    row.dataset.severity = alarm.severity;
    row.append(element("b", alarm.kind.replaceAll("_", " ")), element("span", alarm.detail));
    return row;
  });
  fill(byId("alarms"), rows.length ? rows : [element("li", words.no_alarm, "sdx-dim")]);
}

function begin() {
  byId("give-back").addEventListener("click", () => send("manual", byId("give-back").textContent, { device: byId("hand-device").value }));
  return show;
}

start(["chart-temp", "measured", "devices", "plans", "alarms", "hand-device"], begin, () => (
  { kind: "manual", device: byId("hand-device").value, position_pct: Number(byId("hand-position").value) }));
