// How many texts a draft costs.

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
export function nameOf(character) {
  const unseen = /^[\p{C}\p{Z}\p{M}]/u.test(character);
  return unseen ? `U+${character.codePointAt(0).toString(16).toUpperCase().padStart(4, "0")}` : `“${character}”`;
}
