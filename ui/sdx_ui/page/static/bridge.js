// Starts the bridge page: polls /api/state twice a second, draws it, sends the operator's commands and watches for the echo.

import { banner, showAudit, showControls, showDecision, showTargets, showTop, translate } from "./panels.js";
import { PlanView } from "./plan.js";
import { WORDS } from "./words.js";

const POLL_MS = 500;
const LOST_AFTER = 4; // failed polls
const ACK_WAIT_MS = 5000;
const byId = (id) => document.getElementById(id);

let language = localStorage.getItem("sdx-language") || "en";
let pending = null; // the command whose echo is awaited
let failures = 0;

async function poll(plan) {
  try {
    const answer = await fetch("api/state", { cache: "no-store", signal: AbortSignal.timeout(4000) });
    if (!answer.ok) throw new Error(`HTTP ${answer.status}`);
    show(plan, await answer.json());
    failures = 0;
  } catch (error) {
    failures += 1;
    if (failures >= LOST_AFTER) banner(WORDS[language].lost);
  }
  setTimeout(() => poll(plan), POLL_MS);
}

function show(plan, state) {
  plan.show(state);
  showTop(state, language);
  showTargets(state, language);
  showDecision(state, language);
  showControls(state);
  showAudit(state);
  if (pending && (state.acks || []).includes(pending.id)) acknowledge();
  else if (pending && Date.now() - pending.sent > ACK_WAIT_MS) byId("ack").textContent = `${pending.words}: ${WORDS[language].not_acknowledged}`;
}

function acknowledge() {
  const seconds = ((Date.now() - pending.sent) / 1000).toFixed(1);
  byId("ack").textContent = `${pending.words}: ${WORDS[language].acknowledged} (${seconds} s)`;
  pending = null;
}

async function send(kind, words, values = {}) {
  const ack = byId("ack");
  ack.textContent = `${words}…`;
  try {
    const answer = await fetch("api/operator", {
      method: "POST",
      headers: { "Content-Type": "application/json" },
      body: JSON.stringify({ kind, ...values }),
    });
    const body = await answer.json();
    if (!answer.ok) throw new Error(typeof body.detail === "string" ? body.detail : JSON.stringify(body.detail));
    pending = { id: body.id, words, sent: Date.now() };
    ack.textContent = `${words}: ${WORDS[language].sent}`;
  } catch (error) {
    ack.textContent = `${words}: ${WORDS[language].refused}: ${error.message}`;
  }
}

function listen(plan) {
  for (const id of ["stop", "reset", "release"]) byId(id).addEventListener("click", () => send(id, byId(id).textContent));
  for (const id of ["approve", "reject"]) {
    byId(id).addEventListener("click", () => send(id, byId(id).textContent, { order_id: byId("approve").dataset.order }));
  }
  byId("takeover").addEventListener("submit", (event) => {
    event.preventDefault();
    const values = { heading_deg: Number(byId("heading").value), speed_kn: Number(byId("speed").value) };
    send("takeover", WORDS[language].takeover, values);
  });
  for (const button of document.querySelectorAll("[data-range]")) {
    button.addEventListener("click", () => {
      plan.setRange(button.dataset.range);
      for (const other of document.querySelectorAll("[data-range]")) other.setAttribute("aria-pressed", other === button);
    });
  }
  for (const button of document.querySelectorAll("[data-language]")) {
    button.addEventListener("click", () => {
      language = button.dataset.language;
      localStorage.setItem("sdx-language", language);
      translate(language);
      document.documentElement.lang = language;
    });
  }
}

// Gradio puts the fragments into the document some time after this script was loaded.
function whenThere(ids, then) {
  if (ids.every(byId)) return then();
  const watcher = new MutationObserver(() => {
    if (!ids.every(byId)) return;
    watcher.disconnect();
    then();
  });
  watcher.observe(document.documentElement, { childList: true, subtree: true });
}

whenThere(["plan", "mode", "targets", "description", "verdict", "stop", "audit"], () => {
  const plan = new PlanView(byId("plan"));
  listen(plan);
  translate(language);
  poll(plan);
});
