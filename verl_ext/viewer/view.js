// The page: controls, keys, and what is drawn after each change of the address.

const $ = (id) => document.getElementById(id);
let book = null;
let turn = 0; // of drawing: a later one ends an earlier one
let shown = { found: [], current: -1, set: null };
let searched = { wanted: "", hits: new Map() };

/** Change what is shown, with a step for the back button unless it is ``replaced``. */
function go(changes, replaced = false) {
  const hash = hashOf({ ...readState(), from: "", ...changes });
  if (hash === location.hash || (hash === "#" && location.hash === "")) draw();
  else if (replaced) location.replace(hash);
  else location.hash = hash;
}

const setNumber = (key) => book.sets.findIndex((set) => keyOf(set) === key);

async function draw() {
  const mine = ++turn;
  const state = readState();
  const first = Math.max(setNumber(state.in), 0);
  const second = state.beside === "" ? -1 : setNumber(state.beside);
  const set = await openSet(book.sets[first]);
  set.number = first;
  const other = second < 0 ? null : await openSet(book.sets[second]);
  const hits = await searchBoth([set, other], state.search, mine);
  if (mine !== turn) return;
  const found = selectProblems(book, set, other, state, hits[0]);
  const current = currentProblem(found, state);
  const isMoved = shown.set !== null && shown.current !== current;
  const isInList = $("list").contains(document.activeElement);
  shown = { found, current, set };
  showControls(state, set, other);
  showList(book, found, state, current);
  keepPlace(isMoved, isInList);
  await showAnswers(state, set, other, hits, mine);
  if (mine === turn) finish(state);
}

/** The open problem stays in view, and the keyboard where it was. */
function keepPlace(isMoved, isInList) {
  const entry = document.querySelector("#list a[aria-current]");
  if (isInList) entry?.focus({ preventScroll: true });
  if (!isMoved) return;
  entry?.scrollIntoView({ block: "nearest" });
  if (document.querySelector("main").getBoundingClientRect().top < 0) document.querySelector("main").scrollIntoView();
}

function finish(state) {
  const asked = document.querySelector(".card.asked");
  if (asked && state.answer) {
    asked.scrollIntoView({ block: "center" });
    asked.focus({ preventScroll: true });
  }
  document.documentElement.dataset.seconds ??= String(performance.now() / 1000);
  document.documentElement.dataset.turn = String(turn);
}

function currentProblem(found, state) {
  const asked = book.problems.findIndex((problem) => wellFormed(problem.key) === state.problem);
  if (asked >= 0 && (state.answer || found.some((entry) => entry.problem === asked))) return asked;
  return found.length ? found[0].problem : -1;
}

async function searchBoth(sets, wanted, mine) {
  if (searched.wanted !== wanted) searched = { wanted, hits: new Map() };
  const { hits } = searched;
  for (const set of sets) {
    if (!set || !wanted || hits.has(keyOf(set))) continue;
    const rows = await searchRows(set, wanted, (share) => {
      $("progress").textContent = `Searching ${plain(nameOf(set))}: ${Math.round(100 * share)} %`;
      return mine === turn;
    });
    if (rows) hits.set(keyOf(set), rows);
  }
  $("progress").textContent = "";
  return sets.map((set) => (set && wanted ? hits.get(keyOf(set)) ?? null : null));
}

async function showAnswers(state, set, other, hits, mine) {
  if (shown.current < 0) {
    $("problem").replaceChildren(el("p", { className: "notice" }, "No answer of this file is as the filters ask."));
    $("answers").replaceChildren();
    return;
  }
  await showProblem(book, shown.current, set, state);
  const columns = [await columnOf(set, shown.current, state, hits[0])];
  if (other) columns.push(await columnOf(other, shown.current, state, hits[1]));
  if (mine !== turn) return;
  $("answers").className = other ? "two" : "one";
  $("answers").replaceChildren(...columns);
}

// ---------------------------------------------------------------------- controls

function fill(select, choices, value) {
  const options = choices.map(([key, name, isOff]) => el("option", { value: key, disabled: Boolean(isOff) }, plain(name)));
  select.replaceChildren(...options);
  select.value = value;
  if (select.selectedIndex < 0) select.selectedIndex = 0;
  select.closest("label")?.toggleAttribute("hidden", choices.length < 2);
}

function fillSets(select, value, first) {
  const groups = new Map();
  for (const set of book.sets) {
    if (!groups.has(set.run)) groups.set(set.run, el("optgroup", { label: plain(set.run) }));
    groups.get(set.run).append(el("option", { value: keyOf(set) }, plain(nameOf(set))));
  }
  select.replaceChildren(...first, ...groups.values());
  select.value = value;
}

