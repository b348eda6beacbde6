// The two phones: what they show, and what is texted from them.

import { $, calm, call, el, icon, pretty, say, time } from "/base.js";
import { drawBetween } from "/between.js";
import { buildPicker, buildPictures, whyRefused } from "/pictures.js";
import { nameOf, segments } from "/segments.js";
import { NAMES, other, page, phone, phones } from "/state.js";

const seen = new Set(); // texts that were drawn before: these neither pop nor speak again

export function buildPhone(name) {
  const key = name.toLowerCase();
  const root = $("phone").content.cloneNode(true).firstElementChild;
  const part = (selector) => root.querySelector(selector);
  const view = {
    root, bubbles: [], list: part(".bubbles"), thread: part(".thread"), blank: part(".blank"), select: part("select"),
    number: part("[data-number]"), quiet: part(".quiet"), form: part("form"), draft: part("textarea"),
    count: part("[data-count]"), why: part("[data-why]"), problem: part(".problem"), unread: 0, follows: null,
  };
  root.classList.add(key);
  root.dataset.testid = `phone-${key}`;
  root.setAttribute("aria-label", `${name}’s phone`);
  part(".avatar").textContent = name[0];
  part("h2").textContent = name;
  view.thread.setAttribute("aria-label", `${name}’s texts`);
  view.select.id = `to-${key}`;
  part(".contact label").htmlFor = view.select.id;
  view.select.setAttribute("aria-label", `${name} texts to`);
  view.draft.id = `draft-${key}`;
  view.draft.dataset.testid = `composer-${key}`;
  view.draft.placeholder = `Text as ${name}`;
  view.draft.setAttribute("aria-describedby", `count-${key}`);
  part("form label").htmlFor = view.draft.id;
  part("form label").textContent = `Text as ${name}`;
  part(".count").id = `count-${key}`;
  const button = part("button[type=submit]");
  button.dataset.testid = `send-${key}`;
  button.setAttribute("aria-label", `Send as ${name}`);

  const picked = buildPicker(name, part, view.problem);
  view.draft.addEventListener("input", () => drawCount(view));
  view.draft.addEventListener("keydown", (event) => {
    if (event.key !== "Enter" || event.shiftKey || event.isComposing) return;
    event.preventDefault();
    view.form.requestSubmit();
  });
  view.form.addEventListener("submit", async (event) => {
    event.preventDefault();
    const body = view.draft.value;
    const { media } = picked;
    if (!body.trim() && !media.length) { view.draft.focus(); return; }
    say(view.problem, "");
    try {
      await sendText(name, view.select.value, body, media);
      if (view.draft.value === body) view.draft.value = "";
      if (picked.media === media) picked.clear();
    } catch (error) {
      say(view.problem, error.message);
    }
    drawCount(view);
  });
  view.select.addEventListener("change", drawBetween);
  // Whoever looks at the latest text goes on seeing it when what can be sent along needs room.
  let atEnd = true;
  view.thread.addEventListener("scroll", () => { atEnd = isAtEnd(view); });
  new ResizeObserver(() => { if (atEnd) view.thread.scrollTop = view.thread.scrollHeight; }).observe(view.thread);

  // On a narrow screen one phone is shown at a time.
  view.tab = el("button", { type: "button", className: key }, el("span", { textContent: name }), el("span", { className: "unread", hidden: true }));
  view.tab.addEventListener("click", () => show(name));
  $("switch").append(view.tab);
  $("stage").append(root);
  phones[name] = view;
  drawCount(view);
}

const isAtEnd = ({ thread }) => thread.scrollHeight - thread.scrollTop - thread.clientHeight < 60;

export function show(name) {
  const { thread } = phones[name];
  const turned = $("stage").dataset.shown !== name;
  $("stage").dataset.shown = name;
  if (turned) thread.scrollTop = thread.scrollHeight; // what is not shown cannot scroll along
  phones[name].unread = 0;
  drawCount(phones[name]);
  for (const n of NAMES) {
    const { tab, unread } = phones[n];
    tab.setAttribute("aria-pressed", String(n === name));
    tab.lastChild.hidden = unread === 0;
    tab.lastChild.textContent = unread ? `${unread} new` : "";
  }
}

