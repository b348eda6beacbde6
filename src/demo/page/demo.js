// The demo page: two phones, the masked number between them, and the wire below.
//
// The server owns every fact. It sends a snapshot at each change (GET /events), the page draws the
// latest one and keeps only what belongs to the reader: drafts, open panels, a scene that plays.
// Texts are hostile: they reach the page through textContent alone, never as markup.

const $ = (id) => document.getElementById(id);
const NAMES = ["Ann", "Ben"];

/** Makes an element; `props` are DOM properties, or attributes where the name has a hyphen or is `role`. */
function el(tag, props = {}, ...children) {
  const node = document.createElement(tag);
  for (const [key, value] of Object.entries(props)) {
    if (key.includes("-") || key === "role") node.setAttribute(key, value);
    else node[key] = value;
  }
  node.append(...children);
  return node;
}

/** An icon from the sprite in index.html. Always decoration: the words stand beside it. */
function icon(name) {
  const svg = document.createElementNS("http://www.w3.org/2000/svg", "svg");
  const use = document.createElementNS("http://www.w3.org/2000/svg", "use");
  use.setAttribute("href", `#i-${name}`);
  svg.setAttribute("class", `icon ${name}`);
  svg.setAttribute("aria-hidden", "true");
  svg.append(use);
  return svg;
}

/** Writes only what differs, so that live regions speak only when something is new. */
function say(node, text) {
  if (node.textContent !== text) node.textContent = text;
}

const pause = (ms) => new Promise((done) => setTimeout(done, ms));
const calm = matchMedia("(prefers-reduced-motion: reduce)");

/** "+14155550100" as people write it. */
function pretty(number) {
  const part = /^\+1(\d{3})(\d{3})(\d{4})$/.exec(number);
  return part ? `(${part[1]})\u00a0${part[2]}\u2011${part[3]}` : String(number);
}

function time(at, withSeconds = false) {
  const date = new Date(at);
  if (Number.isNaN(date.getTime())) return "";
  const two = (n) => String(n).padStart(2, "0");
  const short = `${two(date.getHours())}:${two(date.getMinutes())}`;
  return withSeconds ? `${short}:${two(date.getSeconds())}.${String(date.getMilliseconds()).padStart(3, "0")}` : short;
}

/** Calls the demo; throws an Error whose message can be shown to the reader. */
async function call(method, path, body) {
  let response;
  try {
    response = await fetch(path, {
      method,
      headers: body === undefined ? {} : { "content-type": "application/json" },
      body: body === undefined ? undefined : JSON.stringify(body),
    });
  } catch {
    throw new Error("The demo does not answer.");
  }
  const answer = await response.json().catch(() => ({}));
  if (!response.ok) throw new Error(String(answer.detail ?? answer.title ?? `Answered ${response.status}.`));
  return answer;
}

// ---------------------------------------------------------------- how many texts a draft costs

const GSM7 = new Set(
  "@£$¥èéùìòÇ\nØø\rÅåΔ_ΦΓΛΩΠΨΣΘΞÆæßÉ !\"#¤%&'()*+,-./0123456789:;<=>?¡" +
  "ABCDEFGHIJKLMNOPQRSTUVWXYZÄÖÑÜ§¿abcdefghijklmnopqrstuvwxyzäöñüà",
);
const GSM7_EXTENSION = new Set("^{}\\[~]|€\f"); // each takes an escape as well, so counts 2

/** Counts a draft as a carrier does. An escaped or surrogate pair is never cut between two parts. */
export function segments(text) {
  const characters = [...text];
  const culprit = characters.find((c) => !GSM7.has(c) && !GSM7_EXTENSION.has(c)) ?? null;
  const weigh = culprit === null ? (c) => (GSM7_EXTENSION.has(c) ? 2 : 1) : (c) => c.length;
  const [single, part] = culprit === null ? [160, 153] : [70, 67];
  const units = characters.reduce((sum, c) => sum + weigh(c), 0);
  if (units <= single) return { culprit, units, parts: units ? 1 : 0, room: single };
  let parts = 1;
  let used = 0;
  for (const c of characters) {
    if (used + weigh(c) > part) { parts += 1; used = 0; }
    used += weigh(c);
  }
  return { culprit, units, parts, room: part * parts };
}

