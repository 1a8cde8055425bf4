// One target, opened: why, what was changed, when, and what happened.

const ROLLBACK = { await: 'ECS rolls it back by itself', stop_deployment: 'the deployment is stopped, and ECS rolls it back', deploy: 'the previous revision is deployed', settings: 'its settings are restored' };

function openTarget(name) {
  if (!byName.has(name)) return;
  const changed = state.target !== name;
  state.target = name;
  if (changed) writeAddress(true);
  showDetail();
}

function closeTarget() {
  const place = rowOf(state.target);
  state.target = '';
  writeAddress(true);
  showDetail();
  if (place >= 0) focusRow(place);
  else $('q').focus();
}

// Draws the panel of the target that the state names, or hides it.
function showDetail() {
  const target = byName.get(state.target);
  $('detail').hidden = !target;
  const moved = document.body.classList.contains('opened') !== Boolean(target);
  document.body.classList.toggle('opened', Boolean(target));
  if (moved) drawAxis();
  if (target) {
    const place = rowOf(state.target);
    if (place >= 0) focusRow(place, true);
    $('detail').replaceChildren(...detail(target));
    $('detail').scrollTop = 0;
    $('detail-title').focus({ preventScroll: true });
  }
  redraw();
}

// The targets of the list in its order, folded ones included.
const inOrder = () => grouped(matching()).flatMap((group) => group.accounts.flatMap((account) => account.targets));

function step(by) {
  const list = inOrder();
  const place = list.findIndex((target) => target.target === state.target);
  const next = list[place < 0 ? 0 : place + by];
  if (next) openTarget(next.target);
}

function detail(target) {
  const list = inOrder();
  const place = list.indexOf(target);
  const button = (words, label, act, disabled) => el('button', { class: 'button', type: 'button', 'aria-label': label, onclick: act, disabled }, words);
  const { times } = target;
  return [
    el('div', { class: 'tools' },
      el('span', { class: 'position' }, place < 0 ? 'not in the filter' : `${(place + 1).toLocaleString('en')} of ${list.length.toLocaleString('en')}`),
      button('‹', 'Previous target', () => step(-1), place <= 0),
      button('›', 'Next target', () => step(1), place < 0 || place === list.length - 1),
      button('Close', 'Close', closeTarget)),
    el('h2', { id: 'detail-title', tabindex: -1 }, target.target),
    el('p', { class: `verdict ${target.ending.tone}` }, glyph(target.ending.glyph), el('b', {}, target.ending.words),
      target.elapsed_ms !== undefined && el('span', { class: 'dim' }, `after ${duration(target.elapsed_ms)}`)),
    ...why(target),
    facts([
      ['Revision', revisions(target)], ['Runs now', target.runs], ['Account', `${target.account} (${target.account_id})`], ['Region', target.region],
      ['Cluster', target.cluster.split('/').at(-1)], ['Service', target.service === target.ecs_service ? target.service : `${target.service} (${target.ecs_service ?? target.service} in ECS)`], ['Wave', target.wave], ['Action', target.action?.replaceAll('_', ' ')],
      ['Deployment', target.deployment && `${target.deployment}${target.attached ? ' (was already under way)' : ''}`],
      ['Tasks', target.tasks && `${target.tasks.running} of ${target.tasks.desired} running${target.tasks.failed ? `, ${target.tasks.failed} failed` : ''}`],
    ]),
    // What was never started has nothing to be looked at.
    times.started !== null && el('p', { class: 'links' }, link('Deployments in the console', target.console), ' ', link('Logs', target.logs),
      ' ', target.log && el('a', { href: target.log.split('/').map(encodeURIComponent).join('/') }, 'Log of this run')),
    ...section('Changes', target.changes?.length && el('ul', { class: 'changes' }, target.changes.map(changeLine))),
    ...section('Rollback', target.rollback && el('p', {}, `${ROLLBACK[target.rollback.how]}${target.rollback.to ? `, to ${target.rollback.to}` : ''}, from `, since(times.rollback))),
    ...section('Not rolled back', target.rollback_impossible && el('p', {}, target.rollback_impossible)),
    ...section('Tasks around the deployment', target.run_tasks?.length && el('ul', { class: 'story' }, target.run_tasks.map((task) => el('li', {}, since(at(task.started_at)),
      el('span', {}, `${task.name} (${task.moment}): ${task.end ? task.end.replaceAll('_', ' ') : 'left running'}`, task.ended_at ? `, ${duration(at(task.ended_at) - at(task.started_at))}` : '', el('br'), el('code', {}, task.task)))))),
    ...section('Stages', stageList(target)),
    ...section('Times', moments(times)),
    ...section('Events', eventList(target)),
  ].filter(Boolean);
}

