// What the page of every domain does: polls /api/state twice a second, draws it, sends the operator's commands and watches for the echo.

import { banner, showAudit, showControls, showDecision, showTop, translate } from "./panels.js";
import { WORDS } from "./words.js";

const POLL_MS = 500;
const LOST_AFTER = 4; // failed polls
const ACK_WAIT_MS = 5000;
export const byId = (id) => document.getElementById(id);

let language = localStorage.getItem("sdx-language") || "en";
let pending = null; // the command whose echo is awaited
let failures = 0;

async function poll(draw) {
  try {
    const answer = await fetch("api/state", { cache: "no-store", signal: AbortSignal.timeout(4000) });
    if (!answer.ok) throw new Error(`HTTP ${answer.status}`);
    show(draw, await answer.json());
    failures = 0;
  } catch (error) {
    failures += 1;
    if (failures >= LOST_AFTER) banner(WORDS[language].lost);
  }
  setTimeout(() => poll(draw), POLL_MS);
}

function show(draw, state) {
  draw(state, language);
  showTop(state, language);
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

export async function send(kind, words, values = {}) {
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

function listen(takeover) {
  for (const id of ["stop", "reset", "release"]) byId(id).addEventListener("click", () => send(id, byId(id).textContent));
  for (const id of ["approve", "reject"]) {
    byId(id).addEventListener("click", () => send(id, byId(id).textContent, { order_id: byId("approve").dataset.order }));
  }
  byId("takeover").addEventListener("submit", (event) => {
    event.preventDefault();
    const { kind = "takeover", ...values } = takeover();
    send(kind, WORDS[language][kind], values);
  });
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

// Starts a page once its elements are there. `begin` returns draw(state, language); `takeover` the values of a takeover.
export function start(ids, begin, takeover) {
  whenThere(["mode", "description", "verdict", "stop", "audit", ...ids], () => {
    const draw = begin();
    listen(takeover);
    translate(language);
    poll(draw);
  });
}
