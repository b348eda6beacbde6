// What staff must look at, and until when. Hidden while there is nothing.

import { $, el, say } from "/base.js";
import { other, page } from "/state.js";

const KINDS = {
  soft_opt_out: ({ who, detail }) => `${who}’s words may mean “text me no more”: “${detail}”`,
  report: ({ who }) => `${who} reported ${other(who)}`,
  carrier_block: ({ who }) => `The carrier refuses texts to ${who}, who texted STOP to it`,
  guessing: () => "Somebody seems to be guessing codes",
};

/** "Mon 7 Dec", where the reader is. */
const day = (at) => new Date(at).toLocaleDateString("en-GB", { weekday: "short", day: "numeric", month: "short" });

let drawn = "";

export function drawStaff() {
  const { tasks } = page.snapshot;
  const key = JSON.stringify(tasks);
  if (key === drawn) return;
  drawn = key;
  $("staff").hidden = tasks.length === 0;
  say($("staff-count"), String(tasks.length));
  $("staff-tasks").replaceChildren(...tasks.map((task) => el("li", { "data-testid": "task" },
    el("span", { textContent: KINDS[task.kind]?.(task) ?? task.kind }), el("span", { className: "due", textContent: `due ${day(task.due_at)}` }))));
}
