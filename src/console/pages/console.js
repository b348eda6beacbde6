// Keeps the parts of a page that are marked as live up to date: the page is asked for anew while
// somebody looks at it, and what changed takes the place of what was. All works without this.
"use strict";

const EVERY = 2000;

function put(part, fresh) {
  const next = fresh.getElementById(part.id);
  // What somebody is in the middle of is left alone.
  if (!next || part.contains(document.activeElement) || next.outerHTML === part.outerHTML) return;
  part.replaceWith(document.importNode(next, true));
}

async function look() {
  const parts = document.querySelectorAll("[data-live]");
  if (parts.length === 0) return;
  if (!document.hidden) {
    try {
      // Looking on is no sign that somebody is there: it keeps nobody signed in.
      const answer = await fetch(location.href, { headers: { "x-live": "1" }, redirect: "error" });
      if (answer.ok) {
        const fresh = new DOMParser().parseFromString(await answer.text(), "text/html");
        parts.forEach((part) => put(part, fresh));
      }
    } catch {
      // The next look may do.
    }
  }
  setTimeout(look, EVERY);
}

setTimeout(look, EVERY);
