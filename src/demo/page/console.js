// What to sign in to the console with. The codes change each half minute, as on a phone.

import { $, el, say } from "/base.js";
import { page } from "/state.js";

let drawn = "";

export function drawConsole() {
  const { console: { url, accounts } } = page.snapshot;
  const key = JSON.stringify(accounts.map(({ name }) => name));
  if (key !== drawn) {
    drawn = key;
    $("console-link").href = url;
    say($("console-link"), url);
    $("console-accounts").replaceChildren(...accounts.map(({ name, role, password }) => el("tr", { "data-testid": "account" },
      el("td", { textContent: name }), el("td", { textContent: role }),
      el("td", {}, el("code", { textContent: password })), el("td", {}, el("code", { id: `code-${name}` })))));
  }
  for (const { name, code } of accounts) say($(`code-${name}`), code);
}
