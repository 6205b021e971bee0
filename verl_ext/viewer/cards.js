// Answers to one problem: a card for each text, with its verdict, what decided it, and what training made of it.

const CARDS_AT_ONCE = 40;
const LINKS_AT_ONCE = 6;
const VERDICTS = { 1: ["right", "✓"], 0: ["wrong", "✗"], "-1": ["open", "?"] };
const words = (name) => name.replaceAll("_", " ");

/** The column of a file: a heading, and the cards. */
async function columnOf(set, problem, state, hits) {
  const heading = el("h3", {}, visible(nameOf(set)));
  const isShown = rowTest(set, state, hits);
  const all = rowsOf(set, problem);
  const rows = isShown ? all.filter(isShown) : all;
  const column = el("section", { className: "column", "aria-label": plain(nameOf(set)) }, heading);
  const place = set.places.get(problem);
  if (place === undefined) column.append(el("p", { className: "quiet" }, "This problem is not in this file."));
  else heading.append(el("span", { className: "quiet" }, ` ${countsAt(set, place).right} of ${counted(all.length, "answer")} right${rows.length < all.length ? `, ${spelled(rows.length)} shown` : ""}`));
  const groups = await groupsOf(set, rows, state);
  appendCards(column, set, groups, state, 0);
  return column;
}

/** Rows with equal texts and verdicts together, so that the same answer is read once. */
async function groupsOf(set, rows, state) {
  const ordered = state.sort === "longest" ? [...rows].sort((a, b) => lengthOf(set, b) - lengthOf(set, a)) : rows;
  const groups = new Map();
  for (const row of ordered) {
    const record = await valueAt(set.texts, row);
    const { columns } = set;
    const isApart = state.apart || record.text === undefined || (state.shade && record.rollout);
    const same = isApart ? row : JSON.stringify([record.text, record.answer, columns.reason[row], columns.kept[row], columns.advantage[row]]);
    if (!groups.has(same)) groups.set(same, { record, rows: [] });
    groups.get(same).rows.push(row);
  }
  return [...groups.values()];
}

function appendCards(column, set, groups, state, from) {
  const asked = groups.findIndex((group) => group.rows.some((row) => idOf(set, row) === state.answer));
  const to = Math.max(from + CARDS_AT_ONCE, state.answer ? asked + 1 : 0);
  column.append(...groups.slice(from, to).map((group) => cardOf(set, group, state)));
  if (to >= groups.length) return;
  const more = el("button", { type: "button", className: "more" }, `${counted(groups.length - to, "more answer")}`);
  more.addEventListener("click", () => {
    more.remove();
    appendCards(column, set, groups, state, to);
  });
  column.append(more);
}

const idOf = (set, row) => wellFormed(String(set.columns.id[row]));
/** verl's names of samples end in the numbers of the sample and of its output. */
const shortId = (id) => /_(\d+)_\d+$/.exec(id)?.[1] ?? (id.length > 16 ? `${id.slice(0, 16)}…` : id);

function cardOf(set, group, state) {
  const [row] = group.rows;
  const isOpen = group.rows.some((each) => idOf(set, each) === state.answer);
  const [name, sign] = VERDICTS[set.columns.verdict[row]];
  const head = el(
    "header",
    {},
    el("span", { className: "verdict" }, `${sign} `, visible(words(set.names.reason[set.columns.reason[row]]))),
    group.rows.length > 1 ? el("span", { className: "times" }, `× ${group.rows.length}`) : null,
    ...extractedOf(group.record, set.names.rule[set.columns.rule[row]]),
    el("span", { className: "links" }, ...linksOf(set, group.rows, state)),
  );
  const card = el("article", { className: `card ${name}${isOpen ? " asked" : ""}`, tabIndex: -1 }, head, factsOf(set, row, group));
  card.append(...bodyOf(set, row, group.record, state, isOpen));
  return card;
}

function extractedOf(record, rule) {
  if (record.answer === undefined || record.answer === "" || record.answer === record.text) return [];
  const isThere = record.text === undefined || answerPlace(record.text, record.answer, rule) !== null;
  const answer = el("code", { dir: "auto" }, visible(record.answer.slice(0, 300)));
  return [el("span", { className: "extracted" }, answer, isThere ? null : el("span", { className: "quiet" }, " (not word for word in the text)"))];
}

function linksOf(set, rows, state) {
  const links = rows.slice(0, LINKS_AT_ONCE).map((row) => {
    const id = idOf(set, row);
    const link = el("a", { href: hashOf({ ...state, in: keyOf(set), beside: besideOf(set, state), answer: id }), title: "Link to this answer" }, "#", visible(shortId(id)));
    return link;
  });
  if (rows.length > LINKS_AT_ONCE) links.push(el("span", { className: "quiet" }, `+${rows.length - LINKS_AT_ONCE}`));
  return links;
}

/** A link to an answer on the right side puts that side first. */
const besideOf = (set, state) => (keyOf(set) === state.beside ? state.in : state.beside);

function factsOf(set, row, group) {
  const { columns, names } = set;
  const rule = names.rule[columns.rule[row]];
  const tier = names.tier[columns.tier[row]];
  const facts = [
    tier ? `decided by ${words(tier)}` : null,
    rule ? `found by ${words(rule)}` : null,
    columns.advantage[row] === null ? null : `advantage ${signed(columns.advantage[row])}`,
    columns.kept[row] === null ? null : columns.kept[row] ? "kept" : "dropped",
    lengthTold(columns, row),
    names.end[columns.end[row]] === "length" ? "cut at the length limit" : null,
  ].filter(Boolean);
  const line = el("p", { className: "facts" }, ...facts.map((fact) => el("span", {}, visible(fact))));
  if (group.record.detail) line.append(el("span", { className: "detail" }, visible(String(group.record.detail).slice(0, 500))));
  return line;
}

function lengthTold(columns, row) {
  if (columns.tokens[row] !== null) return counted(columns.tokens[row], "token");
  return columns.chars[row] === null ? null : counted(columns.chars[row], "character");
}

const signed = (number) => `${number > 0 ? "+" : number < 0 ? "−" : ""}${Math.abs(number).toPrecision(3).replace(/\.?0+$/, "")}`;

function bodyOf(set, row, record, state, isOpen) {
  if (record.text === undefined) return [el("p", { className: "quiet" }, "The file has no text of this answer.")];
  const place = answerPlace(record.text, record.answer, set.names.rule[set.columns.rule[row]]);
  const answer = place ? [{ ...place, className: "answer", isMark: true, title: "The extracted answer" }] : [];
  const layers = [tokenLayer(record, state.shade), answer, hitsOf(record.text, state.search)];
  const parts = [readable(record.text, layers, isOpen)];
  if (record.reasoning) parts.unshift(el("details", {}, el("summary", {}, "Reasoning"), readable(record.reasoning, [], false)));
  if (record.text === "") parts.push(el("p", { className: "quiet" }, "An empty answer."));
  return parts;
}