function showControls(state, set, other) {
  fillSets($("in"), keyOf(set), []);
  fillSets($("beside"), other ? keyOf(other) : "", [el("option", { value: "" }, "nothing")]);
  const reasons = [...set.names.reason].sort();
  fill($("reason"), [["", "any"], ...reasons.map((name) => [name, words(name)])], state.reason);
  fill($("which"), Object.entries(WHICH).map(([key, name]) => [key, name, !other && NEEDS_BESIDE.includes(key)]), state.which);
  const isLearning = set.columns.kept.some((kept) => kept !== null);
  fill($("kept"), isLearning ? Object.entries(KEPT) : [["", ""]], state.kept);
  fill($("level"), choicesOf(set, (facts) => facts.level), state.level);
  fill($("subject"), choicesOf(set, subjectOf), state.subject);
  fill($("sort"), Object.entries(SORTS).map(([key, name]) => [key, name, key === "change" && !other]), state.sort);
  fill($("shade"), [["", "none"], ...(set.missing.some((each) => each.startsWith("No log-probs")) ? [] : Object.entries(SHADES))], state.shade);
  if (document.activeElement !== $("search")) $("search").value = state.search;
  $("apart").checked = Boolean(state.apart);
  showNotes(state, set, other);
}

function choicesOf(set, of) {
  const values = new Set(set.problems.map((problem) => of(book.problems[problem])).filter(Boolean));
  return [["", "any"], ...[...values].sort().map((value) => [value, value])];
}

function showNotes(state, set, other) {
  const active = FILTERS.filter((name) => state[name]).length;
  $("active").textContent = active ? ` (${active} on)` : "";
  $("clear").hidden = !active;
  $("earlier").disabled = !neighbor(-1);
  $("later").disabled = !neighbor(1);
  const num = set.samples.reduce((a, b) => a + b, 0);
  const right = set.right.reduce((a, b) => a + b, 0);
  const notes = [`${spelled(right)} of ${counted(num, "answer")} to ${counted(set.problems.length, "problem")} are right.`];
  if (SHADES[state.shade]) notes.push(legendOf(state.shade));
  const lacks = [...new Set([...book.missing, ...set.missing, ...(other?.missing ?? [])])];
  const summary = el("span", {}, visible(notes.join(" ")));
  $("summary").replaceChildren(summary, ...(lacks.length ? [lacksOf(lacks)] : []));
}

function lacksOf(lacks) {
  const list = el("ul", {}, ...lacks.map((sentence) => el("li", {}, visible(sentence))));
  return el("details", { className: "lacks" }, el("summary", {}, `What is not here (${lacks.length})`), list);
}

/** The file of the same run that is one step on. */
function neighbor(by) {
  const next = book.sets[shown.set.number + by];
  return next && next.run === shown.set.run ? keyOf(next) : null;
}

function move(by) {
  const place = shown.found.findIndex((entry) => entry.problem === shown.current);
  const next = shown.found[place + by];
  if (next) go({ problem: next.facts.key, answer: "" });
}

function step(by) {
  const key = neighbor(by);
  if (key) go({ in: key, answer: "" });
}

const KEYS = { j: () => move(1), k: () => move(-1), "[": () => step(-1), "]": () => step(1), "/": openSearch };

function openSearch() {
  $("filters").open = true;
  $("search").focus();
}

function onKey(event) {
  const isTyped = event.target.closest?.("input, select, textarea");
  if (isTyped || event.ctrlKey || event.metaKey || event.altKey || !Object.hasOwn(KEYS, event.key)) return;
  event.preventDefault();
  KEYS[event.key]();
}

function listen() {
  for (const id of ["in", "beside", "reason", "which", "kept", "level", "subject", "sort", "shade"]) {
    $(id).addEventListener("change", () => go({ [id]: $(id).value, answer: "" }));
  }
  $("apart").addEventListener("change", () => go({ apart: $("apart").checked ? "1" : "" }));
  let waiting = 0;
  $("search").addEventListener("input", () => {
    clearTimeout(waiting);
    waiting = setTimeout(() => go({ search: $("search").value, answer: "" }, true), 300);
  });
  $("clear").addEventListener("click", () => {
    $("search").value = "";
    go({ ...Object.fromEntries(FILTERS.map((name) => [name, ""])), answer: "" });
  });
  $("earlier").addEventListener("click", () => step(-1));
  $("later").addEventListener("click", () => step(1));
  $("list").addEventListener("click", () => {
    if (!isWide.matches) $("problems").open = false;
  });
  document.addEventListener("keydown", onKey);
  addEventListener("hashchange", () => draw().catch(fail));
}

const isWide = matchMedia("(min-width: 760px)");

function fold() {
  $("problems").open = isWide.matches;
  $("filters").open = isWide.matches;
}

function fail(error) {
  $("fault").hidden = false;
  $("fault").textContent = error.message;
  console.error(error);
}

async function start() {
  fold();
  isWide.addEventListener("change", fold);
  book = await block("head");
  listen();
  await draw();
}

start().catch(fail);
