// Untrusted texts on the page: in text nodes alone, with what cannot be seen made visible.

const WHOLE_CHARS = 2400;
const HEAD_CHARS = 700;
const TAIL_CHARS = 1100;
const PORTION_CHARS = 50000;
const UNSEEN =
  /[\u0000-\u0008\u000B-\u001F\u007F-\u009F\u00AD\u061C\u115F\u1160\u17B4\u17B5\u180E\u200B\u200E\u200F\u2028-\u202E\u2060-\u206F\u3164\uFEFF\uFFA0\uFFF9-\uFFFB]|[\u{E0000}-\u{E01EF}]|\p{Cs}/gu;

const isPlain = (text) => text.search(UNSEEN) < 0;

/** A sign for a character that has none, or that would turn the line around. */
function signOf(character) {
  const code = character.codePointAt(0);
  const name = `U+${code.toString(16).toUpperCase().padStart(4, "0")}`;
  return el("span", { className: "unseen", title: name }, code < 0x20 ? String.fromCharCode(0x2400 + code) : name);
}

/** A text as nodes. */
function visible(text) {
  const whole = document.createDocumentFragment();
  if (isPlain(text)) {
    whole.append(text);
    return whole;
  }
  let end = 0;
  for (const match of text.matchAll(UNSEEN)) {
    whole.append(text.slice(end, match.index), signOf(match[0]));
    end = match.index + match[0].length;
  }
  whole.append(text.slice(end));
  return whole;
}

/** The same for where only text can stand, such as an option of a list. */
const plain = (text) => text.replace(UNSEEN, "\uFFFD");

/** A place that does not cut a pair of UTF-16 in two. */
function whole(text, place) {
  const isLow = place > 0 && place < text.length && (text.charCodeAt(place) & 0xfc00) === 0xdc00;
  return isLow ? place + 1 : place;
}

/**
 * A part of a text with marks: layers of {start, end, className, title, paint}, each in order and without overlap.
 */
function styled(text, from, to, layers) {
  const cuts = new Set([from, to]);
  for (const mark of layers.flat()) {
    for (const place of [mark.start, mark.end]) if (place > from && place < to) cuts.add(place);
  }
  const ordered = [...cuts].sort((a, b) => a - b);
  const next = layers.map(() => 0);
  const nodes = document.createDocumentFragment();
  for (let i = 0; i + 1 < ordered.length; i++) {
    const over = layers.map((layer, k) => {
      while (next[k] < layer.length && layer[next[k]].end <= ordered[i]) next[k]++;
      return layer[next[k]];
    });
    nodes.append(piece(text.slice(ordered[i], ordered[i + 1]), over.filter((mark) => mark && mark.start <= ordered[i])));
  }
  return nodes;
}

function piece(text, marks) {
  if (!marks.length) return visible(text);
  const isMark = marks.some((mark) => mark.isMark);
  const element = el(isMark ? "mark" : "span", { className: marks.map((mark) => mark.className).join(" ") }, visible(text));
  for (const mark of marks) {
    if (mark.title) element.title = mark.title;
    if (mark.paint) element.style.setProperty("--paint", mark.paint);
  }
  return element;
}

/** A text to read: the beginning and the end of a long one, and the rest in portions when a reader asks for it. */
function readable(text, layers, isOpen) {
  const box = el("div", { className: "text" });
  if (isOpen || text.length <= WHOLE_CHARS) box.append(portion(text, 0, text.length, layers));
  else {
    const [head, tail] = [whole(text, HEAD_CHARS), whole(text, text.length - TAIL_CHARS)];
    box.append(styled(text, 0, head, layers), gap(text, head, tail, layers), styled(text, tail, text.length, layers));
  }
  return box;
}

function portion(text, from, to, layers) {
  const end = whole(text, Math.min(to, from + PORTION_CHARS));
  const nodes = document.createDocumentFragment();
  nodes.append(styled(text, from, end, layers));
  if (end < to) nodes.append(gap(text, end, to, layers));
  return nodes;
}

function gap(text, from, to, layers) {
  const button = el("button", { type: "button", className: "gap" }, `⋯ ${counted(to - from, "character")} more`);
  button.addEventListener("click", () => button.replaceWith(portion(text, from, to, layers)));
  return button;
}

const ANCHORS = {
  box: /\\f?box(?:ed)?/g, boxes: /\\f?box(?:ed)?/g, hashes: /####/g, tag: /<answer>/gi,
  phrase: /answer|result|solution|value/gi, bold: /\*\*/g,
};
const REACH_CHARS = 400;

/** Where an extracted answer stands: behind the last mark of the rule that found it, else where it comes last. */
function answerPlace(text, answer, rule) {
  if (!answer) return null;
  const anchors = ANCHORS[rule] ? [...text.matchAll(ANCHORS[rule])].reverse() : [];
  for (const anchor of anchors.slice(0, 50)) {
    const start = text.indexOf(answer, anchor.index + anchor[0].length);
    if (start >= 0 && start - anchor.index < REACH_CHARS) return { start, end: start + answer.length };
  }
  const start = text.lastIndexOf(answer);
  return start < 0 ? null : { start, end: start + answer.length };
}

/** A pattern for a text that is looked for, whatever its case. */
const patternOf = (wanted) => new RegExp(wanted.replace(/[.*+?^${}()|[\]\\/]/g, "\\$&"), "giu");

function hitsOf(text, wanted) {
  const hits = wanted ? [...text.matchAll(patternOf(wanted))] : [];
  return hits.map((hit) => ({ start: hit.index, end: hit.index + hit[0].length, className: "hit", isMark: true }));
}
