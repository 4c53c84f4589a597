// Everything beside the plan view. Text from outside goes through textContent only: it cannot become markup.

import { WORDS } from "./words.js";

const byId = (id) => document.getElementById(id);
const three = (deg) => String(Math.round(deg) % 360).padStart(3, "0");
const term = (word, language) => WORDS[language].terms[word] || String(word).replaceAll("_", " ");

// "cpa_nm" as "CPA NM": the quantity, then its unit.
function quantity(name) {
  const [unit, ...rest] = name.split("_").reverse();
  const units = { nm: "NM", min: "min", s: "s", deg: "°", kn: "kn", m: "m", c: "°C", pct: "%", m2: "/m²" };
  const words = rest.reverse().join(" ").replace(/\b(cpa|tcpa|bcr)\b/g, (word) => word.toUpperCase());
  return `${words} ${units[unit] || unit}`;
}

export function element(tag, text = "", className = "") {
  const made = document.createElement(tag);
  made.textContent = text;
  if (className) made.className = className;
  return made;
}

// Replaces the children only when their text changed, so that a selection or a scroll position survives.
export function fill(parent, children) {
  const key = children.map((child) => child.outerHTML).join("");
  if (parent.dataset.key === key) return;
  parent.dataset.key = key;
  parent.replaceChildren(...children);
}

export function write(id, text) {
  const place = byId(id);
  if (place.textContent !== text) place.textContent = text;
}

export function translate(language) {
  for (const place of document.querySelectorAll("[data-t]")) place.textContent = WORDS[language][place.dataset.t];
  for (const input of document.querySelectorAll("[data-hint]")) {
    input.placeholder = WORDS[language][input.dataset.hint];
    input.setAttribute("aria-label", input.placeholder);
  }
  for (const button of document.querySelectorAll("[data-language]")) button.setAttribute("aria-pressed", button.dataset.language === language);
}

export function showTop(state, language) {
  const words = WORDS[language];
  const mode = state.estop ? "stopped" : state.mode || "none";
  byId("mode").dataset.mode = mode;
  write("mode", words.modes[mode] || mode);
  byId("mode").title = state.mode_reason || "";
  if (state.picture) write("domain", words[state.picture.domain] || state.picture.domain);
  write("clock", state.picture ? moment(state.picture) : "");
  const lamps = Object.entries(state.parts || {}).map(([name, part]) => {
    const lamp = element("span", name, "sdx-lamp");
    lamp.dataset.ok = part.ok;
    lamp.title = part.age_s === null ? "never heard" : `${part.age_s.toFixed(1)} s ago`;
    return lamp;
  });
  fill(byId("lamps"), lamps);
  byId("reset").hidden = !state.estop;
  const stale = !state.picture || state.picture_age_s > 3;
  banner(state.estop ? `${words.stopped}: ${state.mode_reason || ""}` : stale ? words.silent : "");
}

export function banner(text) {
  byId("banner").hidden = !text;
  write("banner", text);
}

// A house counts days and shows local time, a voyage hours.
function moment(picture) {
  if (picture.hour === undefined) return clock(picture.t_s);
  return `${Math.floor(picture.t_s / 86400) + 1}d ${clock(picture.hour * 3600).slice(0, 5)}`;
}

function clock(seconds) {
  const s = Math.floor(seconds);
  return [s / 3600, (s / 60) % 60, s % 60].map((part) => String(Math.floor(part)).padStart(2, "0")).join(":");
}

