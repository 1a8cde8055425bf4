// Puts the page together: the filter's controls, the theme, the keys, and what the address asks for.

const SELECTS = { account: 'All accounts', region: 'All regions', service: 'All services', wave: 'All waves' };

function makeFilter() {
  for (const [key, words] of Object.entries(SELECTS)) {
    const counts = new Map();
    for (const target of targets) counts.set(target[key], (counts.get(target[key]) ?? 0) + 1);
    $(key).append(el('option', { value: '' }, words), ...[...counts].map(([value, number]) => el('option', { value }, `${value} (${number.toLocaleString('en')})`)));
    $(key).hidden = counts.size < 2;
    $(key).addEventListener('change', () => { state[key] = $(key).value; filterChanged(); });
  }
  for (const [word, number] of tallied(targets)) {
    const { glyph: shape, tone, words } = endings[word];
    $('outcomes').append(el('button', { class: 'button', type: 'button', 'data-outcome': word, onclick: () => { if (!state.outcome.delete(word)) state.outcome.add(word); filterChanged(); } },
      glyph(shape, tone), `${number.toLocaleString('en')} ${words}`));
  }
  $('outcomes').hidden = tallied(targets).length < 2;
  let wait = 0;
  // While somebody types, the rows follow at once, and the address when they pause.
  $('q').addEventListener('input', () => { state.q = $('q').value; layOut(); clearTimeout(wait); wait = setTimeout(writeAddress, 250); });
  $('filter').addEventListener('submit', (event) => { event.preventDefault(); focusRow(0); });
  $('clear').addEventListener('click', clearFilter);
}

function clearFilter() {
  for (const key of ['q', 'account', 'region', 'service', 'wave', 'reason']) state[key] = '';
  state.outcome.clear();
  filterChanged();
  $('q').focus();
}

function filterChanged() {
  showFilter();
  writeAddress();
  layOut();
}

// The controls, as the state has it.
function showFilter() {
  $('q').value = state.q;
  for (const key of Object.keys(SELECTS)) {
    $(key).value = state[key];
    $(key).classList.toggle('set', state[key] !== '');
  }
  for (const button of $('outcomes').children) button.setAttribute('aria-pressed', String(state.outcome.has(button.dataset.outcome)));
}

function fromAddress() {
  // A link to a part of the page says nothing of the filter.
  if (/^#[a-z-]+$/.test(location.hash)) return;
  const before = asked();
  readAddress();
  showFilter();
  layOut();
  showDetail();
  // A link that asks for some of the targets leads to them.
  if (asked() !== before && isFiltered() && !state.target) $('targets').scrollIntoView();
}

const asked = () => JSON.stringify([...TEXTS.filter((key) => key !== 'target').map((key) => state[key]), ...state.outcome]);

function makeLegend() {
  const one = (words, ...parts) => el('span', {}, el('i', {}, parts), words);
  const piece = (kind) => el('b', { class: kind });
  $('legend').append(one('preparing, registering', piece('bar prepare calm')), one('deploying', piece('bar good')), one('moment of the deployment', piece('mark deployed')),
    one(hasStages ? 'bake of the wave' : 'baking', piece('bar bake calm')), one('rollback', piece('bar rollback bad')), one('task of its own', piece('bar task')));
  if (hasStages) {
    $('legend').append(one('stage of a deployment', piece('bar stage good')), one('with part of the production traffic', piece('bar stage part good')), one('with all of it', piece('bar stage full good')),
      one("ECS's own bake", piece('bar stage bakes good')));
  }
  if (hasPauses) $('legend').append(one('waiting at a PAUSE hook', el('b', { class: 'bar pause warn' }, glyph('pause'))));
  if (hasReroutes) $('legend').append(one('waiting for a reroute', piece('bar stage waits warn')));
}

function makeTheme() {
  const themes = ['auto', 'light', 'dark'];
  // A page may be shown where it may not keep anything.
  const kept = (act) => { try { return act(localStorage); } catch { return null; } };
  let theme = kept((store) => store.getItem('roleout-theme'));
  if (!themes.includes(theme)) theme = 'auto';
  const set = () => {
    document.documentElement.dataset.theme = theme;
    $('theme').textContent = `Theme: ${theme}`;
    drawOverview();
  };
  $('theme').addEventListener('click', () => {
    theme = themes[(themes.indexOf(theme) + 1) % themes.length];
    kept((store) => store.setItem('roleout-theme', theme));
    set();
  });
  $('theme').hidden = false;
  matchMedia('(prefers-color-scheme: dark)').addEventListener('change', drawOverview);
  set();
}

function listenToKeys() {
  const keys = {
    '/': () => { $('q').focus(); $('q').select(); }, j: () => step(1), k: () => step(-1), '+': () => zoom(0.5), '=': () => zoom(0.5), '-': () => zoom(2), '0': () => show(begin, finish),
  };
  document.addEventListener('keydown', (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    if (event.key === 'Escape') {
      if (!$('detail').hidden) { event.preventDefault(); closeTarget(); }
      else if (document.activeElement === $('q')) { event.preventDefault(); if (state.q) { state.q = ''; filterChanged(); } else focusRow(active); }
      return;
    }
    if (event.target.closest?.('input, select, textarea')) return;
    if (event.shiftKey && (event.key === 'ArrowLeft' || event.key === 'ArrowRight')) { event.preventDefault(); shift(event.key === 'ArrowLeft' ? -0.25 : 0.25); return; }
    if (keys[event.key]) { event.preventDefault(); keys[event.key](); }
  });
}

$('needs').remove();
if (targets.length) {
  $('targets').hidden = false;
  $('rows').append(el('div', { class: 'lines', role: 'presentation' }));
  makeFilter();
  makeLegend();
  listenToRows();
  listenToAxis();
  listenToKeys();
  addEventListener('hashchange', fromAddress);
  fromAddress();
}
makeTheme();
