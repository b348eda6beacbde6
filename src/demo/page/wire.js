// The wire: every webhook and every call, newest first.

import { $, call, el, icon, say, time } from "/base.js";

const KEPT = 300;
const rows = []; // oldest first

/** Quotes for a shell: nothing inside single quotes means anything but the single quote. */
const quote = (text) => `'${String(text).replaceAll("'", "'\\''")}'`;

function curl({ direction, method, url, request }) {
  const parts = [`curl -X ${quote(method)} ${quote(url)}`];
  if (direction === "call") parts.push("-u \"$FLOWROUTE_ACCESS_KEY:$FLOWROUTE_SECRET_KEY\"");
  if (request !== null) parts.push(`-H ${quote(`Content-Type: application/${direction === "call" ? "vnd.api+json" : "json"}`)}`, `--data-raw ${quote(JSON.stringify(request))}`);
  return parts.join(" \\\n  ");
}

/** What an exchange is about, in a few words. */
function gist({ request, response }) {
  const data = request?.data ?? request ?? {};
  const inside = data.attributes ?? data;
  if (data.type === "delivery_receipt") return `receipt: ${inside.status ?? "?"}`;
  const pictures = inside.media_urls?.length ?? data.relationships?.media?.data?.length ?? 0;
  const along = pictures ? "with a picture" : "";
  if (inside.body) return `“${inside.body}” ${along}`.trim();
  if (along) return along;
  return response?.errors?.[0]?.title ?? "";
}

export function addExchange(exchange) {
  const { direction, method, shown, status, ms, at } = exchange;
  const webhook = direction === "webhook";
  const good = status !== null && status < 300;
  const cell = (name, ...content) => el("span", { className: name }, ...content);
  const row = el("details", { className: `row ${webhook ? "webhook" : "call"}`, "data-testid": "wire-row" },
    el("summary", {},
      cell("at", time(at, true)),
      cell("way", icon(webhook ? "right" : "left"), webhook ? "webhook" : "call"),
      cell("path", el("b", { textContent: method }), ` ${shown}`),
      cell("gist", gist(exchange)),
      cell(`status ${good ? "good" : "bad"}`, status === null ? "no answer" : String(status)),
      cell("ms", ms === null || ms === undefined ? "" : `${ms < 10 ? ms.toFixed(1) : Math.round(ms)} ms`)));
  row.addEventListener("toggle", () => { if (row.open && row.childElementCount === 1) row.append(buildDetail(exchange)); });
  const item = el("li", {}, row);
  $("wire-rows").prepend(item);
  rows.push(item);
  if (rows.length > KEPT) rows.shift().remove();
  drawWireCount();
}

function drawWireCount() {
  say($("wire-count"), String(rows.length));
  $("wire-empty").hidden = rows.length > 0;
}

/** Request, response and what can be done with them; built when a row is first opened. */
function buildDetail(exchange) {
  const json = (title, value) => el("div", { className: "json" }, el("h3", { textContent: title }),
    el("pre", { tabIndex: 0, role: "region", "aria-label": `${title} of exchange ${exchange.id}`, textContent: value === null || value === undefined ? "(empty)" : JSON.stringify(value, null, 2) }));
  const told = el("p", { className: "told", role: "status" });
  const manual = el("textarea", { className: "manual", hidden: true, readOnly: true, rows: 4, "aria-label": "The request as curl" });
  const copy = el("button", { type: "button", className: "small", textContent: "Copy as curl" });
  copy.addEventListener("click", async () => {
    try {
      await navigator.clipboard.writeText(curl(exchange));
      say(told, "Copied.");
    } catch { // no permission, or not a secure address: let the reader copy by hand
      manual.value = curl(exchange);
      manual.hidden = false;
      manual.select();
      say(told, "Select and copy it here:");
    }
  });
  const actions = el("p", { className: "actions" }, copy);
  if (exchange.direction === "webhook") {
    const replay = el("button", { type: "button", className: "small", textContent: "Replay" });
    replay.addEventListener("click", async () => {
      try {
        const { status } = await call("POST", `/exchanges/${encodeURIComponent(exchange.id)}/replay`);
        say(told, status === 200 ? "Replayed, answered 200. The same id twice changes nothing: no phone gets a second text." : `Replayed, answered ${status}.`);
      } catch (problem) {
        say(told, problem.message);
      }
    });
    actions.append(replay);
  }
  const detail = el("div", { className: "detail" }, actions, told, manual);
  if (exchange.error) detail.append(el("p", { className: "problem", textContent: exchange.error }));
  detail.append(el("div", { className: "pair" }, json("Request", exchange.request), json("Response", exchange.response)));
  return detail;
}

/** Forgets every exchange: all that is kept comes again. */
export function clearWire() {
  for (const row of rows.splice(0)) row.remove();
  drawWireCount();
}
