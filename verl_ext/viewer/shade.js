// Log-probs of tokens as a shade behind them.

const SHADES = {
  rollout: "Log-probs of the rollout",
  actor: "Log-probs of the actor",
  gap: "Actor against rollout",
};
const FULL_SURPRISE = 4; // nats: as dark as it gets
const FULL_GAP = 0.2;

/** Which shades an answer has. */
const shadesOf = (record) => Object.keys(SHADES).filter((name) => valuesOf(record, name) !== null);

function valuesOf(record, shade) {
  if (!record.rollout || (shade !== "rollout" && !record.actor)) return null;
  if (shade !== "gap") return record[shade];
  return record.actor.map((actor, i) => (actor === null || record.rollout[i] === null ? null : actor - record.rollout[i]));
}

/** The layer of marks for a shade; tokens that are in pieces of a character have none. */
function tokenLayer(record, shade) {
  const values = SHADES[shade] ? valuesOf(record, shade) : null;
  if (values === null || record.text === undefined) return [];
  const marks = [];
  let end = 0;
  record.tokens.forEach((token, i) => {
    const start = token === "" ? -1 : record.text.startsWith(token, end) ? end : record.text.indexOf(token, end);
    if (start < 0 || start > end + 8) return;
    end = start + token.length;
    if (values[i] !== null) marks.push({ start, end, className: "token", title: tokenTitle(record, i), paint: paintOf(values[i], shade) });
  });
  return marks;
}

function tokenTitle(record, i) {
  const of = (name, values) => (values && values[i] !== null ? `${name} ${values[i].toFixed(3)}` : null);
  return [of("rollout", record.rollout), of("actor", record.actor)].filter(Boolean).join(", ");
}

function paintOf(value, shade) {
  if (shade !== "gap") return `color-mix(in srgb, var(--rare) ${percent(-value / FULL_SURPRISE)}, transparent)`;
  return `color-mix(in srgb, var(${value > 0 ? "--more" : "--less"}) ${percent(Math.abs(value) / FULL_GAP)}, transparent)`;
}

const percent = (share) => `${Math.round(60 * Math.min(1, Math.max(0, share)))}%`;

function legendOf(shade) {
  if (shade === "gap") return `Shade: the actor's log-prob less the rollout's; blue is more, orange is less, full at ${FULL_GAP}.`;
  return `Shade: how unlikely the ${shade} found a token; full at a log-prob of −${FULL_SURPRISE}.`;
}
