// The bridge of a ship: the plan view and its targets; the rest is page.js.

import { byId, start } from "./page.js";
import { showTargets } from "./panels.js";
import { PlanView } from "./plan.js";

function begin() {
  const plan = new PlanView(byId("plan"));
  for (const button of document.querySelectorAll("[data-range]")) {
    button.addEventListener("click", () => {
      plan.setRange(button.dataset.range);
      for (const other of document.querySelectorAll("[data-range]")) other.setAttribute("aria-pressed", other === button);
    });
  }
  return (state, language) => {
    plan.show(state);
    showTargets(state, language);
  };
}

start(["plan", "targets"], begin, () => ({
  setpoints: { heading_deg: Number(byId("heading").value), speed_kn: Number(byId("speed").value) },
}));
