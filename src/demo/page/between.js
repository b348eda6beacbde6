// Between the phones: the masked number, how things stand, and whether a real number got across.

import { $, el, pretty, say } from "/base.js";
import { NAMES, other, page, phone, phones } from "/state.js";

export function drawBetween() {
  if (!page.snapshot) return;
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
  const { apart } = page.snapshot;
  const also = active ? people[0].also_on : [];
  const stopped = people.filter((p) => p.silenced).map((p) => p.name);
  const begun = people.some((p) => p.texts.length > 0);
  const key = JSON.stringify([waiting?.name, waiting?.conversation, active, also, apart, stopped, begun]);
  if (key === conversationDrawn) return;
  conversationDrawn = key;

  const heading = (mood, text) => el("p", { className: `mood ${mood}`, textContent: text });
  const words = (text) => el("p", { textContent: text });
  const parts = [];
  if (active) {
    const faces = people.map((p) => el("p", { className: `sees ${p.name.toLowerCase()}` },
      el("span", { textContent: `On ${p.name}’s phone, ${other(p.name)} is` }), el("strong", { textContent: pretty(p.conversation.masked_number) })));
    parts.push(heading("active", "Connected"), words("What one texts reaches the other, word for word. Only the number changes."),
      ...(also.length ? [words(`They are still connected on ${also.map(pretty).join(" and ")} too: one conversation a number.`)] : []), el("div", { className: "faces" }, ...faces));
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
    parts.push(card, words(apart ? `${apart} blocked ${other(apart)}, so this code does nothing between the two.` : `${waiting.name} shares the code, ${joiner} texts JOIN with it.`));
  } else if (stopped.length) {
    parts.push(heading("ended", `${stopped.join(" and ")} stopped`), words(`Nothing more is sent to ${stopped.join(" or ")}. UNSTOP undoes it: press Return.`));
  } else if (apart) {
    parts.push(heading("ended", "Kept apart"), words(`${apart} blocked ${other(apart)}, who is not told. No code connects these two any more: run the demo again for two new people.`));
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
  for (const p of page.snapshot.phones) {
    for (const o of page.snapshot.phones.filter((q) => q !== p)) {
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
  if (!found && page.snapshot.exposed) found = "A real number has reached the other phone";
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
