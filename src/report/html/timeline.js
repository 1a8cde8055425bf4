// The lanes: what part of the time they show, and the bars of waves, accounts and targets in it.

const STEPS = [1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000, 10000, 15000, 30000, 60000, 120000, 300000, 600000, 900000, 1800000,
  3600000, 7200000, 14400000, 28800000, 86400000, 172800000, 604800000];
const NARROWEST = 20;

const share = (time) => ((time - state.from) / (state.to - state.from)) * 100;

// Shows another part of the time, within the run.
function show(from, to) {
  const width = Math.min(Math.max(to - from, NARROWEST), finish - begin);
  state.from = Math.min(Math.max(from, begin), finish - width);
  state.to = state.from + width;
  writeAddress();
  drawAxis();
  redraw();
}

const zoom = (factor, around = (state.from + state.to) / 2) => show(around - (around - state.from) * factor, around + (state.to - around) * factor);
const shift = (part) => show(state.from + (state.to - state.from) * part, state.to + (state.to - state.from) * part);

function bar(kind, from, to, tone = '') {
  const [left, right] = [share(from), share(Math.max(to, from))];
  if (right < 0 || left > 100) return null;
  const element = el('i', { class: `bar ${kind} ${tone}` });
  element.style.left = `${Math.max(left, -1)}%`;
  element.style.width = `${Math.min(right, 101) - Math.max(left, -1)}%`;
  return element;
}

function placed(element, time) {
  const left = share(time);
  if (left < 0 || left > 100) return null;
  element.style.left = `${left}%`;
  return element;
}

const mark = (time, tone, kind = '') => placed(el('i', { class: `mark ${tone} ${kind}` }), time);
const endMark = (time, ending) => placed(el('i', { class: 'end' }, glyph(ending.glyph, ending.tone)), time);

// A target: preparing, its deployment with its stages, its rollback, its part of the wave's bake, its tasks; and the moments
// between.
function targetBars(target) {
  const { times, ending } = target;
  if (times.started === null) return [];
  const last = times.rolledOut ?? times.ended;
  const end = last ?? over;
  const deployed = times.deployed ?? end;
  const still = last === null ? 'open' : '';
  const rollback = times.rollback !== null && times.rollback < end ? times.rollback : null;
  return [
    bar('prepare', times.started, Math.min(deployed, rollback ?? deployed), 'calm'),
    times.deployed !== null && bar(target.stages.length ? `span ${still}` : still, deployed, rollback ?? end, ending.tone),
    ...stageBars(target),
    times.baked !== null && bar('bake', end, times.baked, 'good'),
    times.rollback !== null && bar(`rollback ${still}`, times.rollback, Math.max(times.ended ?? end, end), ending.tone),
    ...(target.run_tasks ?? []).map((task) => bar('task', at(task.started_at), at(task.ended_at) ?? end)),
    times.deployed !== null && mark(times.deployed, '', 'deployed'),
    last !== null && endMark(Math.max(times.ended ?? end, end), ending),
  ];
}

// An account that is folded: from its first start to its last end, with what waits for a person and the ends of those that failed.
function accountBars(account) {
  const started = account.targets.filter((target) => target.times.started !== null);
  const bars = started.slice(0, 12).map((target) => bar('span', target.times.started, target.times.ended ?? target.times.rolledOut ?? over, target.ending.tone));
  const ends = started.filter((target) => target.ending.failure && target.times.ended !== null).slice(0, 12);
  return [...bars, ...started.slice(0, 12).flatMap(pauseBars), ...ends.map((target) => endMark(target.times.ended, target.ending))];
}

// A wave: its time, its bake, and where and why it stopped.
function waveBars({ wave }) {
  const [started, baking, ended] = [at(wave.started_at), at(wave.bake_started_at), at(wave.ended_at)];
  if (started === null) return [el('span', { class: 'note dim' }, wave.gate ? 'stops at its gate' : 'not started')];
  const halted = wave.halted_by && byName.get(wave.halted_by)?.times;
  const cause = halted && (halted.ended ?? halted.rolledOut);
  const note = halted && placed(el('span', { class: 'note bad' }, 'halted'), cause);
  return [
    bar(ended === null ? 'stretch open' : 'stretch', started, baking ?? ended ?? over),
    baking !== null && bar('bake', baking, ended ?? over, 'calm'),
    cause && mark(cause, 'bad'),
    // Left of its mark where there is no room on the right.
    note && share(cause) > 85 ? (note.style.transform = 'translate(calc(-100% - 1.6rem), -50%)', note) : note,
  ];
}

function ticks() {
  const width = $('ticks').clientWidth;
  const step = STEPS.find((step) => (step / (state.to - state.from)) * width >= 72) ?? STEPS.at(-1);
  const list = [];
  for (let time = begin + Math.ceil((state.from - begin) / step) * step; time <= state.to; time += step) list.push(time);
  return { step, list };
}

