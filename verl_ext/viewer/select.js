// Which problems and which answers of a file are shown.

const WHICH = {
  "": "all",
  solved: "with a right answer",
  unsolved: "without a right answer",
  mixed: "with right and wrong answers",
  lost: "right here, not beside",
  gained: "right beside, not here",
  worse: "mostly right here, mostly wrong beside",
  better: "mostly wrong here, mostly right beside",
};
const NEEDS_BESIDE = ["lost", "gained", "worse", "better"];
const SORTS = {
  "": "by number",
  longest: "longest answer first",
  hardest: "fewest right first",
  easiest: "most right first",
  change: "largest change beside first",
};
const KEPT = { "": "all answers", kept: "kept for the update", dropped: "dropped before it", up: "advantage above 0", down: "advantage below 0" };

const share = (counts) => counts.right / Math.max(counts.samples, 1);

/** A file with its columns: each answer has a row, and those of a problem are one after the other. */
async function openSet(set) {
  const { columns, names } = await block(`block${set.columns}`);
  const places = new Map(set.problems.map((problem, place) => [problem, place]));
  const starts = [0];
  for (const num of set.samples) starts.push(starts[starts.length - 1] + num);
  return { ...set, columns, names, places, starts };
}

const countsAt = (set, place) => ({ right: set.right[place], samples: set.samples[place] });

function rowsOf(set, problem) {
  const place = set.places.get(problem);
  if (place === undefined) return [];
  return Array.from({ length: set.samples[place] }, (_, i) => set.starts[place] + i);
}

/** What a reader asked of answers, as a test of a row; null where nothing is asked. */
function rowTest(set, state, hits) {
  const tests = [];
  const { columns, names } = set;
  const reason = names.reason.indexOf(state.reason);
  if (state.reason) tests.push((row) => columns.reason[row] === reason);
  if (state.kept === "kept") tests.push((row) => columns.kept[row] === 1);
  if (state.kept === "dropped") tests.push((row) => columns.kept[row] === 0);
  if (state.kept === "up") tests.push((row) => columns.advantage[row] > 0);
  if (state.kept === "down") tests.push((row) => columns.advantage[row] < 0);
  if (hits) tests.push((row) => hits.has(row));
  return tests.length ? (row) => tests.every((test) => test(row)) : null;
}

function problemTest(state, other) {
  if (!other && NEEDS_BESIDE.includes(state.which)) return () => true;
  const tests = {
    solved: (here) => here.right > 0,
    unsolved: (here) => here.right === 0,
    mixed: (here) => here.right > 0 && here.right < here.samples,
    lost: (here, beside) => beside && here.right > 0 && beside.right === 0,
    gained: (here, beside) => beside && here.right === 0 && beside.right > 0,
    worse: (here, beside) => beside && share(here) > 0.5 && share(beside) < 0.5,
    better: (here, beside) => beside && share(here) < 0.5 && share(beside) > 0.5,
  };
  return tests[state.which] ?? (() => true);
}

const lengthOf = (set, row) => set.columns.tokens[row] ?? set.columns.chars[row] ?? 0;

/** The problems that are shown, with what the list says of each. */
function selectProblems(book, set, other, state, hits) {
  const isShown = rowTest(set, state, hits);
  const isWanted = problemTest(state, other);
  const found = [];
  set.problems.forEach((problem, place) => {
    const facts = book.problems[problem];
    if ((state.level && facts.level !== state.level) || (state.subject && subjectOf(facts) !== state.subject)) return;
    const here = countsAt(set, place);
    const otherPlace = other?.places.get(problem);
    const beside = otherPlace === undefined ? null : countsAt(other, otherPlace);
    if (!isWanted(here, beside)) return;
    let matched = 0;
    let longest = 0;
    for (let row = set.starts[place]; row < set.starts[place + 1]; row++) {
      if (isShown && !isShown(row)) continue;
      matched++;
      longest = Math.max(longest, lengthOf(set, row));
    }
    if (matched) found.push({ problem, facts, here, beside, matched, longest });
  });
  return sorted(found, state.sort);
}

const subjectOf = (facts) => facts.subject ?? facts.type ?? "";

function sorted(found, sort) {
  const change = (entry) => (entry.beside ? Math.abs(share(entry.beside) - share(entry.here)) : -1);
  const orders = {
    longest: (a, b) => b.longest - a.longest,
    hardest: (a, b) => share(a.here) - share(b.here),
    easiest: (a, b) => share(b.here) - share(a.here),
    change: (a, b) => change(b) - change(a),
  };
  return orders[sort] ? found.sort(orders[sort]) : found;
}

/** The rows whose text has what is looked for; null where nothing is. */
async function searchRows(set, wanted, report) {
  if (!wanted) return null;
  const pattern = patternOf(wanted);
  const hits = new Set();
  for (let i = 0; i < set.texts.blocks.length; i++) {
    if (!report(i / set.texts.blocks.length)) return null;
    const values = await block(`block${set.texts.blocks[i]}`);
    values.forEach((value, k) => {
      if ((value.text ?? value.answer ?? "").search(pattern) >= 0) hits.add(set.texts.starts[i] + k);
    });
  }
  return hits;
}