function drawCount(view) {
  const { culprit, units, parts, room } = segments(view.draft.value);
  view.count.textContent = parts > 1 ? `${units} / ${room} · ${parts} texts` : `${units} / ${room}`;
  view.count.classList.toggle("many", parts > 1);
  say(view.why, culprit === null ? "" : `${nameOf(culprit)} makes this 70 characters a text`);
  if (view.draft.offsetParent === null) return; // not shown, so not to be measured
  view.draft.style.height = "auto"; // back to one line, then grow up to what the style sheet allows
  view.draft.style.height = `${view.draft.scrollHeight + 2}px`;
}

export async function sendText(name, to, body, media = []) {
  const from = phone(name)?.number;
  if (!from) throw new Error("The demo has not started yet.");
  const answer = await call("POST", "/texts", { from, to, body: body.trim() || !media.length ? body : null, media });
  const bad = (answer.statuses ?? []).find((status) => status !== 200);
  if (bad !== undefined) throw new Error(`The webhook answered ${bad}; the carrier will try again.`);
}

export const CODE = /\b[0-9A-Z]{4}-[0-9A-Z]{4}\b/;
const CODE_PARTS = new RegExp(`(${CODE.source})`);
const STATES = { queued: "Queued", sent: "Sent", delivered: "Delivered", failed: "Failed", unknown: "Unknown", recorded: "Recorded" };
// Why a text waits, or never left; what the carrier says is shown as it says it.
const NOTES = {
  fetching_pictures: "its picture is being fetched", pictures_refused: "nothing was left to pass on", opted_out: "the other has stopped",
  blocked: "the other has blocked", carrier_blocked: "the carrier blocks it", too_late: "too late to send", gave_up: "tried too often",
};

const noted = (note) => NOTES[note] ?? note.replace(/^failed (?=\d)/, "code ");

/** One text. What may still change about it is drawn by `drawState`. */
function buildBubble(name, text, before) {
  const mine = text.direction === "out";
  const words = el("p", { className: "words", dir: "auto" });
  for (const piece of String(text.body ?? "").split(CODE_PARTS)) words.append(CODE.test(piece) ? el("b", { textContent: piece }) : piece);
  const meta = el("p", { className: "meta" });
  const node = el("li", { className: "bubble", "data-testid": "bubble", "data-direction": text.direction }, words, ...buildPictures(name, text), meta);
  const who = el("span", { className: "sr" });
  words.prepend(who);
  words.classList.toggle("wordless", !text.body && text.pictures > 0);
  if (!mine) meta.append(icon("mask"), el("span", { textContent: `from ${pretty(text.with)}` }));
  else if (text.with !== before?.with) meta.append(el("span", { textContent: `to ${pretty(text.with)}` }));
  meta.append(el("span", { textContent: time(text.at) }));
  const state = el("span", { className: "state" });
  if (mine) meta.append(state);
  const refused = el("p", { className: "refused" });
  if (mine && text.pictures) node.append(refused);
  return { id: text.id, direction: text.direction, node, who, state, refused, shown: undefined };
}

/** What became of a sent text; whose words a received one carries, which is known a moment after it arrives. */
function drawState(name, bubble, text) {
  const shown = `${text.state} ${text.note} ${text.refused} ${text.source}`;
  if (bubble.shown === shown) return;
  bubble.shown = shown;
  bubble.node.dataset.state = text.state ?? "";
  bubble.node.dataset.source = text.direction === "out" ? "self" : text.source === "relay" ? "other" : "service";
  // What no table of Maskline's knows, the carrier itself has written.
  const service = text.source === null ? "Flowroute: " : `${page.snapshot.brand}: `;
  bubble.who.textContent = { self: `${name}: `, other: "Received: ", service }[bubble.node.dataset.source];
  if (text.direction !== "out" || text.state === null) return;
  const words = STATES[text.state] ?? text.state;
  bubble.state.replaceChildren(icon(STATES[text.state] ? text.state : "unknown"), text.note && text.note !== text.state ? `${words}: ${noted(text.note)}` : words);
  say(bubble.refused, whyRefused(text.refused));
}