function tickWords(milliseconds, step) {
  if (step < 1000) return `${(milliseconds / 1000).toFixed(step < 10 ? 3 : step < 100 ? 2 : 1)}s`;
  const [seconds, minutes, hours] = [Math.round(milliseconds / 1000) % 60, Math.floor(milliseconds / 60000) % 60, Math.floor(milliseconds / 3600000)];
  return [hours && `${hours}h`, minutes && `${minutes}m`, seconds && `${seconds}s`].filter(Boolean).join(' ') || '0';
}

function drawAxis() {
  const { step, list } = ticks();
  $('ticks').replaceChildren(...list.map((time) => share(time) < 97 && placed(el('span', {}, tickWords(time - begin, step)), time)).filter(Boolean));
  $('rows').querySelector('.lines').replaceChildren(...list.map((time) => placed(el('i'), time)).filter(Boolean));
  const whole = state.from === begin && state.to === finish;
  $('window').textContent = whole ? `${duration(over - begin)} in all` : `${duration(Math.min(state.to, over) - state.from)} of ${duration(over - begin)}`;
  for (const id of ['earlier', 'later', 'out', 'all']) $(id).disabled = whole;
  drawOverview();
}

// How many targets were under way at each moment, when some waited for a person, and when failures ended: the shape of the
// run.
function drawOverview() {
  const canvas = $('overview');
  // A run without targets has no timeline, and one that is hidden no width.
  if (!canvas?.clientWidth) return;
  const [width, height, scale] = [canvas.clientWidth, 38, devicePixelRatio || 1];
  [canvas.width, canvas.height] = [width * scale, height * scale];
  const pen = canvas.getContext('2d');
  pen.scale(scale, scale);
  const colour = (name) => { canvas.style.color = `var(--${name})`; return getComputedStyle(canvas).color; };
  const x = (time) => ((time - begin) / (finish - begin)) * width;
  const change = new Array(Math.ceil(width) + 2).fill(0);
  for (const { times } of targets) {
    if (times.started === null) continue;
    change[Math.floor(x(times.started))] += 1;
    change[Math.min(Math.ceil(x(times.ended ?? times.rolledOut ?? over)), Math.ceil(width)) + 1] -= 1;
  }
  let under = 0;
  const active = change.map((step) => (under += step));
  const most = active.reduce((most, number) => Math.max(most, number), 1);
  pen.globalAlpha = 0.45;
  pen.fillStyle = colour('calm');
  active.forEach((number, left) => pen.fillRect(left, height - (number / most) * (height - 8), 1, (number / most) * (height - 8)));
  pen.globalAlpha = 1;
  pen.fillStyle = colour('ink');
  for (const wave of waves) if (wave.started_at) pen.fillRect(x(at(wave.started_at)), 0, 1, height);
  pen.fillStyle = colour('warn');
  for (const target of targets) for (const pause of target.pauses) pen.fillRect(x(pause.from), height - 4, Math.max(2, x(until(pause, target)) - x(pause.from)), 4);
  pen.fillStyle = colour('bad');
  for (const { times, ending } of targets) if (ending.failure && times.ended !== null) pen.fillRect(x(times.ended) - 1, 0, 2, 6);
  if (state.from !== begin || state.to !== finish) {
    const [left, right] = [x(state.from), x(state.to)];
    pen.fillStyle = colour('link');
    pen.globalAlpha = 0.18;
    pen.fillRect(left, 0, right - left, height);
    pen.globalAlpha = 1;
    pen.fillRect(left, 0, 1, height);
    pen.fillRect(right - 1, 0, 1, height);
  }
}

// Drawing a stretch on the overview shows it; a click shows all. The wheel zooms with Ctrl, or as a pinch.
function listenToAxis() {
  const canvas = $('overview');
  const time = (event) => begin + Math.min(Math.max((event.clientX - canvas.getBoundingClientRect().left) / canvas.clientWidth, 0), 1) * (finish - begin);
  let from = null;
  canvas.addEventListener('pointerdown', (event) => { from = time(event); canvas.setPointerCapture(event.pointerId); });
  canvas.addEventListener('pointermove', (event) => {
    const to = time(event);
    if (from !== null && Math.abs(to - from) > (finish - begin) / 200) show(Math.min(from, to), Math.max(from, to));
  });
  canvas.addEventListener('pointerup', (event) => {
    if (from !== null && Math.abs(time(event) - from) <= (finish - begin) / 200) show(begin, finish);
    from = null;
  });
  $('targets').addEventListener('wheel', (event) => {
    if (!event.ctrlKey || event.target.closest('.lane') === null) return;
    event.preventDefault();
    const lane = $('ticks').getBoundingClientRect();
    zoom(event.deltaY > 0 ? 1.25 : 0.8, state.from + ((event.clientX - lane.left) / lane.width) * (state.to - state.from));
  }, { passive: false });
  for (const [id, act] of [['earlier', () => shift(-0.5)], ['later', () => shift(0.5)], ['out', () => zoom(2)], ['in', () => zoom(0.5)], ['all', () => show(begin, finish)]]) $(id).addEventListener('click', act);
}
