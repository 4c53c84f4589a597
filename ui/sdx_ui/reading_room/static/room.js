// The page: worklist and one case. Text from outside is only ever put in as text. viewer.js draws slices, report.js reports and findings.

import { drawFindings, drawReports, drawSide, fillAdding } from "./report.js";
import { possible, showSolid } from "./solid.js";
import { Viewer } from "./viewer.js";
import { WORDS } from "./words.js";

const API = "/medicine/api";
const POLL_MS = 5000;
const byId = (id) => document.getElementById(id);
export const room = { language: localStorage.getItem("sdx-language") || "en", seen: null, words: null, troubles: "", chosen: null, mark: null };

export function words() { return WORDS[room.language]; }

async function ask(path, body) {
  let answer;
  try {
    answer = await fetch(`${API}/${path}`, body === undefined ? { cache: "no-store" } : { method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify(body) });
  } catch {
    throw new Error(words().lost);
  }
  const said = await answer.json();
  if (!answer.ok) throw Object.assign(new Error(said.message), { code: said.code });
  return said.result;
}

export function trouble(text) {
  byId("trouble").textContent = text;
  byId("trouble").hidden = !text;
}

const viewer = new Viewer(
  { canvas: byId("canvas"), stage: byId("stage"), scroll: byId("scroll"), readout: byId("readout"), place: byId("place") },
  API,
  { cursor: (voxel) => { room.mark = voxel; }, chosen: (id) => choose(id, false), error: trouble },
);

// Finding -> slice (jump), slice -> finding and sentence (no jump).
export function choose(id, jump = true) {
  room.chosen = id;
  if (jump && viewer.plane !== "axial") setPlane("axial");
  viewer.choose(id, jump);
  const one = document.querySelector(`#findings > li[data-id="${CSS.escape(id)}"]`);
  for (const item of document.querySelectorAll("#findings > li")) item.dataset.chosen = item === one;
  for (const line of document.querySelectorAll("#reports p[data-findings]")) line.dataset.chosen = line.dataset.findings.split(" ").includes(id);
  if (!jump && one) one.scrollIntoView({ block: "nearest" });
}

// A change belongs to the case that was looked at when it was made: another may be open when it is sent.
export async function change(path, body, id = room.seen.case.id) {
  const who = byId("reader").value.trim();
  if (!who) { byId("reader").focus(); trouble(words().who_first); return false; }
  return send(path, { by: who, ...body }, id);
}

// One change after another: each names the revision that the one before it made, else a quick reader would conflict with herself.
let before = Promise.resolve();
const revisions = new Map(); // newest known, by case

function send(path, body, id = room.seen.case.id) {
  before = before.catch(() => {}).then(() => sendNow(path, body, id));
  return before;
}

async function sendNow(path, body, id) {
  try {
    const seen = await ask(`cases/${id}/${path}`, { revision: revisions.get(id), ...body });
    revisions.set(id, seen.case.revision);
    if (!isOpen(id)) return true;
    show(seen);
    trouble("");
    return true;
  } catch (error) {
    if (error.code === "conflict") { await load(id); trouble(words().conflict); } else trouble(error.message);
    return false;
  }
}

function isOpen(id) { return location.hash.slice(1) === id; }

function show(seen) {
  const fresh = room.seen?.case.id !== seen.case.id;
  room.seen = seen;
  revisions.set(seen.case.id, seen.case.revision);
  const { case: one } = seen;
  byId("status").hidden = false;
  byId("status").textContent = words().status[one.status];
  byId("status").dataset.status = one.status;
  byId("critical").hidden = !seen.critical.length;
  byId("critical").textContent = `${words().urgencies.critical}: ${seen.critical.map(labelName).join(", ")}`;
  if (fresh) {
    room.chosen = room.mark = null;
    solid(false);
    viewer.open(one.id, seen.layout, room.words.windows);
    byId("confirmed").checked = byId("history-panel").open = false;
    byId("talk").replaceChildren();
    byId("addendum").value = "";
    byId("adding").hidden = true;
    byId("adding").reset();
  }
  viewer.thickness = one.picture.study.thickness_mm;
  viewer.show(one.statements.map((each) => ({ id: each.finding.id, present: each.present, box: seen.boxes[each.finding.id], key: each.finding.slices.key })));
  drawFindings(seen);
  drawReports(seen);
  drawSide(seen);
  drawMoves(seen);
  if (room.chosen) choose(room.chosen, false);
}

