// What is shown is in the address, behind #: a link to an answer, the back button and a reload all show the same.

const DEFAULTS = {
  in: "", beside: "", problem: "", answer: "", search: "", reason: "", which: "", kept: "",
  level: "", subject: "", sort: "", shade: "", apart: "", from: "",
};
const FILTERS = ["search", "reason", "which", "kept", "level", "subject"];

function readState() {
  const state = { ...DEFAULTS };
  for (const [name, value] of new URLSearchParams(location.hash.slice(1))) {
    if (Object.hasOwn(DEFAULTS, name)) state[name] = value;
  }
  return state;
}

function hashOf(state) {
  const asked = new URLSearchParams();
  for (const name of Object.keys(DEFAULTS)) {
    if (state[name] !== "") asked.set(name, state[name]);
  }
  return `#${asked}`;
}

/** The key of a file in the address, as Python's answer_link writes it. */
const keyOf = (set) => wellFormed(set.step === null ? set.run : `${set.run}@${set.step}`);
/** A text as an address can hold it: without halves of pairs of UTF-16. */
const wellFormed = (text) => text.replace(/\p{Cs}/gu, "\uFFFD");
const nameOf = (set) => (set.step === null ? set.run : `${set.run}, step ${set.step}`);

/** An element whose text can be nothing but text. */
function el(tag, properties = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(properties)) {
    if (name in element && name !== "list") element[name] = value;
    else element.setAttribute(name, value);
  }
  element.append(...children.filter((child) => child !== null));
  return element;
}

const spelled = (number) => number.toLocaleString("en");
const counted = (number, one, many = `${one}s`) => `${spelled(number)} ${number === 1 ? one : many}`;
