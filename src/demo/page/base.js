// What every part of the page needs: elements, words, times, and calls to the demo.

export const $ = (id) => document.getElementById(id);

/** Makes an element; `props` are DOM properties, or attributes where the name has a hyphen or is `role`. */
export function el(tag, props = {}, ...children) {
  const node = document.createElement(tag);
  for (const [key, value] of Object.entries(props)) {
    if (key.includes("-") || key === "role") node.setAttribute(key, value);
    else node[key] = value;
  }
  node.append(...children);
  return node;
}

/** An icon from the sprite in index.html. Always decoration: the words stand beside it. */
export function icon(name) {
  const svg = document.createElementNS("http://www.w3.org/2000/svg", "svg");
  const use = document.createElementNS("http://www.w3.org/2000/svg", "use");
  use.setAttribute("href", `#i-${name}`);
  svg.setAttribute("class", `icon ${name}`);
  svg.setAttribute("aria-hidden", "true");
  svg.append(use);
  return svg;
}

/** Writes only what differs, so that live regions speak only when something is new. */
export function say(node, text) {
  if (node.textContent !== text) node.textContent = text;
}

export const pause = (ms) => new Promise((done) => setTimeout(done, ms));
export const calm = matchMedia("(prefers-reduced-motion: reduce)");

/** "+14155550100" as people write it. */
export function pretty(number) {
  const part = /^\+1(\d{3})(\d{3})(\d{4})$/.exec(number);
  return part ? `(${part[1]})\u00a0${part[2]}\u2011${part[3]}` : String(number);
}

export function time(at, withSeconds = false) {
  const date = new Date(at);
  if (Number.isNaN(date.getTime())) return "";
  const two = (n) => String(n).padStart(2, "0");
  const short = `${two(date.getHours())}:${two(date.getMinutes())}`;
  return withSeconds ? `${short}:${two(date.getSeconds())}.${String(date.getMilliseconds()).padStart(3, "0")}` : short;
}

/** Calls the demo; throws an Error whose message can be shown to the reader. */
export async function call(method, path, body) {
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