function drawMoves({ case: one, shown_sha256: shown, exports, chat }) {
  const w = words();
  const final = one.status === "signed" || one.status === "addendum";
  byId("begin").hidden = one.status !== "draft";
  byId("made").textContent = `${w.drafted_by} ${one.made.model === "none" ? w.no_model : `${one.made.model} ${one.made.model_sha256.slice(0, 12)}`} · ${one.created_utc.slice(0, 16)}`;
  byId("add").hidden = one.status !== "in_review";
  if (one.status !== "in_review") byId("adding").hidden = true;
  byId("sign-panel").hidden = one.status === "draft";
  byId("addendum").hidden = !final;
  byId("addendum").required = final;
  byId("sign").textContent = final ? w.sign_addendum : w.sign;
  if (byId("shown").dataset.full !== shown) byId("confirmed").checked = false; // a new content is confirmed anew
  byId("shown").dataset.full = shown;
  byId("shown").textContent = shown.slice(0, 16);
  byId("exports").replaceChildren(...exports.map((kind) => {
    const link = document.createElement("a");
    const button = document.createElement("button");
    button.type = "button";
    button.textContent = kind.toUpperCase();
    link.href = `${API}/cases/${one.id}/out/${kind}`;
    link.download = "";
    button.addEventListener("click", () => download(link.href));
    return button;
  }), note(final ? "" : w.preliminary));
  byId("chat-panel").hidden = !chat;
  const there = room.seen.viewer_3d && possible();
  byId("solid").hidden = !there;
  byId("no-3d").textContent = there ? "" : w.no_3d;
}

async function download(address) {
  const answer = await fetch(address, { cache: "no-store" });
  if (!answer.ok) return trouble((await answer.json()).message);
  const link = document.createElement("a");
  link.href = URL.createObjectURL(await answer.blob());
  link.download = /filename="([^"]+)"/.exec(answer.headers.get("Content-Disposition"))?.[1] || "result";
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 10_000);
}

export function note(text) {
  const made = document.createElement("span");
  made.className = "dim";
  made.textContent = text;
  return made;
}

export function labelName(key) {
  const known = room.words.labels.find((each) => each.key === key);
  return known ? known[room.language] : key;
}

async function solid(wanted) {
  byId("canvas-3d").hidden = !wanted;
  byId("solid").setAttribute("aria-pressed", wanted);
  if (!wanted) return;
  try { await showSolid(byId("canvas-3d"), API, room.seen.case.id); } catch (error) { solid(false); trouble(`${words().no_3d} ${error.message}`); }
}

// Worklist

function drawList(entries) {
  byId("empty").hidden = entries.length > 0;
  byId("entries").replaceChildren(...entries.map((entry) => {
    const row = document.createElement("tr");
    row.dataset.urgency = entry.urgency;
    row.dataset.case = entry.id;
    const urgency = document.createElement("span");
    urgency.className = "urgency";
    urgency.textContent = entry.critical.length ? `${words().urgencies.critical}: ${entry.critical.map(labelName).join(", ")}` : words().urgencies[entry.urgency];
    const open = document.createElement("a");
    open.href = `#${entry.id}`;
    open.textContent = entry.found.map(labelName).join(", ") || words().none;
    const cells = [urgency, words().status[entry.status], open, entry.study_uid.slice(-12), entry.slices, entry.created_utc.slice(0, 16), entry.signer];
    row.append(...cells.map((content) => { const cell = document.createElement("td"); cell.append(content instanceof Node ? content : String(content)); return cell; }));
    row.addEventListener("click", () => { location.hash = entry.id; });
    return row;
  }));
}

async function load(id) {
  try {
    const seen = await ask(`cases/${encodeURIComponent(id)}`);
    if (isOpen(id)) show(seen);
  } catch (error) {
    trouble(error.message);
  }
}

async function go() {
  const id = location.hash.slice(1);
  trouble(room.troubles);
  byId("list").hidden = Boolean(id);
  byId("reading").hidden = !id;
  if (id) return load(id);
  for (const name of ["status", "critical"]) byId(name).hidden = true;
  room.seen = null;
  try { drawList(await ask("worklist")); } catch (error) { trouble(error.message); }
}

async function poll() {
  if (!document.hidden && !room.seen && !location.hash) await go();
  setTimeout(poll, POLL_MS);
}

// What is said once, and language

function group(id, choices, press) {
  byId(id).replaceChildren(...choices.map(([value, text]) => {
    const button = document.createElement("button");
    button.type = "button";
    button.dataset.value = value;
    button.textContent = text;
    button.addEventListener("click", () => press(value));
    return button;
  }));
}

export function setPlane(plane) {
  viewer.setPlane(plane);
  for (const button of byId("planes").children) button.setAttribute("aria-pressed", button.dataset.value === plane);
}