/** Names a character; one that cannot be seen is named by its code point. */
function nameOf(character) {
  const unseen = /^[\p{C}\p{Z}\p{M}]/u.test(character);
  return unseen ? `U+${character.codePointAt(0).toString(16).toUpperCase().padStart(4, "0")}` : `“${character}”`;
}

// ---------------------------------------------------------------- what the page knows

let snapshot = null;        // the latest the server said
let link = "connecting";    // connecting | live | stopped
const seen = new Set();     // texts that were drawn before: these neither pop nor speak again
const waiters = new Set();  // promises that look at each snapshot
const phones = {};          // the parts of each phone on the page, by name

const phone = (name) => snapshot?.phones.find((p) => p.name === name) ?? null;
const other = (name) => NAMES.find((n) => n !== name);

// ---------------------------------------------------------------- the phones

function buildPhone(name) {
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
  const button = part("button");
  button.dataset.testid = `send-${key}`;
  button.setAttribute("aria-label", `Send as ${name}`);

  view.draft.addEventListener("input", () => drawCount(view));
  view.draft.addEventListener("keydown", (event) => {
    if (event.key !== "Enter" || event.shiftKey || event.isComposing) return;
    event.preventDefault();
    view.form.requestSubmit();
  });
  view.form.addEventListener("submit", async (event) => {
    event.preventDefault();
    const body = view.draft.value;
    if (!body.trim()) { view.draft.focus(); return; }
    say(view.problem, "");
    try {
      await sendText(name, view.select.value, body);
      if (view.draft.value === body) view.draft.value = "";
    } catch (error) {
      say(view.problem, error.message);
    }
    drawCount(view);
  });
  view.select.addEventListener("change", drawBetween);

  // On a narrow screen one phone is shown at a time.
  view.tab = el("button", { type: "button", className: key }, el("span", { textContent: name }), el("span", { className: "unread", hidden: true }));
  view.tab.addEventListener("click", () => show(name));
  $("switch").append(view.tab);
  $("stage").append(root);
  phones[name] = view;
  drawCount(view);
}

