// What the page knows.

export const NAMES = ["Ann", "Ben"];

/** The latest that the server said, and how the line to it is: connecting | live | stopped. */
export const page = { snapshot: null, link: "connecting" };
/** Promises that look at each snapshot. */
export const waiters = new Set();
/** The parts of each phone on the page, by name. */
export const phones = {};

export const phone = (name) => page.snapshot?.phones.find((p) => p.name === name) ?? null;
export const other = (name) => NAMES.find((n) => n !== name);