function translate() {
  const w = words();
  document.documentElement.lang = room.language;
  for (const item of document.querySelectorAll("[data-t]")) item.textContent = w[item.dataset.t];
  for (const item of document.querySelectorAll("[data-p]")) item.placeholder = w[item.dataset.p];
  for (const button of document.querySelectorAll("[data-language]")) button.setAttribute("aria-pressed", button.dataset.language === room.language);
  group("planes", Object.entries(w.planes), setPlane);
  group("windows", room.words.windows.map((each) => [each.key, `${each.key} ${room.language === "ko" ? each.ko : each.name}`]), (key) => {
    const preset = room.words.windows.find((each) => each.key === key);
    viewer.setWindow(preset.centre_hu, preset.width_hu);
  });
  fillAdding();
  if (room.seen) { show(room.seen); setPlane(viewer.plane); }
}

function listen() {
  window.addEventListener("hashchange", go);
  byId("reader").value = localStorage.getItem("sdx-reader") || "";
  byId("reader").addEventListener("change", () => { localStorage.setItem("sdx-reader", byId("reader").value.trim()); });
  for (const button of document.querySelectorAll("[data-language]")) {
    button.addEventListener("click", () => {
      room.language = button.dataset.language;
      localStorage.setItem("sdx-language", room.language);
      translate();
      if (!location.hash) go();
    });
  }
  byId("begin").addEventListener("click", () => change("review", {}));
  byId("ruler").addEventListener("click", () => {
    viewer.ruling = !viewer.ruling;
    viewer.rule = null;
    byId("ruler").setAttribute("aria-pressed", viewer.ruling);
    viewer.draw();
  });
  byId("solid").addEventListener("click", () => solid(byId("canvas-3d").hidden));
  byId("fit").addEventListener("click", () => viewer.fit());
  byId("opacity").addEventListener("input", () => { viewer.opacity = byId("opacity").value / 100; viewer.draw(); });
  byId("add").addEventListener("click", () => {
    if (!room.mark) return trouble(words().mark_first);
    byId("adding").hidden = !byId("adding").hidden;
    if (viewer.rule) byId("add-long").value = viewer.ruled_mm.toFixed(1);
  });
  byId("adding").addEventListener("submit", addFinding);
  byId("signing").addEventListener("submit", sign);
  byId("asking").addEventListener("submit", question);
  byId("history-panel").addEventListener("toggle", drawHistory);
}

async function addFinding(event) {
  event.preventDefault();
  const size = (id) => (byId(id).value ? Number(byId(id).value) : null);
  const values = { label: byId("add-label").value, laterality: byId("add-side").value, zone: byId("add-zone").value, voxel: room.mark, long_mm: size("add-long"), short_mm: size("add-short"), note: byId("add-note").value };
  if (await change("findings", values)) { byId("adding").hidden = true; byId("adding").reset(); }
}

async function sign(event) {
  event.preventDefault();
  const signer = { name: byId("signer").value.trim(), organisation: byId("organisation").value.trim() };
  const bound = { signer, shown_sha256: byId("shown").dataset.full };
  const final = room.seen.case.status !== "in_review";
  const done = final ? await send("addenda", { ...bound, text: byId("addendum").value }) : await send("signature", { ...bound, confirmed: byId("confirmed").checked });
  if (done) { byId("addendum").value = ""; byId("confirmed").checked = false; }
}

async function question(event) {
  event.preventDefault();
  const asked = byId("question").value;
  const { id } = room.seen.case;
  byId("question").value = "";
  say("reader", asked);
  const answer = await ask(`cases/${id}/questions`, { question: asked }).then((said) => said.answer, (error) => error.message);
  if (isOpen(id)) say("sdx", answer);
}

function say(who, text) {
  const line = document.createElement("li");
  line.dataset.who = who;
  line.textContent = text;
  byId("talk").append(line);
}

async function drawHistory(event) {
  if (!event.target.open || !room.seen) return;
  const lines = await ask(`cases/${room.seen.case.id}/history`);
  byId("history").replaceChildren(...lines.map((each) => {
    const line = document.createElement("li");
    line.textContent = `${each.at_utc.slice(0, 19)}  ${each.kind}  ${each.by}  ${each.finding || each.language || each.what || ""} ${each.present || ""}`;
    return line;
  }));
}

try {
  room.words = await ask("words");
  const health = await ask("health");
  room.troubles = [...health.troubles, ...health.collapse.alarms].join(" ");
  listen();
  translate();
  setPlaneButtons();
  await go();
  poll();
} catch (error) {
  trouble(error.message);
}

function setPlaneButtons() {
  for (const button of byId("planes").children) button.setAttribute("aria-pressed", button.dataset.value === "axial");
}
