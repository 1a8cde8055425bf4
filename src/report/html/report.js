// The report as the page has it: its targets, which of them the filter lets through, and what the address says of that.
'use strict';

const { report, endings } = JSON.parse(document.getElementById('data').textContent);
const targets = report.targets ?? [];
const waves = report.waves ?? [];
const reasons = report.reasons ?? [];
const byName = new Map(targets.map((target) => [target.target, target]));

const at = (text) => (text ? Date.parse(text) : null);
const begin = at(report.run.started_at) ?? firstTime();
const over = lastTime();
// A little more than the run, so that what is at its end can be seen.
const finish = over + Math.ceil((over - begin) * 0.02);

targets.forEach((target, place) => {
  target.place = place;
  target.ending = endings[target.outcome];
  target.times = {
    started: at(target.started_at), registered: at(target.registered_at), deployed: at(target.deployed_at),
    rolledOut: at(target.rolled_out_at), baked: at(target.baked_at), ended: at(target.ended_at),
    rollback: at(target.rollback?.started_at),
  };
});

function firstTime() {
  const times = [...waves, ...targets].map((one) => at(one.started_at)).filter((time) => time !== null);
  return times.reduce((least, time) => Math.min(least, time), times[0] ?? 0);
}

function lastTime() {
  let last = Math.max(begin + 1, at(report.run.ended_at) ?? 0, begin + (report.run.elapsed_ms ?? 0));
  for (const one of [...waves, ...targets]) last = Math.max(last, at(one.ended_at) ?? 0, at(one.rolled_out_at) ?? 0);
  return last;
}

// What the page shows. The address has it all, so that a link leads to the same sight.
const TEXTS = ['q', 'account', 'region', 'service', 'wave', 'reason', 'target'];
const state = { q: '', account: '', region: '', service: '', wave: '', reason: '', target: '', outcome: new Set(), from: begin, to: finish };

function readAddress() {
  const said = new URLSearchParams(location.hash.slice(1));
  for (const key of TEXTS) state[key] = said.get(key) ?? '';
  state.outcome = new Set((said.get('outcome') ?? '').split(',').filter((word) => endings[word]));
  const time = (key, otherwise) => {
    const milliseconds = Number.parseInt(said.get(key), 10);
    return Number.isFinite(milliseconds) ? begin + milliseconds : otherwise;
  };
  [state.from, state.to] = [time('from', begin), time('to', finish)];
  if (!(state.from < state.to)) [state.from, state.to] = [begin, finish];
}

function address() {
  const plain = (text) => encodeURIComponent(text).replace(/%(2F|3A|2C)/g, decodeURIComponent);
  const said = TEXTS.filter((key) => state[key] !== '').map((key) => `${key}=${plain(state[key])}`);
  if (state.outcome.size) said.push(`outcome=${[...state.outcome].join(',')}`);
  if (state.from !== begin || state.to !== finish) said.push(`from=${Math.round(state.from - begin)}`, `to=${Math.round(state.to - begin)}`);
  return `#${said.join('&')}`;
}

// `push` keeps the present view in the history, so that the browser's back button returns to it.
function writeAddress(push = false) {
  const next = address();
  if (next === (location.hash || '#')) return;
  history[push ? 'pushState' : 'replaceState'](null, '', next);
}

// All that the text filter looks through, made when it is first asked for.
function haystack(target) {
  target.hay ??= [target.target, target.cluster, target.account_id, target.deployment, target.from, target.to, target.ending.words, target.stage, target.pauses.length && 'PAUSE hook',
    ...(target.changes ?? []), target.ecs_service, target.rollback_impossible, told(target.reason)].filter(Boolean).join('\n').toLowerCase();
  return target.hay;
}

// All that is told of a reason: what was found, and the ends of logs.
const told = (place) => {
  const reason = reasons[place];
  if (!reason) return '';
  reason.told ??= [reason.summary, reason.help, ...(reason.evidence ?? []).flatMap(({ text, log }) => [text, ...(log ?? [])])].filter(Boolean).join('\n');
  return reason.told;
};

const isFiltered = () => ['q', 'account', 'region', 'service', 'wave', 'reason'].some((key) => state[key] !== '') || state.outcome.size > 0;

function matching() {
  const words = state.q.toLowerCase().split(/\s+/).filter(Boolean);
  const same = ['account', 'region', 'service', 'wave'].filter((key) => state[key] !== '');
  return targets.filter((target) => same.every((key) => target[key] === state[key])
    && (state.outcome.size === 0 || state.outcome.has(target.outcome))
    && (state.reason === '' || String(target.reason) === state.reason)
    && words.every((word) => haystack(target).includes(word)));
}

// Waves in their order; in each the accounts, and in these the targets, those first that ask the most of a person.
function grouped(list) {
  const worst = (some) => some.reduce((most, target) => Math.max(most, target.ending.weight), 0);
  const groups = new Map(waves.map((wave) => [wave.name, { wave, accounts: new Map(), targets: [] }]));
  for (const target of list) {
    if (!groups.has(target.wave)) groups.set(target.wave, { wave: { name: target.wave }, accounts: new Map(), targets: [] });
    const group = groups.get(target.wave);
    if (!group.accounts.has(target.account)) group.accounts.set(target.account, []);
    group.accounts.get(target.account).push(target);
    group.targets.push(target);
  }
  return [...groups.values()].filter((group) => group.targets.length).map((group) => ({
    ...group,
    worst: worst(group.targets),
    accounts: [...group.accounts].map(([name, some]) => ({
      name, worst: worst(some), targets: some.toSorted((one, other) => other.ending.weight - one.ending.weight || one.place - other.place),
    })).toSorted((one, other) => other.worst - one.worst),
  }));
}