export function showTargets(state, language) {
  const targets = state.picture ? state.picture.targets : [];
  const rows = targets.map((target) => {
    const row = element("tr");
    row.dataset.stage = target.past_and_clear ? 0 : target.stage;
    const name = element("td");
    const kind = target.kind === "power" ? "" : ` (${target.kind})`;
    name.append(element("b", target.label), element("small", (target.name_untrusted || target.track_id.replace("mmsi:", "")) + kind));
    const cells = [
      target.range_nm.toFixed(1), three(target.bearing_deg), target.cpa_nm.toFixed(2), target.tcpa_min.toFixed(1),
      term(target.encounter, language), term(target.role, language), target.past_and_clear ? term("clear", language) : String(target.stage),
    ];
    row.append(name, ...cells.map((text) => element("td", text)));
    return row;
  });
  if (!rows.length) {
    const cell = element("td", WORDS[language].none, "sdx-dim");
    cell.colSpan = 8;
    const row = element("tr");
    row.append(cell);
    rows.push(row);
  }
  fill(byId("targets"), rows);
}

export function showDecision(state, language) {
  const words = WORDS[language];
  write("description", (state.description || {})[language] || "");
  const proposal = state.proposal;
  const option = proposal && (state.options || []).find((item) => item.id === proposal.option_id);
  write("proposer", state.model ? `${state.model}${state.latency_s ? `, ${state.latency_s.toFixed(2)} s` : ""}` : "");
  write("proposed", proposal ? (option ? `${option.id}  ${option.label}` : proposal.option_id || "abstains") : words.no_proposal);
  write("advice", (state.advice || {})[language] || "");
  write("reason", proposal ? proposal.reason : "");
  const cited = proposal ? proposal.understanding.flatMap((item) => [`${item.subject}: ${term(item.kind, language)}, ${term(item.role, language)}`, ...item.rules]) : [];
  fill(byId("rules"), [...new Set(cited)].map((text) => element("span", text, "sdx-chip")));
  showDocuments(state.documents || [], words);
  showVerdict(state, language);
  showOrder(state, words);
}

// What the user's own documents say about the situation; opened by a tap.
function showDocuments(documents, words) {
  const passages = documents.map((passage) => {
    const box = element("details");
    box.append(element("summary", passage.title), element("p", passage.text, "sdx-words"));
    return box;
  });
  fill(byId("documents"), passages.length ? [element("p", words.documents, "sdx-note"), ...passages] : []);
}

function showVerdict(state, language) {
  const verdict = state.verdict;
  write("verdict", verdict ? term(verdict.kind, language) : "");
  byId("verdict").dataset.kind = verdict ? verdict.kind : "";
  fill(byId("reasons"), verdict ? verdict.reasons.map((text) => element("li", text)) : []);
  // Margins of the order that stands are the ones that matter now.
  const margins = Object.entries((state.standing || verdict || {}).margins || {}).map(([name, value]) => {
    const box = element("div", "", "sdx-margin");
    box.dataset.ok = value >= 0;
    box.append(element("b", Number(value).toFixed(2)), element("span", quantity(name)));
    return box;
  });
  fill(byId("margins"), margins);
}

function showOrder(state, words) {
  const order = state.order;
  write("why", state.mode_reason || "");
  if (!order) return write("order", "");
  const { heading_deg: heading, speed_kn: speed } = order.setpoints;
  const told = heading === undefined ? order.label : `heading ${three(heading)}°, speed ${Number(speed).toFixed(1)} kn`;
  const left = state.picture ? Math.max(0, order.issued_s + order.valid_for_s - state.picture.t_s) : 0;
  const time = left < 7200 ? `${left.toFixed(0)} s` : `${(left / 3600).toFixed(1)} h`;
  write("order", `${words.order}: ${told} (${order.source}), ${words.remaining} ${time}`);
}

export function showControls(state) {
  const waiting = state.approval && state.approval.waiting;
  byId("approve").disabled = byId("reject").disabled = !waiting;
  byId("approve").dataset.order = waiting ? waiting.id : "";
  write("waiting", waiting ? `${waiting.label || waiting.id} ?` : "");
  byId("release").disabled = state.mode !== "override";
}

export function showAudit(state) {
  const rows = (state.audit || []).map((item) => {
    const row = element("li");
    row.append(element("time", clock(item.t_s || 0)), element("b", item.kind), element("span", item.text));
    return row;
  });
  fill(byId("audit"), rows.reverse());
}
