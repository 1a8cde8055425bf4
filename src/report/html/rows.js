// The rows of the timeline: a treegrid of waves, accounts and targets. Only those are in the document that can be seen,
// and the one that has the focus, so that five thousand targets scroll as five do.

// So many rows are all put in: the browser's own search finds them, and paper has them.
const FEW = 300;
// Of more targets than these, those waves and accounts are folded in which nothing needs a look.
const FOLD_ABOVE = 100;
const CALM = 1;
const SPARE = 600;

const folds = new Map();
let rows = [];
let active = 0;
let all = false;
const drawn = new Map();

const keyOf = (row) => (row.target ? row.target.target : row.account ? `${row.group.wave.name} / ${row.account.name}` : row.group.wave.name);
const isFolded = (key, otherwise) => folds.get(key) ?? otherwise;

// Lists the rows anew, of the targets that the filter lets through.
function layOut() {
  const before = rows[active] && keyOf(rows[active]);
  const list = matching();
  const many = list.length > FOLD_ABOVE;
  const groups = grouped(list);
  const troubled = groups.some((group) => group.worst > CALM);
  rows = [];
  for (const group of groups) {
    const wave = { kind: 'wave', level: 1, group, folded: isFolded(group.wave.name, many && troubled && group.worst <= CALM) };
    rows.push(wave);
    if (wave.folded) continue;
    for (const account of group.accounts) {
      // An account with one target needs no heading of its own.
      const alone = account.targets.length === 1;
      if (!alone) {
        const row = { kind: 'account', level: 2, group, account };
        row.folded = isFolded(keyOf(row), many && account.worst <= CALM);
        rows.push(row);
        if (row.folded) continue;
      }
      for (const target of account.targets) rows.push({ kind: 'target', level: alone ? 2 : 3, target, alone });
    }
  }
  active = Math.max(0, rows.findIndex((row) => keyOf(row) === before));
  $('shown').textContent = list.length === targets.length ? count(list.length, 'target') : `${list.length.toLocaleString('en')} of ${count(targets.length, 'target')}`;
  $('clear').hidden = !isFiltered();
  $('none').hidden = rows.length > 0;
  $('axis').hidden = $('legend').hidden = rows.length === 0;
  $('rows').setAttribute('aria-rowcount', rows.length);
  redraw();
  drawAxis();
}

const rowHeight = () => parseFloat(getComputedStyle(document.documentElement).getPropertyValue('--row'));

// Draws every row anew.
function redraw() {
  for (const element of drawn.values()) element.remove();
  drawn.clear();
  draw();
}

// Puts in the rows that came into sight, and takes out those that left it.
function draw() {
  const height = rowHeight();
  const holder = $('rows');
  holder.style.height = `${rows.length * height}px`;
  const top = holder.getBoundingClientRect().top;
  const whole = all || rows.length <= FEW;
  const first = whole ? 0 : Math.max(0, Math.floor((-top - SPARE) / height));
  const last = whole ? rows.length : Math.min(rows.length, Math.ceil((innerHeight - top + SPARE) / height));
  for (const [place, element] of drawn) {
    if ((place < first || place >= last) && place !== active) { element.remove(); drawn.delete(place); }
  }
  const add = (place) => {
    if (place >= rows.length || drawn.has(place)) return;
    const element = rowElement(rows[place], place);
    element.style.top = `${place * height}px`;
    drawn.set(place, element);
    // In the order of the rows, which is that in which they are read.
    let next = null;
    for (const [other, there] of drawn) if (other > place && (next === null || other < next[0])) next = [other, there];
    holder.insertBefore(element, next?.[1] ?? null);
  };
  for (let place = first; place < last; place += 1) add(place);
  add(active);
}

function rowElement(row, place) {
  const cells = { wave: waveCells, account: accountCells, target: targetCells }[row.kind](row);
  const open = row.target && row.target.target === state.target;
  const element = el('div', {
    class: `row ${row.kind}${row.level === 3 ? ' deep' : ''}${open ? ' open' : ''}`, role: 'row', tabindex: place === active ? 0 : -1,
    'aria-level': row.level, 'aria-rowindex': place + 1, 'aria-expanded': row.target ? undefined : String(!row.folded), 'aria-selected': row.target ? String(Boolean(open)) : undefined,
    onclick: () => { focusRow(place); act(row); },
    onfocus: () => { if (active !== place) setActive(place); tellCourse(row); }, onpointerenter: () => tellCourse(row),
  }, el('div', { class: 'label', role: 'gridcell' }, cells.label), el('div', { class: 'lane', role: 'presentation' }, cells.bars));
  return element;
}

// The course of the row that is looked at, in words: its pieces may be too small for theirs.
const tellCourse = (row) => { $('course').textContent = row.target ? courseWords(row.target) : ''; };