const section = (title, content) => (content ? [el('h3', {}, title), content] : []);

const facts = (pairs) => el('dl', { class: 'facts' }, pairs.filter(([, value]) => value).map(([term, value]) => el('div', {}, el('dt', {}, term), el('dd', {}, value))));

function why(target) {
  const reason = reasons[target.reason];
  if (!reason && !target.cause) return [];
  const others = reason && reason.targets > 1 && el('a', { href: `#reason=${target.reason}` }, `All ${reason.targets.toLocaleString('en')} targets with this reason`);
  return [el('div', { class: 'why' },
    reason && el('p', {}, reason.summary),
    target.cause && el('p', { class: 'of' }, 'because of ', byName.has(target.cause) ? el('a', { href: `#target=${encodeURIComponent(target.cause)}` }, target.cause) : target.cause),
    reason?.evidence && el('ul', { class: 'evidence' }, reason.evidence.map((evidence) => el('li', {},
      evidence.tasks > 0 ? `${count(evidence.tasks, 'task')}${reason.targets > 1 ? ' in all' : ''}: ` : '', evidence.text,
      evidence.log?.length ? el('pre', { class: 'log', tabindex: 0, role: 'group', 'aria-label': 'Log' }, evidence.log.join('\n')) : null))),
    reason?.help && el('p', { class: 'help' }, el('b', {}, 'Help: '), reason.help),
    others && el('p', { class: 'of' }, others))];
}

// A change as the plan says it. What only changes from one value to another has these below each other.
function changeLine(text) {
  const pair = /^(.*?: )?(.*?\S) -> (.*)$/s.exec(text);
  if (pair) {
    const words = pair[1] ? `${pair[1]}${pair[2].split(' ').slice(0, -1).join(' ')}` : pair[2].split(' ').slice(0, -1).join(' ');
    return el('li', {}, el('span', { class: 'sign warn' }, '~'), el('span', {}, words,
      el('span', { class: 'pair' }, el('s', {}, `− ${pair[2].split(' ').at(-1)}`)), el('span', { class: 'pair' }, el('u', {}, `+ ${pair[3]}`))));
  }
  const [sign, tone] = / added\b/.test(text) ? ['+', 'good'] : / removed\b/.test(text) ? ['−', 'bad'] : ['~', 'warn'];
  return el('li', {}, el('span', { class: `sign ${tone}` }, sign), el('span', {}, text));
}

function moments(times) {
  const words = { started: 'started', registered: 'revision registered', deployed: 'deployment started', rollback: 'rollback began', rolledOut: 'rollout ended', baked: 'bake over', ended: 'ended' };
  const list = Object.entries(words).filter(([key]) => times[key] !== null && !(key === 'ended' && times.ended === times.rolledOut)).toSorted(([one], [other]) => times[one] - times[other]);
  return list.length ? el('ol', { class: 'story' }, list.map(([key, word]) => el('li', {}, since(times[key]), el('span', {}, word, el('span', { class: 'dim' }, ` ${clockTime(times[key])}`))))) : null;
}

// The first ones and the last ones of very many; the report says how many it left out between them.
function eventList(target) {
  const events = target.events ?? [];
  if (!events.length) return null;
  const items = events.map(([milliseconds, text]) => el('li', {}, since(begin + milliseconds), el('span', {}, text)));
  if (target.events_left_out) items.splice(report.first_events, 0, el('li', {}, el('span'), el('span', { class: 'dim' }, `${count(target.events_left_out, 'event')} left out here; its log has them`)));
  return el('ol', { class: 'story' }, items);
}
