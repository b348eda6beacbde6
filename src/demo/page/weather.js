// Bad weather: the faults of the simulated carrier.

import { $, call, el, say } from "/base.js";
import { page } from "/state.js";

// Shares are sliders from 0 to 100 %; the others say how large a fault is.
const FAULTS = [
  ["refuse", "Refuse a send", "answers 422, for good"],
  ["throttle", "Throttle a send", "answers 429, slow down"],
  ["retry_after_s", "Retry after, seconds", "sent with each 429; empty for none", { min: 0, max: 3600, empty: true }],
  ["error", "Break on a send", "answers 503, nothing was taken"],
  ["drop", "Drop the answer", "accepted or not? nobody knows"],
  ["late", "Be late", "answers, but slowly"],
  ["late_ms", "How late, milliseconds", "for each late one", { min: 0, max: 60000 }],
  ["duplicate", "Repeat a webhook", "the same text arrives again"],
  ["copies", "Copies of a repeated one", "how often it arrives", { min: 2, max: 10 }],
  ["reorder", "Shuffle webhooks", "they arrive out of order"],
  ["lose_webhook", "Lose a text", "only the carrier's list has it"],
  ["lose_receipt", "Lose a receipt", "nobody says it was delivered"],
  ["fail_delivery", "Fail a delivery", "the receipt says failed"],
  ["seed", "Seed", "the same seed, the same luck", { min: 0, max: Number.MAX_SAFE_INTEGER }],
];
const WEATHER = {
  Drizzle: { duplicate: 0.3, reorder: 0.3, late: 0.2, late_ms: 800 },
  Storm: { duplicate: 0.5, copies: 3, reorder: 0.5, error: 0.3, throttle: 0.2, drop: 0.15, late: 0.3, lose_receipt: 0.3, fail_delivery: 0.1 },
};
const inputs = {}; // of the faults, by key
const percent = (share) => `${Math.round(share * 100)} %`;

export function buildFaults() {
  const form = $("faults-form");
  const note = el("p", { className: "fault-note", role: "status" });
  const settle = async (action) => {
    try { await action(); say(note, ""); } catch (error) { say(note, error.message); drawFaults(true); }
  };
  const preset = (title, action) => {
    const button = el("button", { type: "button", className: "small", textContent: title });
    button.addEventListener("click", () => page.snapshot && settle(action));
    return button;
  };
  const fair = preset("Reset to fair", () => call("POST", "/faults/reset"));
  fair.dataset.testid = "faults-reset";
  const clear = Object.fromEntries(FAULTS.filter(([, , , size]) => !size).map(([key]) => [key, 0]));
  const others = Object.entries(WEATHER).map(([title, set]) => preset(title, () => call("PUT", "/faults", { ...page.snapshot.faults, ...clear, ...set })));
  form.append(el("p", { className: "presets" }, fair, ...others), note);

  const grid = el("div", { className: "fault-grid" });
  for (const [key, title, help, size] of FAULTS) {
    const input = el("input", { id: `fault-${key}`, name: key, type: size ? "number" : "range", "aria-describedby": `help-${key}` });
    Object.assign(input, size ? { min: size.min, max: size.max, step: 1, inputMode: "numeric" } : { min: 0, max: 1, step: 0.05, value: 0 });
    const shown = el("output", { htmlFor: input.id });
    input.addEventListener("input", () => { if (!size) drawShare(key); });
    input.addEventListener("change", () => settle(() => {
      if (!input.reportValidity()) return null;
      const value = size?.empty && input.value === "" ? null : Number(input.value);
      return call("PUT", "/faults", { ...page.snapshot.faults, [key]: value });
    }));
    inputs[key] = { input, shown, size };
    grid.append(el("div", { className: "fault" }, el("label", { htmlFor: input.id, textContent: title }), shown, input, el("p", { id: `help-${key}`, textContent: help })));
  }
  form.append(grid);
  form.addEventListener("submit", (event) => event.preventDefault());
}

function drawShare(key) {
  const { input, shown } = inputs[key];
  say(shown, percent(input.value));
  input.setAttribute("aria-valuetext", percent(input.value));
}

/** Shows the faults that hold; a number that is being typed is left alone unless `all`. */
export function drawFaults(all = false) {
  if (!page.snapshot) return;
  for (const [key, { input, size }] of Object.entries(inputs)) {
    const value = String(page.snapshot.faults[key] ?? "");
    if (all || !size || document.activeElement !== input) input.value = value;
    if (!size) drawShare(key);
  }
  const on = Object.entries(inputs).filter(([key, { size }]) => !size && page.snapshot.faults[key] > 0).length;
  say($("weather"), on ? `${on} fault${on > 1 ? "s" : ""} on` : "fair");
  $("weather").classList.toggle("on", on > 0);
}