function tally(list) {
  return el('span', { class: 'tally' }, tallied(list).map(([word, number]) =>
    el('span', { class: endings[word].tone, title: endings[word].words }, glyph(endings[word].glyph), el('em', {}, number.toLocaleString('en')), el('span', { class: 'unseen' }, ` ${endings[word].words} `))));
}

const took = (from, to) => el('span', { class: 'took' }, from !== null && to !== null ? duration(to - from) : '');

function waveCells({ group }) {
  const { wave } = group;
  const label = [el('span', { class: 'name' }, glyph('fold', 'fold'), el('b', { title: wave.name }, wave.name)), tally(group.targets), took(at(wave.started_at), at(wave.ended_at))];
  return { label, bars: waveBars(group).filter(Boolean) };
}

function accountCells({ account, folded }) {
  const { account_id: id } = account.targets[0];
  const label = [el('span', { class: 'name' }, glyph('fold', 'fold'), el('b', { title: `${account.name} (${id})` }, account.name), el('span', { class: 'id' }, id)), tally(account.targets), took(null, null)];
  return { label, bars: folded ? accountBars(account).filter(Boolean) : [] };
}

function targetCells({ target, alone }) {
  const service = target.target.slice(target.account.length + target.region.length + 2);
  const label = [
    el('span', { class: 'name', title: target.target }, el('b', {}, alone ? `${target.account}/${service}` : service), el('span', {}, target.region), pauseNote(target)),
    el('span', { class: `word ${target.ending.tone}` }, glyph(target.ending.glyph), el('span', {}, target.ending.words)),
    el('span', { class: 'revision', title: revisions(target) }, shortRevisions(target)),
    el('span', { class: 'took' }, target.elapsed_ms === undefined ? '' : duration(target.elapsed_ms)),
  ];
  return { label, bars: targetBars(target).filter(Boolean) };
}

// What a click or Enter does: a target is opened, a group is folded.
function act(row) {
  if (row.target) openTarget(row.target.target);
  else fold(row, !row.folded);
}

function fold(row, folded) {
  folds.set(keyOf(row), folded);
  const hadFocus = $('rows').contains(document.activeElement);
  layOut();
  if (hadFocus) focusRow(active);
}

function setActive(place) {
  drawn.get(active)?.setAttribute('tabindex', -1);
  active = place;
  drawn.get(active)?.setAttribute('tabindex', 0);
}

// Moves the focus to a row, and the row into sight.
function focusRow(place, quietly = false) {
  if (!rows.length) return;
  setActive(Math.min(Math.max(place, 0), rows.length - 1));
  const height = rowHeight();
  const top = $('rows').getBoundingClientRect().top + active * height;
  const roof = $('axis').getBoundingClientRect().height + 4;
  if (top < roof) scrollBy(0, top - roof - height);
  else if (top + height > innerHeight) scrollBy(0, top + height * 2 - innerHeight);
  draw();
  if (!quietly) drawn.get(active)?.focus({ preventScroll: true });
}

// The row of a target, unfolding what hides it; -1 where the filter does.
function rowOf(name) {
  const find = () => rows.findIndex((row) => row.target?.target === name);
  const target = byName.get(name);
  if (find() < 0 && target) {
    folds.set(target.wave, false);
    folds.set(`${target.wave} / ${target.account}`, false);
    layOut();
  }
  return find();
}

function listenToRows() {
  const page = () => Math.max(1, Math.floor((innerHeight - 120) / rowHeight()));
  const parent = (place) => rows.findLastIndex((row, other) => other < place && row.level < rows[place].level);
  const keys = {
    ArrowDown: () => focusRow(active + 1), ArrowUp: () => focusRow(active - 1),
    PageDown: () => focusRow(active + page()), PageUp: () => focusRow(active - page()),
    Home: () => focusRow(0), End: () => focusRow(rows.length - 1),
    Enter: () => act(rows[active]), ' ': () => act(rows[active]),
    ArrowRight: () => { const row = rows[active]; if (row.target) return; if (row.folded) fold(row, false); else focusRow(active + 1); },
    ArrowLeft: () => { const row = rows[active]; if (!row.target && !row.folded) fold(row, true); else if (parent(active) >= 0) focusRow(parent(active)); },
  };
  $('rows').addEventListener('keydown', (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || event.shiftKey || !keys[event.key] || !rows.length) return;
    event.preventDefault();
    keys[event.key]();
  });
  addEventListener('scroll', draw, { passive: true });
  addEventListener('resize', () => { redraw(); drawAxis(); });
  // On paper there is no scrolling: all of them, up to what somebody may want to print.
  addEventListener('beforeprint', () => { all = rows.length <= 3000; draw(); });
  addEventListener('afterprint', () => { all = false; draw(); });
}
