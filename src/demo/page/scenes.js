// The scenes: what a newcomer presses, one after the other.

import { $, calm, el, pause, say } from "/base.js";
import { CODE, sendText, show } from "/phones.js";
import { sample } from "/pictures.js";
import { NAMES, other, page, phone, phones, waiters } from "/state.js";

const TALK = [
  ["Ben", "Hi! Is the green bicycle still for sale?"],
  ["Ann", "It is. Freshly oiled, and it comes with a bell."],
  ["Ben", "A loud bell?"],
  ["Ann", "The pigeons have complained."],
  ["Ben", "Sold! Saturday at ten, by the fountain?"],
  ["Ann", "See you there. Look for this one:", "bicycle"],
];
/** The code that Ann's conversation waits with: read in her last answer, unless that answer was lost on the way. */
function annsCode() {
  const answers = (phone("Ann")?.texts ?? []).filter((t) => t.direction === "in");
  const read = answers.map((t) => CODE.exec(t.body ?? "")?.[0]).filter(Boolean).at(-1);
  return phone("Ann")?.conversation?.code ?? read ?? null;
}

const talking = (name) => phone(name)?.conversation?.state === "active";
const bothTalk = () => NAMES.every(talking);
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
      await codeArrives();
    },
  },
  {
    key: "join", who: "Ben", title: "Join", hint: "Ben texts JOIN and the code",
    blocked: () => (phone("Ben").conversation ? (talking("Ben") ? "Ben has joined" : "Ben waits in his own") : page.snapshot.apart ? "They are kept apart" : phone("Ann").conversation?.state === "waiting" && annsCode() ? null : "Needs Ann’s code: press Start"),
    async run() {
      await act("Ben", numberOf("Ann"), `JOIN ${annsCode()}`);
      await until(bothTalk, 15, "JOIN did not connect them");
    },
  },
  {
    key: "talk", who: "Both", title: "Talk", hint: "They haggle over a bicycle",
    blocked: () => (bothTalk() ? null : "Needs both: Start, then Join"),
    async run() {
      for (const [name, body, picture] of TALK) {
        const before = got(other(name), body);
        await act(name, numberOf(name), body, picture ? [await sample(picture)] : []);
        await until(() => got(other(name), body) > before, 20, `${name}’s text did not reach ${other(name)}`);
        await beat(700);
      }
    },
  },
  {
    key: "second", who: "Ann", title: "Again", hint: "START: the other number",
    blocked: () => (!bothTalk() ? "Needs both: Start, then Join" : phone("Ann").also_on.length ? "Both numbers are in use" : null),
    async run() {
      const first = numberOf("Ann");
      const free = page.snapshot.masked_numbers.find((number) => number !== first);
      const told = () => phone("Ann").texts.filter((t) => t.direction === "in" && t.body?.includes(free)).length;
      const before = told();
      await act("Ann", first, "START");
      await until(() => told() > before, 15, "The answer did not name the free number");
      await beat(1300);
      await act("Ann", free, "START");
      await until(() => phone("Ann").conversation?.code, 15, "START was not answered");
      await codeArrives();
      await act("Ben", first, `JOIN ${annsCode()}`);
      await until(() => bothTalk() && NAMES.every((name) => phone(name).also_on.includes(first)), 15, "JOIN did not connect them on the other number");
    },
  },
  {
    key: "end", who: "Ann", title: "End", hint: "Ann texts LEAVE",
    blocked: () => (phone("Ann").conversation ? null : "Nothing to end yet"),
    async run() {
      const left = numberOf("Ann");
      await act("Ann", left, "LEAVE");
      await until(() => NAMES.every((name) => phone(name).conversation?.masked_number !== left), 15, "LEAVE did not end it");
    },
  },
  {
    key: "block", who: "Ben", title: "Block", hint: "Ben texts BLOCK: never again",
    blocked: () => (page.snapshot.apart ? "They are kept apart" : bothTalk() ? null : "Needs both: Start, then Join"),
    async run() {
      await act("Ben", numberOf("Ben"), "BLOCK");
      await until(() => page.snapshot.apart, 15, "BLOCK was not taken");
      await beat(1300);
      if (!phone("Ann").conversation) {
        await act("Ann", numberOf("Ann"), "START");
        await until(() => phone("Ann").conversation?.code, 15, "START was not answered");
        await codeArrives();
      }
      const refusals = () => phone("Ben").texts.filter((t) => t.direction === "in" && t.body?.includes("that code does not work")).length;
      const before = refusals();
      if (phone("Ann").conversation?.state !== "waiting") return;
      await act("Ben", numberOf("Ann"), `JOIN ${annsCode()}`);
      await until(() => refusals() > before, 15, "JOIN was not answered");
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

/** Waits until `done` holds for a page.snapshot; rejects after `seconds`, or when the reader pauses. */
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
/** The answer with the code may be late, or lost on the way: it is not waited for long. */
const codeArrives = () => until(() => phone("Ann").texts.some((t) => t.direction === "in" && t.body?.includes(phone("Ann").conversation?.code ?? "")), 6).catch(resumeUnlessStopped);
const beat = async (ms) => { await pause(ms); resumeUnlessStopped(); };
const act = (name, to, body, media) => { resumeUnlessStopped(); show(name); bringIntoView(); return sendText(name, to, body, media); };

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
  const wish = played.has("talk") ? ["join", ...(played.has("second") ? [] : ["second"]), "end"] : ["join", "talk"];
  const rest = played.has("end") && !played.has("stop") ? ["stop"] : [];
  return [...wish, ...rest, "return", "start"].find(free) ?? null;
}

export function buildScenes() {
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
    else if (page.snapshot && page.link === "live") play(SCENES, "Play all");
  });
}

export function drawScenes() {
  const next = page.snapshot && !playing ? nextScene() : null;
  for (const scene of SCENES) {
    const now = playing && playingTitle === scene.title;
    const why = page.link !== "live" || !page.snapshot ? "The demo is not running" : playing ? (now ? null : `${playingTitle} is playing`) : scene.blocked();
    scene.button.setAttribute("aria-disabled", String(Boolean(why) || Boolean(now)));
    scene.button.classList.toggle("next", scene.key === next && !why);
    scene.button.classList.toggle("now", Boolean(now));
    say(scene.hintNode, now ? "Playing" : why ?? scene.hint);
    if (now || (scene.key === next && !why)) $("scenes").scrollTo({ left: scene.button.parentNode.offsetLeft - 60 });
  }
  const all = $("play-all");
  all.setAttribute("aria-disabled", String(page.link !== "live"));
  all.querySelector("use").setAttribute("href", playing ? "#i-pause" : "#i-play");
  say(all.lastElementChild, playing ? "Stop playing" : "Play all");
}
