// Pictures: chosen and left with the carrier before a text goes, and shown in the bubbles.

import { call, el, icon, say } from "/base.js";

// What a phone has in it already. The last two are there to be refused.
const SAMPLES = [
  ["bicycle", "Bicycle", "a PNG"],
  ["sunset", "Sunset", "a JPEG with its place"],
  ["contact", "Contact", "no picture"],
  ["huge", "Huge", "over 15 MB"],
];
/** What the demo takes, in bytes: a little more than Maskline passes on, so that this can be tried. */
const LARGEST = 16 * 1024 * 1024;
const REASONS = {
  not_a_picture: "not a picture", broken: "it is broken", too_large: "too large", too_many: "more than ten",
  wrong_host: "not from the carrier", not_there: "no longer at the carrier", gave_up: "it could not be had", not_wanted: "the text was dropped",
};

/** Why pictures of a text were not passed on, as a sentence; nothing where all were. */
export const whyRefused = (refused) => (refused.length ? `Picture not passed on: ${refused.map((why) => REASONS[why] ?? why).join(", ")}` : "");

export const sample = (name) => call("POST", `/samples/${name}`);

const size = (bytes) => (bytes < 1e6 ? `${Math.max(1, Math.round(bytes / 1e3))} kB` : `${(bytes / 1e6).toFixed(1)} MB`);

async function leave(file) {
  if (file.size > LARGEST) throw new Error("This demo takes files of up to 16 MB.");
  const response = await fetch("/files", { method: "POST", headers: { "content-type": file.type || "application/octet-stream" }, body: file }).catch(() => null);
  if (!response?.ok) throw new Error("The demo did not take the file.");
  return response.json();
}

/** The button beside a composer, what it opens, and what was chosen. Returns what is to be sent along. */
export function buildPicker(name, part, problem) {
  const key = name.toLowerCase();
  const [button, tray, chosen] = [part(".attach"), part(".tray"), part(".chosen")];
  const picked = { media: [], clear: () => choose(null) };
  tray.id = `tray-${key}`;
  tray.setAttribute("aria-label", `What ${name} can send along`);
  button.dataset.testid = `attach-${key}`;
  button.setAttribute("aria-label", `Add a picture as ${name}`);
  button.setAttribute("aria-controls", tray.id);

  const open = (wish) => {
    tray.hidden = !wish;
    button.setAttribute("aria-expanded", String(wish));
  };
  const choose = (media, title) => {
    picked.media = media ? [media] : [];
    chosen.hidden = !media;
    chosen.replaceChildren();
    if (!media) return;
    const remove = el("button", { type: "button", className: "small", textContent: "Remove", "aria-label": `Remove ${title}` });
    remove.addEventListener("click", () => { choose(null); button.focus(); });
    chosen.append(picture(`/files/${media.file_name}`, "", "thumb"), el("span", { className: "what", textContent: `${title}, ${size(media.file_size)}` }), remove);
  };
  const take = async (title, bring) => {
    say(problem, "");
    try {
      choose(await bring(), title);
      open(false);
      part("textarea").focus();
    } catch (error) {
      say(problem, error.message);
    }
  };

  for (const [sampled, title, about] of SAMPLES) {
    const one = el("button", { type: "button", className: "small", "data-testid": `sample-${sampled}-${key}` }, title, el("span", { textContent: ` ${about}` }));
    one.addEventListener("click", () => take(title, () => sample(sampled)));
    tray.append(one);
  }
  const file = el("input", { type: "file", className: "sr", "data-testid": `file-${key}` });
  file.addEventListener("change", () => {
    const [first] = file.files;
    if (first) take(first.name, () => leave(first));
    file.value = ""; // so that the same file can be chosen again
  });
  tray.append(el("label", { className: "small" }, "A file", el("span", { textContent: " of yours" }), file));
  tray.addEventListener("keydown", (event) => {
    if (event.key !== "Escape") return;
    open(false);
    button.focus();
  });
  button.addEventListener("click", () => open(tray.hidden));
  open(false);
  return picked;
}

/** A picture, or in its place a sign that there is none to be shown. */
function picture(src, alt, className) {
  const image = el("img", { src, alt, className });
  image.addEventListener("error", () => image.replaceWith(el("span", { className: `${className} none` }, icon("file"), alt ? el("span", { textContent: `${alt}: cannot be shown` }) : "")));
  return image;
}

/** The pictures of a text, as its phone shows them. */
export function buildPictures(name, text) {
  const whose = text.direction === "out" ? `that ${name} sent` : `that ${name} got`;
  const which = (place) => (text.pictures > 1 ? `Picture ${place + 1} of ${text.pictures} ${whose}` : `Picture ${whose}`);
  return Array.from({ length: text.pictures }, (_, place) => picture(`/pictures/${encodeURIComponent(text.id)}/${place}`, which(place), "picture"));
}
