// The right side: findings to judge, both reports to edit, warnings and checks, prior study, signatures.

import { change, choose, labelName, note, room, words } from "./room.js";

const byId = (id) => document.getElementById(id);

function made(name, text, classes = "") {
  const element = document.createElement(name);
  element.textContent = text;
  if (classes) element.className = classes;
  return element;
}

// Findings

export function drawFindings(seen) {
  const { case: one } = seen;
  const items = one.statements.map((statement) => item(seen, statement));
  byId("findings").replaceChildren(...(items.length ? items : [made("li", words().none, "dim")]));
}

function item(seen, { finding, present, note: text }) {
  const w = words();
  const line = document.createElement("li");
  Object.assign(line.dataset, { id: finding.id, present });
  const picture = document.createElement("img");
  picture.alt = `${finding.id} ${labelName(finding.label)}`;
  picture.src = `/medicine/api/cases/${seen.case.id}/findings/${encodeURIComponent(finding.id)}.png`;
  const what = made("div", `${finding.id} ${labelName(finding.label)}`, "what");
  for (const element of [picture, what]) element.addEventListener("click", () => choose(finding.id));
  const open = seen.undecided.includes(finding.id);
  const state = made("span", open ? w.undecided : w.judged[present], open ? "open" : "dim");
  line.append(picture, what, made("div", where(finding), "dim"), said(seen, finding, present, text, state));
  return line;
}

function where(finding) {
  const w = words();
  const size = finding.size ? `${finding.size.long_mm.toFixed(1)} × ${finding.size.short_mm.toFixed(1)} mm` : "";
  const measures = Object.entries(finding.measure).map(([name, value]) => `${name} ${Number(value).toPrecision(3)}`);
  const side = finding.laterality === "n/a" ? "" : w.sides[finding.laterality];
  const zone = finding.zone === "n/a" ? "" : w.zones[finding.zone];
  const slices = `${w.slice} ${finding.slices.key + 1} (${finding.slices.first + 1}–${finding.slices.last + 1})`;
  return [side, zone, finding.lobe === "n/a" ? "" : finding.lobe, size, ...measures, ...finding.descriptors, slices, `${w.probability} ${finding.probability.toFixed(2)}`, w.by[finding.found_by]].filter(Boolean).join(" · ");
}

function said(seen, finding, present, text, state) {
  const row = made("div", "", "said");
  const may = seen.case.status === "in_review";
  const input = document.createElement("input");
  Object.assign(input, { maxLength: 2000, value: text, placeholder: words().note, disabled: !may });
  input.setAttribute("aria-label", `${words().note} ${finding.id}`);
  input.addEventListener("change", () => change(`findings/${encodeURIComponent(finding.id)}`, { present, note: input.value }));
  const buttons = Object.entries(words().present).map(([value, label]) => {
    const button = made("button", label);
    Object.assign(button, { type: "button", disabled: !may });
    button.dataset.say = value;
    button.setAttribute("aria-pressed", value === present && !seen.undecided.includes(finding.id));
    button.addEventListener("click", () => change(`findings/${encodeURIComponent(finding.id)}`, { present: value, note: input.value }));
    return button;
  });
  row.append(...buttons, input, state);
  return row;
}

export function fillAdding() {
  const fill = (id, pairs) => byId(id).replaceChildren(...pairs.map(([value, text]) => Object.assign(made("option", text), { value })));
  fill("add-label", room.words.labels.map((each) => [each.key, each[room.language]]));
  fill("add-side", Object.entries(words().sides));
  fill("add-zone", Object.entries(words().zones));
}

// Reports

export function drawReports(seen) {
  for (const language of ["en", "ko"]) {
    const place = byId(`report-${language}`);
    const same = place.dataset.case === seen.case.id && seen.case.status === "in_review";
    if (same && place.contains(document.activeElement)) continue; // she is writing there: drawn when she leaves it
    if (place.contains(document.activeElement)) document.activeElement.blur(); // what she wrote in the case before is kept there
    place.dataset.case = seen.case.id;
    place.replaceChildren(...body(seen, seen.case.reports[language], language));
  }
}

