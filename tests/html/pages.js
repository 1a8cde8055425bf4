// The pages under test: real runs of the binary in its sandbox, and one grown from such a run's journal to 5,000 targets.

import { spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

const root = join(import.meta.dirname, '..', '..');
export const directory = join(root, 'target', 'html');
const binary = process.env.ROLEOUT_BIN ?? join(root, 'target', 'debug', 'roleout');

const JOB = {
  GITLAB_CI: 'true', CI_PROJECT_PATH: 'shop/deploy', CI_COMMIT_SHA: '5f2c9d7be0a14c3f8b6d2e91a7c4f05d3b8e6a12', CI_COMMIT_REF_NAME: 'main', CI_PIPELINE_ID: '100200',
  CI_PIPELINE_URL: 'https://gitlab.example.com/shop/deploy/-/pipelines/100200', CI_JOB_ID: '300400', CI_JOB_NAME: 'deploy', CI_JOB_URL: 'https://gitlab.example.com/shop/deploy/-/jobs/300400',
};

const MANIFEST = (rollout) => `version: 1
identity: { token_env: TOKEN, region: eu-west-1 }
roles:
  leaf: { arn: "arn:aws:iam::\${account.id}:role/leaf" }
accounts:
  - { name: dev, id: "200000000001", chain: [leaf], regions: [eu-west-1], labels: { ring: one } }
  - { name: prod-eu, id: "200000000002", chain: [leaf], regions: [eu-west-1, eu-central-1], labels: { ring: two } }
  - { name: prod-us, id: "200000000003", chain: [leaf], regions: [us-east-1], labels: { ring: two } }
  - { name: prod-ap, id: "200000000004", chain: [leaf], regions: [ap-southeast-1], labels: { ring: three } }
services:
  - name: api
    cluster: main
    images: { app: "registry.example.com/api:v2" }
    environment: { app: { LOG_LEVEL: info } }
    before: [ { run_task: migrate, container: app, command: [./migrate, up], per: account } ]
    after: [ { run_task: smoke, container: app, command: [./smoke] } ]
  - { name: web, cluster: main, images: { app: "registry.example.com/web:v2" } }
  - { name: gateway, cluster: edge, images: { app: "registry.example.com/gateway:v2" } }
  - { name: worker, cluster: batch, images: { app: "registry.example.com/worker:v2" } }
  - { name: mailer, cluster: batch, images: { app: "registry.example.com/mailer:v2" } }
rollout:
  timeout: 5s
${rollout}
`;

const WAVES = `  on_failure: rollback
  waves:
    - { name: first, select: { ring: one }, bake: 2s }
    - { name: second, select: { ring: two }, max_failures: 3 }
    - { name: third }`;

const MIXED = ['prod-eu/eu-west-1/web=crash', 'prod-eu/eu-central-1/worker=nopull', 'prod-us/us-east-1/web=crash', 'prod-us/us-east-1/gateway=supersede',
  'prod-us/us-east-1/mailer=no-return', 'prod-eu/eu-west-1/mailer=hang', 'prod-eu/*/gateway=slow:2'];

// Services by ECS's strategies, two of them with a PAUSE hook: one that goes on by itself, one that is left waiting.
const STAGES = MANIFEST(`  waves:
    - { name: first, select: { ring: one }, bake: 2s, max_failures: 5 }
    - { name: rest, max_failures: 100% }`)
  .replace('timeout: 5s', 'timeout: 24s')
  .replace(/    before: .*\n    after: .*\n/, `    deployment:
      strategy: CANARY
      bake_time_in_minutes: 4
      canary_configuration: { canary_percent: 10, canary_bake_time_in_minutes: 2 }
      lifecycle_hooks: [ { target_type: PAUSE, lifecycle_stages: [POST_TEST_TRAFFIC_SHIFT], timeout: { timeout_in_minutes: 1, action: CONTINUE } } ]
`)
  .replace('web:v2" } }', 'web:v2" }, deployment: { strategy: LINEAR, bake_time_in_minutes: 1, linear_configuration: { step_percent: 25, step_bake_time_in_minutes: 1 } } }')
  .replace('gateway:v2" } }', `gateway:v2" }, deployment: { strategy: BLUE_GREEN, bake_time_in_minutes: 1,
      lifecycle_hooks: [ { target_type: PAUSE, lifecycle_stages: [POST_SCALE_UP], timeout: { timeout_in_minutes: 120 } } ] } }`)
  .replace('mailer:v2" } }', `mailer:v2" }, deployment: { strategy: CANARY, bake_time_in_minutes: 1, canary_configuration: { canary_percent: 20, canary_bake_time_in_minutes: 5 },
      alarms: { alarm_names: [errors], enable: true, rollback: true } } }`);

// Runs the binary to its end, and returns its exit code. `signal` is sent once the journal says that a rollout began.
function run(args, { signal, journal } = {}) {
  return new Promise((resolve, reject) => {
    const child = spawn(binary, args, { env: { PATH: process.env.PATH, HOME: process.env.HOME, ...JOB }, stdio: ['ignore', 'ignore', 'pipe'] });
    let said = '';
    child.stderr.on('data', (text) => { said += text; });
    child.on('error', reject);
    child.on('close', (code) => (code === 1 || code === 2 || code === null ? reject(new Error(said)) : resolve(code)));
    if (signal) {
      const wait = setInterval(() => {
        let text = '';
        try { text = readFileSync(journal, 'utf8'); } catch { return; }
        if (text.includes('"deployment_started"')) { clearInterval(wait); child.kill(signal); }
      }, 50);
    }
  });
}

const path = (name) => join(directory, name);
const asJson = (name) => JSON.parse(readFileSync(path(`${name}.json`), 'utf8'));

async function deploy(name, manifest, faults, { only = [], signal, kept } = {}) {
  writeFileSync(path(`${name}.yaml`), manifest);
  writeFileSync(path(`${name}.jsonl`), '');
  const args = ['deploy', '--sandbox', '-f', path(`${name}.yaml`), '--journal', path(`${name}.jsonl`), '--report', `html=${path(`${name}.html`)}`, '--report', `json=${path(`${name}.json`)}`];
  if (kept) args.push('--reports-dir', path(name));
  const code = await run([...args, ...faults.flatMap((fault) => ['--sandbox-fault', fault]), ...only.flatMap((glob) => ['--only', glob])], { signal, journal: path(`${name}.jsonl`) });
  return { name, code, file: path(kept ? `${name}/report.html` : `${name}.html`), report: asJson(name) };
}

// Makes the reports of a journal again, each of its events first changed by `change`, which returns those in its place.
async function again(name, from, change) {
  const events = readFileSync(path(`${from}.jsonl`), 'utf8').trim().split('\n').map((line) => JSON.parse(line)).flatMap(change);
  writeFileSync(path(`${name}.jsonl`), events.map((event, seq) => `${JSON.stringify({ ...event, seq })}\n`).join(''));
  const code = await run(['report', path(`${name}.jsonl`), '--report', `html=${path(`${name}.html`)}`, '--report', `json=${path(`${name}.json`)}`]);
  return { name, code, file: path(`${name}.html`), report: asJson(name) };
}

// Every account so many times, each copy's rollouts a little later than those of the one before.
function grow(times) {
  const one = (number) => `-${String(number).padStart(3, '0')}`;
  const named = (target, number) => target && target.replace('/', `${one(number)}/`);
  const later = (at, number) => new Date(Date.parse(at) + number * 25).toISOString();
  return (stamped) => {
    const { event } = stamped;
    if (event.kind === 'run_started') {
      const waves = event.plan.waves.map((wave) => ({ ...wave, targets: wave.targets * times, changing: wave.changing * times }));
      const changes = event.plan.changes.flatMap((change) => Array.from({ length: times }, (_, number) => (
        { ...change, target: named(change.target, number), account_id: String(Number(change.account_id) + number * 10) })));
      return [{ ...stamped, event: { ...event, plan: { ...event.plan, waves, changes } } }];
    }
    if (!event.target) return [{ ...stamped, event: { ...event, ...(event.cause ? { cause: named(event.cause, 0) } : {}) } }];
    return Array.from({ length: times }, (_, number) => ({ ...stamped, at: later(stamped.at, number), event: { ...event, target: named(event.target, number), ...(event.cause ? { cause: named(event.cause, 0) } : {}) } }));
  };
}

// Text that would be markup, script or the end of an element, wherever a run has text of others.
export const EVIL = '</script><script>evil()</script><!-- "><img src=x onerror=evil()> &lt;b&gt; ${evil()} \u2028';

function poison(stamped) {
  const { event } = stamped;
  if (event.kind === 'run_started') {
    for (const change of event.plan.changes) {
      change.ecs_service = `${EVIL}${change.ecs_service}`;
      change.cluster = EVIL;
      change.summary = [EVIL, `app: image ${EVIL} -> ${EVIL}`];
      change.wave += EVIL;
    }
    for (const wave of event.plan.waves) wave.name += EVIL;
    event.job = { ...event.job, name: EVIL, url: 'javascript:evil()', reference: EVIL };
  }
  if (event.wave) event.wave += EVIL;
  if (event.reason?.summary) Object.assign(event.reason, { summary: EVIL, evidence: [{ text: EVIL, tasks: 1, log: [EVIL] }], help: EVIL });
  if (event.kind === 'service_message') event.text = EVIL;
  if (event.kind !== 'deployment_started') return [stamped];
  const { target } = event;
  const stage = (name) => ({ ...stamped, event: { kind: 'stage_changed', target, stage: name, production_percent: null, test_percent: null, bake_minutes: 0 } });
  const hook = { id: EVIL, stage: EVIL, expires_at: null, timeout_action: EVIL };
  return [stamped, stage('Ready'), stage(EVIL), { ...stamped, event: { kind: 'hook_waiting', target, hook, continued: false } }];
}

// The end of a container's log, which the sandbox has only for containers with awslogs.
export const LOGGED = { target: 'prod-eu/eu-west-1/web', line: '2026-11-29 21:00:00 FATAL relation "orders" does not exist' };

function log(stamped) {
  const { event } = stamped;
  if (event.kind === 'rollout_finished' && event.target === LOGGED.target) {
    Object.assign(event.reason, { summary: 'app exits with 3', cause: 'app exits with 3', evidence: [{ text: 'app exited with 3', tasks: 2, log: ['starting', LOGGED.line] }] });
  }
  return [stamped];
}

export async function pages() {
  mkdirSync(directory, { recursive: true });
  const whole = MANIFEST(WAVES);
  const [mixed, five, cancelled, refused, faulty, stages] = await Promise.all([
    deploy('mixed', whole, MIXED),
    deploy('five', `${whole}console: { portal: 'https://example.awsapps.com/start', role: ReadOnly }\n`, ['dev/*/web=crash'], { only: ['dev/*'], kept: true }),
    deploy('cancelled', whole, ['*=slow:20'], { signal: 'SIGINT' }),
    deploy('refused', whole, ['prod-us/*/*=wrong-account']),
    deploy('faulty', whole.replace('cluster: main', 'cluser: main'), []),
    deploy('stages', STAGES, ['*/*/mailer=alarm']),
  ]);
  const [one, evil, logged, fleet, courses] = await Promise.all([
    deploy('one', whole, [], { only: ['dev/eu-west-1/web'] }), again('evil', 'mixed', poison), again('logged', 'mixed', log), again('fleet', 'mixed', grow(200)), again('courses', 'stages', grow(12)),
  ]);
  return { mixed, five, cancelled, refused, faulty, stages, one, evil, logged, fleet, courses };
}

export const digest = (text) => `sha256-${createHash('sha256').update(text).digest('base64')}`;
