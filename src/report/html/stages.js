// The course of a deployment that has stages: its pieces in the lane, in words, and as a list. What a PAUSE hook keeps
// waiting stands out, since it asks for a person; ECS's own bake is not the wave's.

const SHORT = {
  RECONCILE_SERVICE: 'reconciling', PRE_SCALE_UP: 'before scale-up', SCALE_UP: 'scaling up', POST_SCALE_UP: 'scaled up', TEST_TRAFFIC_SHIFT: 'test traffic', POST_TEST_TRAFFIC_SHIFT: 'tested',
  PRODUCTION_TRAFFIC_SHIFT: 'shifting', POST_PRODUCTION_TRAFFIC_SHIFT: 'shifted', BAKE_TIME: 'ECS bakes', CLEAN_UP: 'cleaning up',
  ROLLBACK_REQUESTED: 'rolling back', ROLLBACK_IN_PROGRESS: 'rolling back', STOP_REQUESTED: 'stopping', Baking: 'CodeDeploy bakes', Ready: 'waits for a reroute',
};

for (const target of targets) {
  const time = (milliseconds) => (milliseconds === null ? null : begin + milliseconds);
  target.stages = (target.stages ?? []).map(([from, to, name, production, test, bake]) => ({ from: time(from), to: time(to), name, production, test, bake }));
  target.pauses = (target.pauses ?? []).map(([from, to, stage, expires, action, status]) => ({ from: time(from), to: time(to), stage, expires: at(expires), action, status }));
}

const hasStages = targets.some((target) => target.stages.length > 0);
const hasPauses = targets.some((target) => target.pauses.length > 0);
const hasReroutes = targets.some((target) => target.stages.some((stage) => stage.name === 'Ready'));
// Until when something lasted: what the run left is shown up to there.
const until = (piece, target) => piece.to ?? target.times.rolledOut ?? target.times.ended ?? over;

// How a stage looks: by what it is, else by its share of the production traffic.
function lookOf({ name, production }) {
  if (name === 'Ready') return 'waits';
  if (name === 'BAKE_TIME' || name === 'Baking') return 'bakes';
  if (/^(ROLLBACK|STOP)_/.test(name)) return 'back';
  return production >= 100 ? 'full' : production > 0 ? 'part' : '';
}

const shortWords = ({ name, production }) => (/PRODUCTION_TRAFFIC_SHIFT$/.test(name) && production > 0 ? `${production} %` : SHORT[name] ?? name);

// As the log has it.
function stageWords({ name, production, test, bake }) {
  const words = [name];
  if (test > 0 && !production) words.push(`${test} % of test traffic`);
  if (production > 0) words.push(`${production} % of production traffic`);
  if (bake > 0) words.push(`bakes for ${duration(bake * 60000)}`);
  return words.join(', ');
}

function pauseWords(pause, target) {
  const words = `${pause.to === null ? 'waits' : 'waited'} at a PAUSE hook${pause.stage ? ` in ${pause.stage}` : ''}`;
  if (pause.to === null) return `${words}${pause.expires ? ` until ${clockTime(pause.expires)}` : ''}${pause.action ? `, then ${pause.action}` : ''}`;
  return `${words} for ${fine(until(pause, target) - pause.from)}${pause.status ? `: ${pause.status}` : ', and was left with its deployment'}`;
}

function piece(kind, one, target, words, tone, ...parts) {
  const element = bar(`${kind}${one.to === null ? ' open' : ''}`, one.from, until(one, target), tone);
  element?.setAttribute('title', `${words} (+${fine(Math.max(0, one.from - begin))}, ${fine(until(one, target) - one.from)})`);
  element?.setAttribute('aria-hidden', 'true');
  element?.append(...parts);
  return element;
}

const pauseBars = (target) => target.pauses.map((pause) => piece('pause', pause, target, pauseWords(pause, target), 'warn', glyph('pause'), el('span', {}, 'waits at PAUSE')));

function stageBars(target) {
  const stages = target.stages.map((stage) => {
    const look = lookOf(stage);
    const element = piece(`stage ${look}`, stage, target, stageWords(stage), look === 'waits' ? 'warn' : target.ending.tone, el('span', {}, shortWords(stage)));
    if (look === 'part') element?.style.setProperty('--share', stage.production / 100);
    return element;
  });
  return [...stages, ...pauseBars(target)];
}

// The course in a few words, for the row that is looked at.
const courseWords = (target) => target.stages.map((stage) => `${shortWords(stage)} ${fine(until(stage, target) - stage.from)}`).concat(target.pauses.map((pause) => pauseWords(pause, target))).join(' · ');

// What a row says to those who do not see its lane.
function pauseNote({ pauses }) {
  if (!pauses.length) return null;
  return el('span', { class: 'unseen' }, pauses.some((pause) => pause.to === null) ? ', waits at a PAUSE hook' : ', waited at a PAUSE hook');
}

function stageList(target) {
  const dim = (words) => el('span', { class: 'dim' }, words);
  const stages = target.stages.map((stage) => [stage.from, [stageWords(stage), dim(stage.to === null ? ', not over when the run left it' : ` ${fine(stage.to - stage.from)}`)]]);
  const pauses = target.pauses.map((pause) => [pause.from, [el('span', { class: 'warn' }, glyph('pause'), ' ', pauseWords(pause, target)),
    pause.to === null ? ['; let it go on with ', el('code', {}, `roleout continue --only ${target.target}`)] : []].flat()]);
  const list = [...stages, ...pauses].toSorted(([one], [other]) => one - other);
  return list.length ? el('ol', { class: 'story' }, list.map(([from, words]) => el('li', {}, since(from), el('span', {}, words)))) : null;
}