export function drawPhone(name, first) {
  const view = phones[name];
  const now = phone(name);
  if (!now) return;
  say(view.number, pretty(now.number));
  view.quiet.hidden = !now.silenced;
  view.root.classList.toggle("silenced", now.silenced);

  if (view.select.options.length !== page.snapshot.masked_numbers.length) {
    view.select.replaceChildren(...page.snapshot.masked_numbers.map((n) => el("option", { value: n, textContent: pretty(n) })));
  }
  // A conversation that begins brings its masked number to the front, as a phone would.
  const begun = now.conversation?.masked_number ?? null;
  if (begun && begun !== view.follows) view.select.value = begun;
  view.follows = begun;

  const atEnd = isAtEnd(view);
  now.texts.forEach((text, i) => {
    const known = view.bubbles[i];
    if (!known || known.id !== text.id || known.direction !== text.direction) {
      for (const stale of view.bubbles.splice(i)) stale.node.remove();
      view.bubbles[i] = buildBubble(name, text, now.texts[i - 1]);
      view.list.append(view.bubbles[i].node);
      drawState(name, view.bubbles[i], text);
      notice(name, text, view.bubbles[i], first);
    }
    drawState(name, view.bubbles[i], text);
  });
  for (const stale of view.bubbles.splice(now.texts.length)) stale.node.remove();

  view.blank.hidden = now.texts.length > 0;
  say(view.blank.lastElementChild, name === "Ann"
    ? "All quiet. Press Start above, or text START from here."
    : "All quiet. Ben joins with the code that Ann gets.");
  if (atEnd || first) view.thread.scrollTop = view.thread.scrollHeight;
}

/** A text that was not there before: let it pop, speak, and travel along the line. */
function notice(name, text, bubble, first) {
  const key = `${name} ${text.direction} ${text.id}`;
  if (seen.has(key)) return;
  seen.add(key);
  if (first) return;
  if (!calm.matches) bubble.node.animate([{ opacity: 0, transform: "translateY(.5rem) scale(.96)" }, {}], { duration: 280, easing: "cubic-bezier(.2,1.2,.4,1)" });
  const source = bubble.node.dataset.source;
  if (text.direction === "in") {
    $("heard").append(el("p", { textContent: `${name} got a ${text.pictures ? "picture" : "text"}: ${text.body ?? ""}` }));
    while ($("heard").childElementCount > 20) $("heard").firstChild.remove();
    if ($("stage").dataset.shown !== name) phones[name].unread += 1;
    travel("mask", name, source === "other" ? other(name) : "mask");
  } else {
    travel(name, "mask", name);
  }
}

/** An envelope on the line: in the sender's colour up to the mask, and behind it in the mask's. */
function travel(from, to, colour) {
  if (calm.matches || document.hidden) return;
  const line = $("line");
  const at = { Ann: 0, mask: 0.5, Ben: 1 };
  const dot = el("span", { className: `courier ${from === "mask" ? "mask" : colour.toLowerCase()}` }, icon("envelope"));
  line.append(dot);
  const width = line.clientWidth - 26;
  const step = (where) => ({ transform: `translateX(${at[where] * width}px)` });
  dot.animate([step(from), step(to)], { duration: 620, easing: "cubic-bezier(.5,0,.3,1)" }).finished.finally(() => dot.remove());
  if (to === "mask") {
    line.querySelector(".face").animate([{ transform: "rotate(0)" }, { transform: "rotate(-7deg) scale(1.06)" }, { transform: "rotate(5deg)" }, { transform: "rotate(0)" }],
      { duration: 420, delay: 480 });
  }
}
