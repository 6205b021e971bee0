// The list of problems, and the problem that is open.

const PAGE_SIZE = 100;

function showList(book, found, state, current) {
  const from = pageOf(found, state, current);
  const entries = found.slice(from, from + PAGE_SIZE).map((entry) => listEntry(book, entry, state, current));
  document.getElementById("list").replaceChildren(...entries);
  document.getElementById("found").textContent = counted(found.length, "problem");
  document.getElementById("pages").replaceChildren(...pageButtons(found.length, from));
}

/** The first problem of the page that is shown: that of the open problem, unless a reader has turned the page. */
function pageOf(found, state, current) {
  const asked = Number.parseInt(state.from, 10);
  const place = Number.isInteger(asked) ? asked : found.findIndex((entry) => entry.problem === current);
  return PAGE_SIZE * Math.floor(Math.min(Math.max(place, 0), Math.max(found.length - 1, 0)) / PAGE_SIZE);
}

function pageButtons(total, from) {
  if (total <= PAGE_SIZE) return [];
  const turn = (label, place, isThere) => {
    const button = el("button", { type: "button", disabled: !isThere }, label);
    button.addEventListener("click", () => go({ from: String(place) }));
    return button;
  };
  const shown = `${spelled(from + 1)} to ${spelled(Math.min(total, from + PAGE_SIZE))}`;
  return [turn("Earlier", from - PAGE_SIZE, from > 0), el("span", {}, shown), turn("Later", from + PAGE_SIZE, from + PAGE_SIZE < total)];
}

function listEntry(book, entry, state, current) {
  const { facts, here, beside, matched } = entry;
  const scores = el("span", { className: "scores" }, scoreOf(here));
  if (beside) scores.append(" → ", scoreOf(beside));
  const link = el(
    "a",
    { href: hashOf({ ...state, problem: facts.key, answer: "", from: "" }) },
    el("span", { className: "row" }, el("span", { className: "key" }, visible(shortKey(facts.key, entry.problem))), scores),
    facts.title ? el("span", { className: "about", dir: "auto" }, visible(facts.title)) : null,
    barOf(here, "bar"),
    beside ? barOf(beside, "bar besides") : null,
  );
  if (matched < here.samples) scores.append(el("span", { className: "quiet" }, ` · ${spelled(matched)} shown`));
  if (entry.problem === current) link.setAttribute("aria-current", "true");
  return el("li", {}, link);
}

/** verl names problems by nothing, so their key is a digest: a number is easier to say. */
const shortKey = (key, number) => (/^[0-9a-f]{16}(~\d+)?$/.test(key) ? `${number + 1}` : key.length > 24 ? `${key.slice(0, 24)}…` : key);

const scoreOf = (counts) => el("span", { className: "score" }, `${counts.right}/${counts.samples}`);

function barOf(counts, className) {
  const full = el("span");
  full.style.width = `${100 * share(counts)}%`;
  return el("span", { className, "aria-hidden": "true" }, full);
}

async function showProblem(book, problem, set, state) {
  const facts = book.problems[problem];
  const texts = await valueAt(book.prompts, problem);
  const tags = [facts.task ?? facts.data_source, facts.level, subjectOf(facts)].filter(Boolean);
  document.getElementById("problem").replaceChildren(
    el("h2", {}, "Problem ", visible(shortKey(facts.key, problem)), ...tags.map((tag) => el("span", { className: "tag" }, visible(tag)))),
    ...messagesOf(texts.prompt),
    ...referenceOf(texts.reference),
    ...historyOf(book, problem, set, state),
  );
}

const asText = (value) => (typeof value === "string" ? value : JSON.stringify(value, null, 1));

function messagesOf(prompt) {
  if (prompt === null || prompt === undefined || prompt === "") return [];
  const messages = Array.isArray(prompt) ? prompt : [{ role: null, content: prompt }];
  return messages.map((message) => {
    const isMessage = message !== null && typeof message === "object" && "content" in message;
    const role = isMessage && message.role && message.role !== "user" ? el("p", { className: "role" }, visible(String(message.role))) : null;
    return el("div", { className: "prompt" }, role, readable(asText(isMessage ? message.content : message) ?? "", [], false));
  });
}

function referenceOf(reference) {
  if (reference === null || reference === undefined) return [];
  const text = asText(reference);
  return [el("p", { className: "reference" }, el("span", { className: "quiet" }, "Reference "), el("code", { dir: "auto" }, visible(text.slice(0, 2000))))];
}

/** The same problem at the other steps of this run, and in runs without steps. */
function historyOf(book, problem, set, state) {
  const others = book.sets.map((each) => ({ each, place: each.problems.indexOf(problem) })).filter(({ place }) => place >= 0);
  const ofRun = others.filter(({ each }) => each.run === set.run || each.step === null);
  if (ofRun.length < 2) return [];
  const links = ofRun.map(({ each, place }) => {
    const name = each.run === set.run && each.step !== null ? `step ${each.step}` : each.run;
    const link = el("a", { href: hashOf({ ...state, in: keyOf(each), answer: "" }) }, visible(name), " ", scoreOf(countsAt(each, place)));
    if (each === book.sets[set.number]) link.setAttribute("aria-current", "true");
    return el("li", {}, link);
  });
  return [el("ul", { className: "history", "aria-label": "This problem at other steps" }, ...links)];
}