function* body(seen, report, language) {
  const heads = report.language === "ko" ? "ko" : "en";
  yield made("h3", HEADS[heads].technique);
  yield made("p", report.technique);
  yield made("h3", HEADS[heads].comparison);
  yield made("p", report.comparison);
  for (const section of report.sections) {
    yield made("h3", section.heading);
    for (const sentence of section.sentences) yield line(seen, language, sentence, "");
  }
  yield made("h3", HEADS[heads].impression);
  for (const [number, each] of report.impression.entries()) yield line(seen, language, each, `${number + 1}. `);
  if (report.recommendations.length) yield made("h3", HEADS[heads].recommendations);
  for (const each of report.recommendations) yield made("p", `${each.text} (${each.rule}, ${each.category})`);
  yield made("p", report.statement, "statement");
}

const HEADS = {
  en: { technique: "Technique", comparison: "Comparison", impression: "Impression", recommendations: "Recommendations" },
  ko: { technique: "검사 방법", comparison: "비교", impression: "결론", recommendations: "권고" },
};

function line(seen, language, { text, finding_ids: ids }, before) {
  const row = document.createElement("p");
  row.dataset.findings = ids.join(" ");
  row.dataset.edited = seen.case.edits.some((each) => each.language === language && each.now === text);
  const wrong = seen.problems[language].filter((each) => each.sentence === text);
  row.dataset.trouble = wrong.length > 0;
  row.title = wrong.map((each) => each.what).join("\n");
  if (before) row.append(note(before));
  const words_ = document.createElement("span");
  words_.textContent = text;
  row.append(words_);
  if (ids.length) row.addEventListener("click", () => choose(ids[0]));
  if (seen.case.status !== "in_review") return row;
  Object.assign(words_, { contentEditable: "plaintext-only", spellcheck: false });
  words_.setAttribute("role", "textbox");
  words_.addEventListener("keydown", (event) => { if (event.key === "Enter") { event.preventDefault(); words_.blur(); } if (event.key === "Escape") { words_.textContent = text; words_.blur(); } });
  words_.addEventListener("blur", (event) => {
    const now = words_.textContent.trim();
    const further = byId(`report-${language}`).contains(event.relatedTarget);
    if (now !== text) change("edits", { language, was: text, now, finding_ids: ids }, seen.case.id).then((done) => { if (!done) words_.textContent = text; });
    else if (room.seen && room.seen !== seen && !further) drawReports(room.seen);
  });
  return row;
}

// Warnings, prior study, signatures

export function drawSide(seen) {
  const { case: one } = seen;
  const told = (text, kind) => { const item_ = made("li", text); item_.dataset.kind = kind; return item_; };
  const found = new Map(); // what is wrong in both languages stands once
  for (const [language, each] of Object.entries(seen.problems).flatMap(([name, all]) => all.map((one_) => [name, one_]))) {
    const there = found.get(problemText(each)) || { severity: each.severity, languages: [] };
    if (!there.languages.includes(language)) there.languages.push(language);
    found.set(problemText(each), there);
  }
  const problems = [...found].map(([text, { severity, languages }]) => told(`${languages.join(", ").toUpperCase()}: ${text}`, severity === "error" ? "problem" : "warning"));
  const warnings = [...(one.reports[room.language].warnings || []), ...one.picture.study.corrections].map((text) => told(text, "warning"));
  const doubts = seen.doubts.map((text) => told(text, "problem"));
  byId("warnings").replaceChildren(...problems, ...doubts, ...warnings);
  byId("warnings-panel").hidden = !byId("warnings").children.length;
  drawPrior(one.picture.prior);
  drawSignatures(one);
}

export function problemText(problem) {
  return [problem.finding_id, problem.what, problem.sentence && `“${problem.sentence}”`].filter(Boolean).join(" · ");
}

function drawPrior(prior) {
  byId("prior-panel").hidden = !prior;
  if (!prior) return;
  const lines = prior.findings.map((finding) => made("li", `${labelName(finding.label)} · ${where(finding)}`));
  byId("prior").replaceChildren(made("li", `${prior.days_before} ${words().days_before}`), ...lines);
}

function drawSignatures({ signature, addenda }) {
  const lines = [];
  if (signature) {
    const far = Object.entries(signature.distance_words).map(([language, count]) => `${language.toUpperCase()} ${count}`).join(", ");
    lines.push(made("li", `${words().signed_at} ${signature.signer.name}, ${signature.signer.organisation}, ${signature.at_utc.slice(0, 19)} · ${words().distance}: ${far} · ${signature.shown_sha256.slice(0, 16)}`));
  }
  for (const each of addenda) lines.push(made("li", `${words().addendum}: ${each.text}\n${each.signer.name}, ${each.signer.organisation}, ${each.at_utc.slice(0, 19)}`));
  byId("signatures").replaceChildren(...lines);
}
