// The demo page: two phones, the masked number between them, and the wire below.
//
// The server owns every fact. It sends a snapshot at each change (GET /events), the page draws the
// latest one and keeps only what belongs to the reader: drafts, open panels, a scene that plays.
// Texts are hostile: they reach the page through textContent alone, never as markup.

import { $, say } from "/base.js";
import { drawBetween } from "/between.js";
import { drawConsole } from "/console.js";
import { buildPhone, drawPhone, show } from "/phones.js";
import { buildScenes, drawScenes } from "/scenes.js";
import { drawStaff } from "/staff.js";
import { NAMES, page, waiters } from "/state.js";
import { buildFaults, drawFaults } from "/weather.js";
import { addExchange, clearWire } from "/wire.js";

function draw(next) {
  const first = page.snapshot === null;
  page.snapshot = next;
  for (const node of document.querySelectorAll("[data-brand]")) say(node, page.snapshot.brand);
  for (const name of NAMES) drawPhone(name, first);
  show($("stage").dataset.shown);
  drawBetween();
  drawStaff();
  drawConsole();
  drawFaults();
  for (const look of [...waiters]) look();
  drawScenes();
}

const LINKS = { connecting: "Connecting", live: "Live", stopped: "Stopped" };

function setLink(state) {
  page.link = state;
  $("link-state").dataset.link = state;
  say($("link-state").lastElementChild, LINKS[state]);
  $("banner").classList.toggle("show", state === "stopped");
  say($("banner"), state === "stopped" ? "The demo has stopped. Run maskline demo again; this page reconnects by itself." : "");
  drawScenes();
}

function connect() {
  const stream = new EventSource("/events");
  let grace = setTimeout(() => setLink("stopped"), 5000);
  stream.addEventListener("open", () => { // all that is kept comes again, perhaps from another run
    clearWire();
  });
  stream.addEventListener("snapshot", (event) => {
    clearTimeout(grace);
    draw(JSON.parse(event.data));
    if (page.link !== "live") setLink("live");
  });
  stream.addEventListener("exchange", (event) => addExchange(JSON.parse(event.data)));
  stream.addEventListener("error", () => {
    // The browser's own retry gives up on some answers; a fresh stream never does.
    clearTimeout(grace);
    stream.close();
    setLink(page.link === "live" ? "connecting" : "stopped");
    setTimeout(connect, 1500);
  });
}

for (const name of NAMES) buildPhone(name);
buildScenes();
buildFaults();
show("Ann");
drawScenes();
connect();