function show(name) {
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

async function sendText(name, to, body) {
  const from = phone(name)?.number;
  if (!from) throw new Error("The demo has not started yet.");
  const answer = await call("POST", "/texts", { from, to, body });
  const bad = (answer.statuses ?? []).find((status) => status !== 200);
  if (bad !== undefined) throw new Error(`The webhook answered ${bad}; the carrier will try again.`);
}

const CODE = /\b[0-9A-Z]{4}-[0-9A-Z]{4}\b/;
const CODE_PARTS = new RegExp(`(${CODE.source})`);
const STATES = { queued: "Queued", sent: "Sent", delivered: "Delivered", failed: "Failed", unknown: "Unknown", recorded: "Recorded" };

/** One text. What may still change about it is drawn by `drawState`. */
function buildBubble(name, text, before) {
  const mine = text.direction === "out";
  const words = el("p", { className: "words", dir: "auto" });
  for (const piece of String(text.body ?? "").split(CODE_PARTS)) words.append(CODE.test(piece) ? el("b", { textContent: piece }) : piece);
  const meta = el("p", { className: "meta" });
  const node = el("li", { className: "bubble", "data-testid": "bubble", "data-direction": text.direction }, words, meta);
  const who = el("span", { className: "sr" });
  words.prepend(who);
  if (!mine) meta.append(icon("mask"), el("span", { textContent: `from ${pretty(text.with)}` }));
  else if (text.with !== before?.with) meta.append(el("span", { textContent: `to ${pretty(text.with)}` }));
  meta.append(el("span", { textContent: time(text.at) }));
  const state = el("span", { className: "state" });
  if (mine) meta.append(state);
  return { id: text.id, direction: text.direction, node, who, state, shown: undefined };
}

/** What became of a sent text; whose words a received one carries, which is known a moment after it arrives. */
function drawState(name, bubble, text) {
  const shown = `${text.state} ${text.note} ${text.source}`;
  if (bubble.shown === shown) return;
  bubble.shown = shown;
  bubble.node.dataset.state = text.state ?? "";
  bubble.node.dataset.source = text.direction === "out" ? "self" : text.source === "relay" ? "other" : "service";
  // What no table of Maskline's knows, the carrier itself has written.
  const service = text.source === null ? "Flowroute: " : `${snapshot.brand}: `;
  bubble.who.textContent = { self: `${name}: `, other: "Received: ", service }[bubble.node.dataset.source];
  if (text.direction !== "out" || text.state === null) return;
  const words = STATES[text.state] ?? text.state;
  bubble.state.replaceChildren(icon(STATES[text.state] ? text.state : "unknown"), text.note ? `${words}: ${text.note}` : words);
}

function drawPhone(name, first) {
  const view = phones[name];
  const now = phone(name);
  if (!now) return;
  say(view.number, pretty(now.number));
  view.quiet.hidden = !now.silenced;
  view.root.classList.toggle("silenced", now.silenced);

  if (view.select.options.length !== snapshot.masked_numbers.length) {
    view.select.replaceChildren(...snapshot.masked_numbers.map((n) => el("option", { value: n, textContent: pretty(n) })));
  }
  // A conversation that begins brings its masked number to the front, as a phone would.
  const begun = now.conversation?.masked_number ?? null;
  if (begun && begun !== view.follows) view.select.value = begun;
  view.follows = begun;

  const atEnd = view.thread.scrollHeight - view.thread.scrollTop - view.thread.clientHeight < 60;
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
    $("heard").append(el("p", { textContent: `${name} got a text: ${text.body ?? ""}` }));
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

// ---------------------------------------------------------------- between the phones

function drawBetween() {
  if (!snapshot) return;
  const held = NAMES.map(phone).map((p) => p?.conversation).find(Boolean);
  say($("masked"), pretty(held?.masked_number ?? phones.Ann.select.value));
  drawConversation();
  drawPrivacy();
}

let conversationDrawn = "";

function drawConversation() {
  const people = NAMES.map(phone).filter(Boolean);
  const waiting = people.find((p) => p.conversation?.state === "waiting");
  const active = people.length === 2 && people.every((p) => p.conversation?.state === "active");
  const stopped = people.filter((p) => p.silenced).map((p) => p.name);
  const begun = people.some((p) => p.texts.length > 0);
  const key = JSON.stringify([waiting?.name, waiting?.conversation, active, stopped, begun]);
  if (key === conversationDrawn) return;
  conversationDrawn = key;

  const heading = (mood, text) => el("p", { className: `mood ${mood}`, textContent: text });
  const words = (text) => el("p", { textContent: text });
  const parts = [];
  if (active) {
    const faces = people.map((p) => el("p", { className: `sees ${p.name.toLowerCase()}` },
      el("span", { textContent: `On ${p.name}’s phone, ${other(p.name)} is` }), el("strong", { textContent: pretty(p.conversation.masked_number) })));
    parts.push(heading("active", "Connected"), words("What one texts reaches the other, word for word. Only the number changes."), el("div", { className: "faces" }, ...faces));
  } else if (waiting) {
    const { code, sms_link: sms, qr_svg_url: qr } = waiting.conversation;
    const joiner = other(waiting.name);
    parts.push(heading("waiting", `Waiting for ${joiner}`));
    const card = el("div", { className: "ticket" });
    if (String(qr).startsWith("/qr/")) card.append(el("img", { src: qr, alt: `QR code: scan it to text JOIN ${code ?? ""}`, width: 104, height: 104 }));
    const side = el("div");
    if (code) side.append(el("p", { className: "label", textContent: "the code" }), el("p", { className: "code", textContent: code }));
    if (String(sms).startsWith("sms:")) side.append(el("a", { href: sms, textContent: "Open as a text" }));
    card.append(side);
    parts.push(card, words(`${waiting.name} shares the code, ${joiner} texts JOIN with it.`));
  } else if (stopped.length) {
    parts.push(heading("ended", `${stopped.join(" and ")} stopped`), words(`Nothing more is sent to ${stopped.join(" or ")}. UNSTOP undoes it: press Return.`));
  } else if (begun) {
    parts.push(heading("ended", "No conversation now"), words("Nothing is relayed any more. Press Start to open a new one."));
  } else {
    parts.push(heading("", "First press Start"), el("ol", { className: "steps" },
      ...["Ann asks for a conversation and gets a code.", "Ben joins by texting that code.", "They text as ever, and see only the number above."].map((step) => el("li", { textContent: step }))));
  }
  $("conversation").replaceChildren(...parts);
}

/** Only the digits, whatever stands between them, so that "206.555-0142" is found as well. */
const bare = (text) => String(text ?? "").normalize("NFKC").replace(/[\s\p{P}\p{S}\p{Cf}]/gu, "");

/** Looks for each party's real number in all that the other's phone received. */
function findExposure() {
  let checked = 0;
  let found = null;
  for (const p of snapshot.phones) {
    for (const o of snapshot.phones.filter((q) => q !== p)) {
      const digits = bare(o.number).replace(/^1(?=\d{10}$)/, "");
      for (const text of p.texts.filter((t) => t.direction === "in")) {
        checked += 1;
        if (found || !digits) continue;
        if (bare(text.with).includes(digits)) found = `${o.name}’s real number is the sender of a text on ${p.name}’s phone`;
        else if (bare(text.body).includes(digits)) found = `${o.name}’s real number stands in a text on ${p.name}’s phone`;
        if (found && o.texts.some((t) => t.direction === "out" && t.body === text.body)) found += `: ${o.name} wrote it there`;
      }
    }
  }
  if (!found && snapshot.exposed) found = "A real number has reached the other phone";
  return { checked, found };
}

function drawPrivacy() {
  const { checked, found } = findExposure();
  const texts = checked === 0 ? "nothing texted yet" : checked === 1 ? "1 text checked" : `${checked} texts checked`;
  const node = $("privacy");
  say(node.lastElementChild, found ?? `Neither phone has seen the other’s real number · ${texts}`);
  if (node.dataset.exposed === String(Boolean(found))) return;
  node.dataset.exposed = String(Boolean(found));
  node.firstElementChild.firstElementChild.setAttribute("href", found ? "#i-alarm" : "#i-shield");
  say($("alarm"), found ? `Privacy alert. ${found}.` : "");
}

// ---------------------------------------------------------------- the scenes

const TALK = [
  ["Ben", "Hi! Is the green bicycle still for sale?"],
  ["Ann", "It is. Freshly oiled, and it comes with a bell."],
  ["Ben", "A loud bell?"],
  ["Ann", "The pigeons have complained."],
  ["Ben", "Sold! Saturday at ten, by the fountain?"],
  ["Ann", "See you there. I'll be the one ringing."],
];
/** The code that Ann's conversation waits with: read in her last answer, unless that answer was lost on the way. */
function annsCode() {
  const answers = (phone("Ann")?.texts ?? []).filter((t) => t.direction === "in");
  const read = answers.map((t) => CODE.exec(t.body ?? "")?.[0]).filter(Boolean).at(-1);
  return phone("Ann")?.conversation?.code ?? read ?? null;
}

const talking = (name) => phone(name)?.conversation?.state === "active";
const numberOf = (name) => phone(name)?.conversation?.masked_number ?? phones[name].select.value;
const silent = () => NAMES.filter((name) => phone(name)?.silenced);
const got = (name, body) => phone(name).texts.filter((t) => t.direction === "in" && t.body === body).length;

// `blocked` says why a scene cannot be played now; `run` plays it and waits for what must come of it.
const SCENES = [
  {
    key: "start", who: "Ann", title: "Start", hint: "Ann texts START",
    blocked: () => (phone("Ann").silenced ? "Ann has stopped: press Return" : phone("Ann").conversation ? "Ann has a conversation" : null),
    async run() {
      await act("Ann", numberOf("Ann"), "START");
      await until(() => phone("Ann").conversation, 15, "START was not answered");
      await until(() => phone("Ann").texts.some((t) => t.direction === "in" && t.body?.includes(phone("Ann").conversation?.code ?? "")), 6).catch(resumeUnlessStopped);
    },
  },
  {
    key: "join", who: "Ben", title: "Join", hint: "Ben texts JOIN and the code",
    blocked: () => (phone("Ben").conversation ? (talking("Ben") ? "Ben has joined" : "Ben waits in his own") : phone("Ann").conversation?.state === "waiting" && annsCode() ? null : "Needs Ann’s code: press Start"),
    async run() {
      await act("Ben", numberOf("Ann"), `JOIN ${annsCode()}`);
      await until(() => talking("Ann") && talking("Ben"), 15, "JOIN did not connect them");
    },
  },
  {
    key: "talk", who: "Both", title: "Talk", hint: "They haggle over a bicycle",
    blocked: () => (talking("Ann") && talking("Ben") ? null : "Needs both: Start, then Join"),
    async run() {
      for (const [name, body] of TALK) {
        const before = got(other(name), body);
        await act(name, numberOf(name), body);
        await until(() => got(other(name), body) > before, 20, `${name}’s text did not reach ${other(name)}`);
        await beat(700);
      }
    },
  },
  {
    key: "end", who: "Ann", title: "End", hint: "Ann texts LEAVE",
    blocked: () => (phone("Ann").conversation ? null : "Nothing to end yet"),
    async run() {
      await act("Ann", numberOf("Ann"), "LEAVE");
      await until(() => NAMES.every((name) => !phone(name).conversation), 15, "LEAVE did not end it");
    },
  },
  {
    key: "stop", who: "Ben", title: "Stop", hint: "Ben texts STOP: no more texts",
    blocked: () => (phone("Ben").silenced ? "Ben has stopped already" : null),
    async run() {
      await act("Ben", numberOf("Ben"), "STOP");
      await until(() => phone("Ben").silenced, 15, "STOP was not taken");
    },
  },
  {
    key: "return", who: "Ben", title: "Return", hint: "UNSTOP lifts the stop",
    blocked: () => (silent().length ? null : "Nobody has stopped"),
    async run() {
      for (const name of silent()) {
        await act(name, numberOf(name), "UNSTOP"); // the carrier lifts its own stop at this word alone
        await until(() => !phone(name).silenced, 15, "UNSTOP did not lift the stop");
      }
    },
  },
];

let playing = null;        // the AbortController of what plays
let playingTitle = "";
const played = new Set();

/** Waits until `done` holds for a snapshot; rejects after `seconds`, or when the reader pauses. */
function until(done, seconds, otherwise = "That took too long") {
  const signal = playing.signal;
  return new Promise((resolve, reject) => {
    const finish = (settle, value) => { waiters.delete(look); clearTimeout(timer); signal.removeEventListener("abort", stop); settle(value); };
    const look = () => { if (done()) finish(resolve); };
    const stop = () => finish(reject, signal.reason);
    const timer = setTimeout(() => finish(reject, new Error(`${otherwise} within ${seconds} seconds.`)), seconds * 1000);
    signal.addEventListener("abort", stop);
    if (signal.aborted) return stop();
    waiters.add(look);
    look();
  });
}

const resumeUnlessStopped = () => playing.signal.throwIfAborted();
const beat = async (ms) => { await pause(ms); resumeUnlessStopped(); };
const act = (name, to, body) => { resumeUnlessStopped(); show(name); bringIntoView(); return sendText(name, to, body); };

/** On a narrow screen the phones stand below the scenes: lets the reader see what the scene does. */
function bringIntoView() {
  if ($("switch").offsetParent === null) return;
  $("switch").scrollIntoView({ behavior: calm.matches ? "auto" : "smooth", block: "start" });
}

/** Plays scenes in order and leaves out the ones that do not apply. */
async function play(scenes, title) {
  if (playing) return;
  playing = new AbortController();
  playingTitle = title;
  say($("scene-note"), "");
  drawScenes();
  try {
    for (const [i, scene] of scenes.entries()) {
      if (scene.blocked()) continue;
      playingTitle = scene.title;
      drawScenes();
      await scene.run();
      played.add(scene.key);
      if (i < scenes.length - 1) await beat(1300);
    }
  } catch (error) {
    const stopped = playing.signal.aborted;
    $("scene-note").classList.toggle("bad", !stopped);
    say($("scene-note"), stopped ? "Stopped." : `${playingTitle} gave up: ${error.message} The wire below shows what happened.`);
  } finally {
    playing = null;
    drawScenes();
  }
}

/** The scene a newcomer should press next. */
function nextScene() {
  const free = (key) => !SCENES.find((s) => s.key === key).blocked();
  const wish = played.has("talk") ? ["join", "end"] : ["join", "talk"];
  const rest = played.has("end") && !played.has("stop") ? ["stop"] : [];
  return [...wish, ...rest, "return", "start"].find(free) ?? null;
}

function buildScenes() {
  SCENES.forEach((scene, i) => {
    scene.hintNode = el("span", { className: "hint" });
    scene.button = el("button", { type: "button", className: `scene ${scene.who.toLowerCase()}`, "data-testid": `scene-${scene.key}` },
      el("span", { className: "step", textContent: String(i + 1) }), el("span", { className: "title", textContent: scene.title }), " ", scene.hintNode);
    scene.button.addEventListener("click", () => {
      if (scene.button.getAttribute("aria-disabled") !== "true") play([scene], scene.title);
    });
    $("scenes").append(el("li", {}, scene.button));
  });
  $("play-all").addEventListener("click", () => {
    if (playing) playing.abort();
    else if (snapshot && link === "live") play(SCENES, "Play all");
  });
}

function drawScenes() {
  const next = snapshot && !playing ? nextScene() : null;
  for (const scene of SCENES) {
    const now = playing && playingTitle === scene.title;
    const why = link !== "live" || !snapshot ? "The demo is not running" : playing ? (now ? null : `${playingTitle} is playing`) : scene.blocked();
    scene.button.setAttribute("aria-disabled", String(Boolean(why) || Boolean(now)));
    scene.button.classList.toggle("next", scene.key === next && !why);
    scene.button.classList.toggle("now", Boolean(now));
    say(scene.hintNode, now ? "Playing" : why ?? scene.hint);
    if (now || (scene.key === next && !why)) $("scenes").scrollTo({ left: scene.button.parentNode.offsetLeft - 60 });
  }
  const all = $("play-all");
  all.setAttribute("aria-disabled", String(link !== "live"));
  all.querySelector("use").setAttribute("href", playing ? "#i-pause" : "#i-play");
  say(all.lastElementChild, playing ? "Stop playing" : "Play all");
}

// ---------------------------------------------------------------- bad weather

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

function buildFaults() {
  const form = $("faults-form");
  const note = el("p", { className: "fault-note", role: "status" });
  const settle = async (action) => {
    try { await action(); say(note, ""); } catch (error) { say(note, error.message); drawFaults(true); }
  };
  const preset = (title, action) => {
    const button = el("button", { type: "button", className: "small", textContent: title });
    button.addEventListener("click", () => snapshot && settle(action));
    return button;
  };
  const fair = preset("Reset to fair", () => call("POST", "/faults/reset"));
  fair.dataset.testid = "faults-reset";
  const clear = Object.fromEntries(FAULTS.filter(([, , , size]) => !size).map(([key]) => [key, 0]));
  const others = Object.entries(WEATHER).map(([title, set]) => preset(title, () => call("PUT", "/faults", { ...snapshot.faults, ...clear, ...set })));
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
      return call("PUT", "/faults", { ...snapshot.faults, [key]: value });
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
function drawFaults(all = false) {
  if (!snapshot) return;
  for (const [key, { input, size }] of Object.entries(inputs)) {
    const value = String(snapshot.faults[key] ?? "");
    if (all || !size || document.activeElement !== input) input.value = value;
    if (!size) drawShare(key);
  }
  const on = Object.entries(inputs).filter(([key, { size }]) => !size && snapshot.faults[key] > 0).length;
  say($("weather"), on ? `${on} fault${on > 1 ? "s" : ""} on` : "fair");
  $("weather").classList.toggle("on", on > 0);
}

// ---------------------------------------------------------------- the wire

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
  if (typeof inside.body === "string") return `“${inside.body}”`;
  return response?.errors?.[0]?.title ?? "";
}

function addExchange(exchange) {
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

// ---------------------------------------------------------------- the stream

function draw(next) {
  const first = snapshot === null;
  snapshot = next;
  for (const node of document.querySelectorAll("[data-brand]")) say(node, snapshot.brand);
  for (const name of NAMES) drawPhone(name, first);
  show($("stage").dataset.shown);
  drawBetween();
  drawFaults();
  for (const look of [...waiters]) look();
  drawScenes();
}

const LINKS = { connecting: "Connecting", live: "Live", stopped: "Stopped" };

function setLink(state) {
  link = state;
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
    for (const row of rows.splice(0)) row.remove();
    drawWireCount();
  });
  stream.addEventListener("snapshot", (event) => {
    clearTimeout(grace);
    draw(JSON.parse(event.data));
    if (link !== "live") setLink("live");
  });
  stream.addEventListener("exchange", (event) => addExchange(JSON.parse(event.data)));
  stream.addEventListener("error", () => {
    // The browser's own retry gives up on some answers; a fresh stream never does.
    clearTimeout(grace);
    stream.close();
    setLink(link === "live" ? "connecting" : "stopped");
    setTimeout(connect, 1500);
  });
}

for (const name of NAMES) buildPhone(name);
buildScenes();
buildFaults();
show("Ann");
drawScenes();
connect();
