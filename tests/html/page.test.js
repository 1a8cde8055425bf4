// The HTML report in a real browser: what it shows, what it lets through, and that it asks for nothing.

import assert from 'node:assert/strict';
import { mkdtempSync, readFileSync, rmSync, statSync } from 'node:fs';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { pathToFileURL } from 'node:url';
import { chromium } from 'playwright-core';

import { EVIL, LOGGED, digest, directory, pages } from './pages.js';

const axe = readFileSync(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8');
const DESK = { width: 1440, height: 900 };
const PHONE = { width: 360, height: 780 };

let browser;
let made;
const profile = mkdtempSync(join(tmpdir(), 'roleout-html-'));

before(async () => {
  const args = ['--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking', '--disable-component-update', '--disable-sync'];
  [browser, made] = await Promise.all([chromium.launch({ executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium', args, env: { ...process.env, HOME: profile } }), pages()]);
});
after(async () => {
  await browser?.close();
  rmSync(profile, { recursive: true, force: true });
});

// Opens a page in a browser that knows nothing yet, and holds it to its promises when it is closed: no message in the
// console, no error, and nothing asked for beside the file itself.
async function open(name, use, { hash = '', viewport = DESK, colorScheme = 'light', ...more } = {}) {
  const context = await browser.newContext({ viewport, colorScheme, ...more });
  const page = await context.newPage();
  const faults = [];
  const address = pathToFileURL(made[name].file).href;
  page.on('console', (message) => faults.push(`${message.type()}: ${message.text()}`));
  page.on('pageerror', (error) => faults.push(`error: ${error.stack}`));
  page.on('request', (request) => { if (request.url() !== address && !request.url().startsWith('data:')) faults.push(`request: ${request.url()}`); });
  try {
    await page.goto(address + hash);
    const result = await use(page);
    assert.deepEqual(faults, []);
    return result;
  } finally {
    await context.close();
  }
}

// What an action changes, the page shows at its next frame, whenever that is: an assertion holds as soon as it passes.
async function eventually(holds) {
  for (const until = Date.now() + 30_000; ;) {
    try {
      return await holds();
    } catch (error) {
      if (error.code !== 'ERR_ASSERTION' || Date.now() > until) throw error;
      await sleep(20);
    }
  }
}

const shot = (page, name, options = {}) => page.screenshot({ path: join(directory, `${name}.png`), ...options });
const shown = (page) => page.locator('#shown').textContent();
const rowNames = (page) => page.locator('.row.target .name').evaluateAll((names) => names.map((name) => name.title));
const focused = (page) => page.evaluate(() => document.activeElement.querySelector?.('.name')?.title || document.activeElement.querySelector?.('.name')?.textContent || document.activeElement.id);
const scrollTo = (page, selector) => page.locator(selector).evaluate((element) => element.scrollIntoView());

async function accessible(page, what) {
  // Inline scripts are what the page's policy refuses, so this one comes in by the debugger.
  await page.evaluate(axe);
  const { violations } = await page.evaluate(() => globalThis.axe.run(document, { runOnly: ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'wcag22aa', 'best-practice'] }));
  assert.deepEqual(violations.map((one) => `${one.id}: ${one.nodes.map((node) => `${node.target} ${node.failureSummary}`).join('\n')}`), [], what);
}

// The contrast of every text on what is behind it, as WCAG 2 reckons it: what is below the least that it asks for.
const pale = (page) => page.evaluate(() => {
  const canvas = document.createElement('canvas').getContext('2d', { willReadFrequently: true });
  const parts = (colour) => { canvas.clearRect(0, 0, 1, 1); canvas.fillStyle = colour; canvas.fillRect(0, 0, 1, 1); return [...canvas.getImageData(0, 0, 1, 1).data]; };
  const over = ([r, g, b, a], [R, G, B]) => [r, g, b].map((part, place) => (part * a + [R, G, B][place] * (255 - a)) / 255);
  const light = (colour) => colour.map((part) => part / 255).map((part) => (part <= 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4)).reduce((sum, part, place) => sum + part * [0.2126, 0.7152, 0.0722][place], 0);
  const behind = (element) => {
    const layers = [];
    for (let one = element; one; one = one.parentElement) layers.push(parts(getComputedStyle(one).backgroundColor));
    return layers.reverse().reduce((below, layer) => over(layer, below), [255, 255, 255]);
  };
  const found = [];
  for (const element of document.querySelectorAll('body *')) {
    const hasText = [...element.childNodes].some((node) => node.nodeType === 3 && node.data.trim());
    if (!(hasText || element.matches('svg.glyph, .bar, .mark')) || !element.checkVisibility() || element.matches('script, :disabled')) continue;
    const style = getComputedStyle(element);
    // A text stands on its element; a bar on the lane.
    const ground = behind(hasText ? element : element.parentElement);
    const [red, green, blue, alpha] = parts(style.color);
    const [one, other] = [light(over([red, green, blue, alpha * style.opacity], ground)), light(ground)].sort((a, b) => b - a);
    const contrast = (one + 0.05) / (other + 0.05);
    if (contrast < (hasText ? 4.5 : 3)) found.push(`${element.className?.baseVal ?? element.className} ${element.textContent.slice(0, 40)}: ${contrast.toFixed(2)}`);
  }
  return found;
});

describe('every page', { concurrency: 2 }, () => {
  for (const name of ['one', 'five', 'mixed', 'cancelled', 'refused', 'stages', 'fleet', 'courses', 'evil']) {
    for (const colorScheme of ['light', 'dark']) {
      test(`${name}, ${colorScheme}: quiet, accessible, and of enough contrast`, () => open(name, async (page) => {
        await eventually(async () => assert.deepEqual(await pale(page), []));
        await shot(page, `${name}-${colorScheme}`);
        await scrollTo(page, '#targets');
        await shot(page, `${name}-${colorScheme}-timeline`);
        await page.locator('.row.target').first().click();
        // Of the colours, `pale` looks at more; all else is the same in both.
        if (colorScheme === 'light') await accessible(page, name);
        await eventually(async () => assert.deepEqual(await pale(page), []));
        await shot(page, `${name}-${colorScheme}-opened`);
      }, { colorScheme }));
    }
  }

  test('faulty: a run without a timeline is as quiet, in light, in dark, and in between', () => open('faulty', async (page) => {
    await eventually(async () => assert.equal(await page.locator('#targets').count(), 0));
    for (const theme of ['light', 'dark', 'auto']) {
      await page.locator('#theme').click();
      await eventually(async () => assert.equal(await page.locator('#theme').textContent(), `Theme: ${theme}`));
      await eventually(async () => assert.deepEqual(await pale(page), []));
    }
    await page.emulateMedia({ colorScheme: 'dark' });
    await shot(page, 'faulty-dark');
    await accessible(page, 'faulty');
  }));

  test('the address of the policy: no script but its own, and no way out', () => open('mixed', async (page) => {
    const text = readFileSync(made.mixed.file, 'utf8');
    const script = text.slice(text.lastIndexOf('<script>') + 8, text.lastIndexOf('</script>'));
    const policy = await page.locator('meta[http-equiv]').getAttribute('content');
    assert.equal(policy, `default-src 'none'; script-src '${digest(script)}'; style-src '${digest(/<style>([^]*?)<\/style>/.exec(text)[1])}'; img-src data:; base-uri 'none'; form-action 'none'`);
    assert.ok(!/(?:src|href)="(?!#|data:|https:\/\/gitlab\.example\.com\/)/.test(text.slice(0, text.indexOf('id="data"'))));
    assert.doesNotMatch(text, /TOKEN|eyJ/);
  }));

  test('what the browser refuses when something is added to the page', async () => {
    const context = await browser.newContext();
    const page = await context.newPage();
    await page.goto(pathToFileURL(made.one.file).href);
    const said = await page.evaluate(async () => {
      const fetched = await fetch('https://example.com/').then(() => 'fetched', () => 'refused');
      const script = document.createElement('script');
      script.textContent = 'globalThis.added = true';
      document.body.append(script);
      return [fetched, globalThis.added];
    });
    assert.deepEqual(said, ['refused', undefined]);
    await context.close();
  });
});

describe('the summary', () => {
  test('says the verdict, the counts, the links and why', () => open('mixed', async (page) => {
    const { report } = made.mixed;
    await eventually(async () => assert.equal(await page.locator('h1').innerText(), report.verdict.words));
    const totals = await page.locator('.totals li').allInnerTexts();
    assert.deepEqual(totals.map((text) => text.replace(/\s+/g, ' ')), Object.entries(report.totals).reverse().map(([word, number]) => `${number} ${word.replace('_', ' ')}`));
    await eventually(async () => assert.equal(await page.getByRole('link', { name: '#100200' }).getAttribute('href'), 'https://gitlab.example.com/shop/deploy/-/pipelines/100200'));
    await eventually(async () => assert.equal(await page.getByRole('link', { name: '5f2c9d7be0a1', exact: true }).getAttribute('href'), 'https://gitlab.example.com/shop/deploy/-/commit/5f2c9d7be0a14c3f8b6d2e91a7c4f05d3b8e6a12'));
    await eventually(async () => assert.match(await page.locator('.callout').innerText(), /^Halted in wave second: 4 failed, 3 allowed\. The first was prod-us\/us-east-1\/gateway\.$/));
    const first = page.locator('.why').first();
    await eventually(async () => assert.match(await first.locator('h3').innerText(), /^stuck: the rollback failed/));
    await eventually(async () => assert.deepEqual(await first.locator('.names a').allInnerTexts(), ['prod-us/us-east-1/mailer']));
    await eventually(async () => assert.deepEqual(await page.locator('#waves tbody tr td:nth-child(3)').allInnerTexts(), ['passed', 'halted by prod-us/us-east-1/gateway', 'not started']));
  }));

  test('has each reason once, whatever the ids of the deployments', () => open('cancelled', async (page) => {
    const headings = await page.locator('.why h3').allInnerTexts();
    assert.equal(new Set(headings).size, headings.length);
    assert.ok(headings.some((text) => text === 'detached: the run was cancelled; its deployment goes on in ECS'), headings.join('\n'));
    await eventually(async () => assert.match(await page.locator('.callout').innerText(), /^Cancelled by SIGINT\./));
  }));

  test('says why a run was refused, and what to do', () => open('refused', async (page) => {
    const said = await page.locator('.callout').innerText();
    assert.match(said, /^Refused: nothing was changed/);
    assert.match(said, /Help: correct the id or the chain of `prod-us`/);
  }));

  test('is there without JavaScript', () => open('mixed', async (page) => {
    await eventually(async () => assert.equal(await page.locator('.why').count(), new Set(made.mixed.report.targets.filter((target) => target.reason !== null).map((target) => target.outcome + target.reason)).size));
    await page.getByText('need JavaScript').waitFor({ state: 'visible' });
    await eventually(async () => assert.ok(await page.locator('#targets').isHidden()));
    await eventually(async () => assert.ok(await page.locator('#theme').isHidden()));
  }, { javaScriptEnabled: false }));
});

describe('the filter', () => {
  const ways = [
    ['account', 'prod-eu'], ['region', 'us-east-1'], ['service', 'api'], ['wave', 'second'],
  ];
  for (const [key, value] of ways) {
    test(`narrows by ${key} as the data says`, () => open('mixed', async (page) => {
      await page.locator(`#${key}`).selectOption(value);
      const expected = made.mixed.report.targets.filter((target) => target[key] === value).map((target) => target.target);
      await eventually(async () => assert.deepEqual((await rowNames(page)).sort(), expected.sort()));
      await eventually(async () => assert.equal(await shown(page), `${expected.length} of 25 targets`));
      await eventually(async () => assert.equal(new URL(page.url()).hash, `#${key}=${value}`));
    }));
  }

  test('narrows by outcomes and words, says so in the address, and is cleared', () => open('mixed', async (page) => {
    await page.locator('[data-outcome=rolled_back]').click();
    await page.locator('[data-outcome=stuck]').click();
    const bad = made.mixed.report.targets.filter((target) => ['rolled_back', 'stuck'].includes(target.outcome)).map((target) => target.target);
    await eventually(async () => assert.deepEqual((await rowNames(page)).sort(), bad.sort()));
    await eventually(async () => assert.equal(await page.locator('[data-outcome=stuck]').getAttribute('aria-pressed'), 'true'));
    await page.locator('#q').fill('MAILER us-east');
    await eventually(async () => assert.deepEqual(await rowNames(page), ['prod-us/us-east-1/mailer']));
    await page.waitForURL(/#q=MAILER%20us-east&outcome=rolled_back,stuck$/);
    const address = page.url();
    await page.locator('#q').fill('no such thing');
    await eventually(async () => assert.ok(await page.getByText('No target matches.').isVisible()));
    await page.getByRole('button', { name: 'Clear the filter' }).click();
    await eventually(async () => assert.equal((await rowNames(page)).length, 25));
    await page.goto('about:blank');
    await page.goto(address);
    await eventually(async () => assert.deepEqual(await rowNames(page), ['prod-us/us-east-1/mailer']));
  }));

  test('looks through reasons and changes, too', () => open('mixed', async (page) => {
    await page.locator('#q').fill('took its place');
    await eventually(async () => assert.deepEqual(await rowNames(page), ['prod-us/us-east-1/gateway']));
    await page.locator('#q').fill('log_level added');
    await eventually(async () => assert.equal(await shown(page), '5 of 25 targets'));
  }));

  test('looks through the ends of logs, and the match is on the page', () => open('logged', async (page) => {
    await page.locator('#q').fill('relation "orders"');
    await eventually(async () => assert.deepEqual(await rowNames(page), [LOGGED.target]));
    await page.locator('.row.target').first().click();
    await eventually(async () => assert.match(await page.locator('#detail pre.log').innerText(), /relation "orders" does not exist$/));
    await page.locator('#q').fill('relation "invoices"');
    await eventually(async () => assert.ok(await page.getByText('No target matches.').isVisible()));
  }));

  test('leaves itself be when a part of the page is gone to', () => open('mixed', async (page) => {
    await page.getByRole('link', { name: 'Reasons' }).click();
    await eventually(async () => assert.equal(await shown(page), '1 of 25 targets'));
  }, { hash: '#q=took%20its%20place' }));
});

describe('the keyboard', () => {
  test('reaches everything: the filter, the rows, a target and the way back', () => open('mixed', async (page) => {
    await page.keyboard.press('/');
    await eventually(async () => assert.equal(await focused(page), 'q'));
    await page.keyboard.type('200000000003');
    await page.keyboard.press('Enter');
    await eventually(async () => assert.equal(await focused(page), 'second'));
    await page.keyboard.press('ArrowDown');
    await eventually(async () => assert.match(await focused(page), /^prod-us/));
    await page.keyboard.press('ArrowLeft');
    await eventually(async () => assert.equal(await page.evaluate(() => document.activeElement.getAttribute('aria-expanded')), 'false'));
    await eventually(async () => assert.deepEqual(await rowNames(page), []));
    await page.keyboard.press('ArrowRight');
    await page.keyboard.press('ArrowRight');
    await eventually(async () => assert.equal(await focused(page), 'prod-us/us-east-1/mailer'));
    await page.keyboard.press('End');
    await page.keyboard.press('Home');
    await page.keyboard.press('ArrowDown');
    await page.keyboard.press('ArrowDown');
    await page.keyboard.press('Enter');
    await eventually(async () => assert.equal(await page.locator('#detail-title').innerText(), 'prod-us/us-east-1/mailer'));
    await eventually(async () => assert.equal(await focused(page), 'detail-title'));
    await eventually(async () => assert.match(page.url(), /target=prod-us\/us-east-1\/mailer/));
    await page.keyboard.press('j');
    await eventually(async () => assert.equal(await page.locator('#detail-title').innerText(), 'prod-us/us-east-1/web'));
    await page.keyboard.press('k');
    await page.keyboard.press('Escape');
    await eventually(async () => assert.ok(await page.locator('#detail').isHidden()));
    await eventually(async () => assert.equal(await focused(page), 'prod-us/us-east-1/mailer'));
    await page.keyboard.press('ArrowLeft');
    await eventually(async () => assert.match(await focused(page), /^prod-us/));
  }));

  test('goes through the page by Tab in its order, the rows as one stop, and each stop is seen', () => open('mixed', async (page) => {
    const stops = [];
    for (let number = 0; number < 60; number += 1) {
      await page.keyboard.press('Tab');
      const stop = await page.evaluate(() => {
        const { activeElement: element } = document;
        if (element === document.body) return null;
        const style = getComputedStyle(element);
        return { what: element.id || element.dataset.outcome || element.className.split(' ')[0] || element.tagName, seen: style.outlineStyle !== 'none' && parseFloat(style.outlineWidth) >= 2 };
      });
      if (!stop) break;
      assert.ok(stop.seen, `${stop.what} has no visible focus`);
      stops.push(stop.what);
    }
    assert.equal(stops.filter((what) => what === 'row').length, 1);
    const order = ['q', 'account', 'region', 'service', 'wave', 'stuck', 'in', 'row'];
    assert.deepEqual(stops.filter((what) => order.includes(what)), order);
  }));

  test('zooms and moves in time', () => open('mixed', async (page) => {
    const whole = await page.locator('#ticks').innerText();
    await page.keyboard.press('+');
    await eventually(async () => assert.match(await page.locator('#window').innerText(), / of /));
    await eventually(async () => assert.notEqual(await page.locator('#ticks').innerText(), whole));
    const before = page.url();
    await page.keyboard.press('Shift+ArrowRight');
    await eventually(async () => assert.notEqual(page.url(), before));
    await page.keyboard.press('0');
    await eventually(async () => assert.equal(await page.locator('#ticks').innerText(), whole));
    await eventually(async () => assert.doesNotMatch(page.url(), /from=/));
  }));
});

describe('the timeline', () => {
  test('has the moments of targets, bakes, tasks, ways back and the halt where they were', () => open('mixed', async (page) => {
    const { report } = made.mixed;
    const times = report.waves.map((wave) => [wave.started_at, wave.bake_started_at, wave.ended_at].map((time) => time && Date.parse(time)));
    const begin = Date.parse(report.run.started_at);
    const boxes = (row, what) => page.locator('.row').filter({ has: page.locator(`[title="${row}"]`) }).first().locator(what).evaluateAll((bars) => bars.map((bar) => [parseFloat(bar.style.left), parseFloat(bar.style.width)]));
    const over = (Date.parse(report.run.ended_at) - begin) * 1.02;
    const near = ([left, width], from, to) => assert.ok(Math.abs(left - ((from - begin) / over) * 100) < 0.5 && Math.abs(left + width - ((to - begin) / over) * 100) < 0.5, `${left} ${width}`);
    near((await boxes('first', '.bar.bake'))[0], times[0][1], times[0][2]);
    near((await boxes('dev/eu-west-1/web', '.bar.bake'))[0], Date.parse(report.targets.find((target) => target.target === 'dev/eu-west-1/web').rolled_out_at), times[0][2]);
    const stuck = report.targets.find((target) => target.outcome === 'stuck');
    near((await boxes(stuck.target, '.bar.rollback'))[0], Date.parse(stuck.rollback.started_at), Date.parse(stuck.ended_at));
    await eventually(async () => assert.equal((await boxes('dev/eu-west-1/api', '.bar.task')).length, 2));
    await eventually(async () => assert.equal(await page.getByText('halted', { exact: true }).count(), 1));
    await eventually(async () => assert.equal((await boxes('prod-ap/ap-southeast-1/api', '.bar')).length, 0));
  }));

  test('is zoomed by drawing on the overview, and by the wheel with Ctrl', () => open('mixed', async (page) => {
    await scrollTo(page, '#targets');
    const box = await page.locator('#overview').boundingBox();
    await page.mouse.move(box.x + box.width * 0.1, box.y + 10);
    await page.mouse.down();
    await page.mouse.move(box.x + box.width * 0.3, box.y + 10, { steps: 4 });
    await page.mouse.up();
    await page.waitForURL(/from=\d+&to=\d+/);
    const [from, to] = /from=(\d+)&to=(\d+)/.exec(page.url()).slice(1).map(Number);
    const whole = (Date.parse(made.mixed.report.run.ended_at) - Date.parse(made.mixed.report.run.started_at)) * 1.02;
    await eventually(async () => assert.ok(Math.abs(from / whole - 0.1) < 0.02 && Math.abs(to / whole - 0.3) < 0.02, page.url()));
    await shot(page, 'mixed-zoomed');
    await page.mouse.click(box.x + 50, box.y + 10);
    await eventually(async () => assert.doesNotMatch(page.url(), /from=/));
    await page.mouse.move(box.x + box.width / 2, box.y + 120);
    await page.keyboard.down('Control');
    await page.mouse.wheel(0, -100);
    await page.waitForURL(/from=/);
  }));
});

describe('the stages of a deployment', () => {
  const [API, WEB, GATEWAY, MAILER, WORKER] = ['api', 'web', 'gateway', 'mailer', 'worker'].map((service) => `dev/eu-west-1/${service}`);
  const target = (name) => made.stages.report.targets.find((one) => one.target === name);
  const pieces = (page, name, what) => page.locator('.row').filter({ has: page.locator(`[title="${name}"]`) }).locator(what);
  const boxes = (locator) => locator.evaluateAll((bars) => bars.map((bar) => [parseFloat(bar.style.left), parseFloat(bar.style.left) + parseFloat(bar.style.width)]));
  // Words that have no room wrap below the piece, where they are cut off.
  const seen = (locator) => locator.evaluateAll((words) => words.filter((one) => one.offsetTop < one.parentElement.clientHeight - 1).map((one) => one.textContent));

  test('are where they were, with the words of the log, and so is what waited', () => open('stages', async (page) => {
    const begin = Date.parse(made.stages.report.run.started_at);
    const whole = (Date.parse(made.stages.report.run.ended_at) - begin) * 1.02;
    const share = (time) => ((Date.parse(time) - begin) / whole) * 100;
    for (const [name, waited] of [[API, 1], [WEB, 0], [GATEWAY, 1], [MAILER, 0]]) {
      const { stages, pauses = [], rolled_out_at: end, events } = target(name);
      assert.equal(pauses.length, waited, name);
      for (const [what, parts] of [['.bar.stage', stages], ['.bar.pause', pauses]]) {
        const drawn = await boxes(pieces(page, name, what));
        const wanted = parts.map((part) => [share(part.started_at), share(part.ended_at ?? end)]);
        assert.ok(drawn.length === wanted.length && drawn.every((box, place) => box.every((edge, side) => Math.abs(edge - wanted[place][side]) < 0.3)), `${name} ${what} ${JSON.stringify([drawn, wanted])}`);
      }
      const titles = await pieces(page, name, '.bar.stage').evaluateAll((bars) => bars.map((bar) => bar.title.replace(/ \(.*$/, '')));
      const log = events.map((event) => event.text);
      assert.deepEqual(titles.filter((title) => !log.includes(title)), [], name);
    }
    await eventually(async () => assert.equal(await pieces(page, WORKER, '.bar.stage, .bar.pause, .bar.span').count(), 0, 'ROLLING is one bar'));
    await eventually(async () => assert.match(await pieces(page, GATEWAY, '.bar.pause').getAttribute('title'), /^waits at a PAUSE hook in POST_SCALE_UP until .* UTC, then ROLLBACK/));
    await eventually(async () => assert.match(await pieces(page, API, '.bar.pause').getAttribute('title'), /^waited at a PAUSE hook in POST_TEST_TRAFFIC_SHIFT for .*: TIMED_OUT/));
  }));

  test("tell ECS's bake from the wave's, the way back from the way on, and shares of the traffic", () => open('stages', async (page) => {
    await eventually(async () => assert.equal(await pieces(page, API, '.bar.stage.bakes').count(), 1));
    await eventually(async () => assert.equal(await pieces(page, API, '.bar.bake').count(), 1));
    const backgrounds = await Promise.all(['.bar.stage.bakes', '.bar.bake'].map((what) => pieces(page, API, what).evaluate((bar) => getComputedStyle(bar).backgroundImage)));
    assert.notEqual(...backgrounds);
    // A stage that is over between two polls is not seen, here as in the events.
    const back = target(MAILER).stages.filter((stage) => /^(ROLLBACK|STOP)_/.test(stage.name)).length;
    await eventually(async () => assert.equal(await pieces(page, MAILER, '.bar.stage.back').count(), back));
    const shares = await pieces(page, WEB, '.bar.stage.part').evaluateAll((bars) => bars.map((bar) => Number(bar.style.getPropertyValue('--share'))));
    assert.deepEqual(shares, target(WEB).stages.map((stage) => stage.production_percent / 100).filter((part) => part > 0 && part < 1));
    const legend = await page.locator('#legend').innerText();
    for (const words of ['stage of a deployment', "ECS's own bake", 'bake of the wave', 'waiting at a PAUSE hook']) assert.ok(legend.includes(words), legend);
  }));

  test('have their words where there is room for them', () => open('stages', async (page) => {
    await eventually(async () => assert.deepEqual(await seen(pieces(page, GATEWAY, '.bar.pause span')), ['waits at PAUSE']));
    const before = await seen(pieces(page, API, '.bar.stage span'));
    const { started_at: from, rolled_out_at: to } = target(API);
    const begin = Date.parse(made.stages.report.run.started_at);
    await page.goto(`${page.url()}#account=dev&from=${Date.parse(from) - begin}&to=${Date.parse(to) - begin}`);
    await eventually(async () => {
      const after = await seen(pieces(page, API, '.bar.stage span'));
      assert.ok(after.length > before.length && after.includes('10 %') && after.includes('ECS bakes'), `${before} / ${after}`);
    });
    await scrollTo(page, '#targets');
    await shot(page, 'stages-zoomed');
  }));

  test('are said in full for the row that has the focus, and in its details', () => open('stages', async (page) => {
    await page.keyboard.press('/');
    await page.keyboard.type('dev pause');
    await eventually(async () => assert.deepEqual((await rowNames(page)).sort(), [API, GATEWAY]));
    await page.keyboard.press('Enter');
    await page.keyboard.press('End');
    await eventually(async () => assert.equal(await focused(page), API));
    await eventually(async () => assert.match(await page.locator('#course').innerText(), /scaling up .*10 % .*ECS bakes/s));
    await eventually(async () => assert.match(await pieces(page, API, '.label').innerText(), /waited at a PAUSE hook/));
    await page.keyboard.press('Enter');
    const said = await page.locator('#detail').innerText();
    for (const { name } of target(API).stages) assert.ok(said.includes(name), name);
    for (const text of ['PRODUCTION_TRAFFIC_SHIFT, 10 % of production traffic, bakes for 2m', 'waited at a PAUSE hook in POST_TEST_TRAFFIC_SHIFT']) assert.ok(said.includes(text), said);
    await page.keyboard.press('k');
    await eventually(async () => assert.ok((await page.locator('#detail').innerText()).includes(`let it go on with roleout continue --only ${GATEWAY}`)));
  }));

  test('are not spoken of where there are none', () => open('mixed', async (page) => {
    await eventually(async () => assert.doesNotMatch(await page.locator('#legend').innerText(), /stage|PAUSE|wave/));
    await page.locator('.row.target').first().click();
    await eventually(async () => assert.equal(await page.getByText('Stages', { exact: true }).count(), 0));
  }));

  test('of others are text', () => open('evil', async (page) => {
    const name = made.evil.report.targets.find((one) => one.pauses?.length).target;
    await page.goto(`${page.url()}#target=${encodeURIComponent(name)}`);
    await eventually(async () => assert.ok((await page.locator('#detail').innerText()).includes('waited at a PAUSE hook in </script><script>evil()')));
    await eventually(async () => assert.equal(await page.evaluate(() => typeof globalThis.evil), 'undefined'));
    await eventually(async () => assert.ok((await page.locator('#legend').innerText()).includes('waiting for a reroute')));
  }));
});

describe('a target', () => {
  test('is opened by a link, with its reason, changes, tasks and every event', () => open('mixed', async (page) => {
    const target = made.mixed.report.targets.find((one) => one.target === 'prod-eu/eu-central-1/worker');
    const said = await page.locator('#detail').innerText();
    for (const text of ['rolled back', 'worker:26', target.deployment, 'app: image', '+ registry.example.com/worker:v2', made.mixed.report.reasons[target.reason].summary]) assert.ok(said.includes(text), text);
    for (const event of target.events) assert.ok(said.includes(event.text), event.text);
    await eventually(async () => assert.equal(await page.getByRole('link', { name: 'Deployments in the console' }).getAttribute('href'), target.console));
    await eventually(async () => assert.ok(await page.locator('.row.open').isVisible()));
  }, { hash: '#target=prod-eu/eu-central-1/worker' }));

  test('is where the links of reasons lead, and the browser goes back', () => open('mixed', async (page) => {
    await page.locator('.why .names a', { hasText: 'prod-us/us-east-1/mailer' }).click();
    await eventually(async () => assert.equal(await page.locator('#detail-title').innerText(), 'prod-us/us-east-1/mailer'));
    await page.goBack();
    await page.locator('#detail').waitFor({ state: 'hidden' });
    await page.locator('.row.target').first().click();
    await page.getByRole('button', { name: 'Next target' }).click();
    await page.getByRole('button', { name: 'Close' }).click();
    await eventually(async () => assert.ok(await page.locator('#detail').isHidden()));
  }));
});

test('text of others stays text', () => open('evil', async (page) => {
  await eventually(async () => assert.equal(await page.evaluate(() => typeof globalThis.evil), 'undefined'));
  await eventually(async () => assert.equal(await page.locator('img').count(), 0));
  await eventually(async () => assert.equal(await page.locator('script').count(), 2));
  const shape = EVIL.replaceAll(/\s+/g, ' ').trim();
  const text = async (selector) => (await page.locator(selector).first().innerText()).replaceAll(/\s+/g, ' ');
  await eventually(async () => assert.ok((await text('.why h3')).includes(shape.slice(0, -2))));
  await eventually(async () => assert.ok((await text('#waves')).includes('</script><script>evil()')));
  await eventually(async () => assert.equal(await page.locator('a[href^="javascript"]').count(), 0));
  await page.locator('.row.target').first().click();
  await eventually(async () => assert.ok((await text('#detail .changes')).includes('<img src=x onerror=evil()>')));
  await eventually(async () => assert.ok((await text('#detail')).includes('&lt;b&gt; ${evil()}')));
  await eventually(async () => assert.equal(await page.locator('#detail img, #detail script, #detail b b').count(), 0));
  await page.locator('#q').fill('<img src=x onerror=evil()>');
  await eventually(async () => assert.equal(await shown(page), '25 targets'));
}));

describe('what a reader looks for', () => {
  test('is found in what was found of a failure', () => open('mixed', async (page) => {
    const { report } = made.mixed;
    const having = (words) => report.targets.filter(({ reason }) => reason !== undefined && reason !== null && report.reasons[reason].evidence.some(({ text, log }) => [text, ...(log ?? [])].some((line) => line.includes(words))));
    for (const words of ['CannotPullContainerError', 'Essential container in task exited']) {
      assert.ok(having(words).length > 0, words);
      await page.locator('#q').fill(words);
      await eventually(async () => assert.deepEqual((await rowNames(page)).toSorted(), having(words).map(({ target }) => target).toSorted()));
    }
  }));

  test('is where the log file of a target is, and its console in its account', () => open('five', async (page) => {
    await page.locator('.row.target .name[title="dev/eu-west-1/web"]').click();
    const href = await page.getByRole('link', { name: 'Log of this run' }).getAttribute('href');
    assert.equal(href, 'log/dev/eu-west-1/main.web.log');
    assert.match(readFileSync(join(directory, 'five', href), 'utf8'), /^dev\/eu-west-1\/web in wave first: /);
    const console = new URL(await page.getByRole('link', { name: 'Deployments in the console' }).getAttribute('href'));
    assert.equal(console.origin + console.pathname, 'https://example.awsapps.com/start/');
    const said = new URLSearchParams(console.hash.slice('#/console?'.length));
    assert.deepEqual([said.get('account_id'), said.get('role_name')], ['200000000001', 'ReadOnly']);
    assert.match(said.get('destination'), /^https:\/\/eu-west-1\.console\.aws\.amazon\.com\/ecs\/v2\/clusters\/main\/services\/web\/deployments/);
  }));

  test('is not linked where there is none beside the page', () => open('mixed', async (page) => {
    await page.locator('.row.target').first().click();
    await eventually(async () => assert.equal(await page.getByRole('link', { name: 'Logs' }).count(), 1));
    assert.equal(await page.getByRole('link', { name: 'Log of this run' }).count(), 0);
  }));

  test('is what a wave passed with', () => open('stages', async (page) => {
    const { report } = made.stages;
    const failures = (wave) => report.targets.filter((target) => target.wave === wave.name && ['superseded', 'timed_out', 'rolled_back', 'failed', 'stuck'].includes(target.outcome)).length;
    const words = report.waves.filter((wave) => wave.passed).map((wave) => (failures(wave) ? `passed with ${failures(wave)} failure${failures(wave) === 1 ? '' : 's'}` : 'passed'));
    assert.ok(words.some((word) => word !== 'passed'), words.join());
    await eventually(async () => assert.deepEqual((await page.locator('#waves tbody tr td:nth-child(3)').allInnerTexts()).filter((word) => word.startsWith('passed')), words));
    assert.equal(await page.locator('#waves tbody tr td:nth-child(3) svg.warn').count(), words.filter((word) => word !== 'passed').length);
  }));

  test('is in sight where a link asks for it', () => open('fleet', async (page) => {
    await eventually(async () => assert.ok(await page.evaluate(() => { const { top } = document.querySelector('.row.target').getBoundingClientRect(); return top > 0 && top < innerHeight; })));
    assert.deepEqual([...new Set(await page.locator('.row.target .word').allInnerTexts())], ['rolled back']);
  }, { hash: '#outcome=rolled_back' }));

  for (const name of ['mixed', 'stages']) {
    test(`is not cut on a wide screen: ${name}`, () => open(name, async (page) => {
      const cut = () => page.evaluate(() => [...document.querySelectorAll('.row .name > *, .row .revision, .row .word span')].filter((one) => one.checkVisibility() && one.className !== 'unseen' && one.scrollWidth > one.clientWidth + 1 && one.clientWidth > 0).map((one) => one.textContent));
      await eventually(async () => assert.ok((await page.locator('.row.target').count()) > 0));
      assert.deepEqual(await cut(), []);
    }, { viewport: { width: 1920, height: 1080 } }));
  }
});

describe('five thousand targets', () => {
  test('are there at once, in a small document, and all can be reached', () => open('fleet', async (page) => {
    assert.ok(statSync(made.fleet.file).size < 10_000_000, `${statSync(made.fleet.file).size} bytes`);
    await eventually(async () => assert.equal(await shown(page), '5,000 targets'));
    await eventually(async () => assert.ok((await page.locator('.row').count()) < 200));
    await scrollTo(page, '#targets');
    // Failures first, in each wave.
    await eventually(async () => assert.equal(await page.locator('.row.wave .name').nth(0).innerText(), 'first'));
    await page.locator('#rows [tabindex="0"]').focus();
    await page.keyboard.press('End');
    await eventually(async () => {
      const last = await page.evaluate(() => [document.activeElement.getAttribute('aria-rowindex'), document.querySelector('#rows').getAttribute('aria-rowcount')]);
      assert.equal(last[0], last[1]);
    });
    await eventually(async () => assert.ok((await page.locator('.row').count()) < 200));
    await page.evaluate(() => scrollTo(0, document.body.scrollHeight / 2));
    await page.waitForFunction(() => [...document.querySelectorAll('.row')].filter((row) => { const { top } = row.getBoundingClientRect(); return top > 0 && top < innerHeight; }).length > 15);
    await shot(page, 'fleet-middle');
  }));

  test('are filtered while one types, and folded where nothing needs a look', () => open('fleet', async (page) => {
    const { report } = made.fleet;
    await page.locator('#q').fill('registry.example.com/gateway');
    await eventually(async () => assert.equal(await shown(page), `${report.targets.filter((target) => target.service === 'gateway').length.toLocaleString('en')} of 5,000 targets`));
    await page.locator('#q').fill('');
    await eventually(async () => assert.deepEqual(await page.locator('.row.wave').evaluateAll((waves) => waves.slice(0, 2).map((wave) => wave.getAttribute('aria-expanded'))), ['false', 'true']));
    await page.locator('#account').selectOption('prod-us-150');
    await eventually(async () => assert.equal((await rowNames(page)).length, 5));
  }));

  test('have the rest of a reason behind a link', () => open('fleet', async (page) => {
    const more = page.locator('.names a', { hasText: /^and [\d,]+ more$/ }).first();
    const number = Number(/[\d,]+/.exec(await more.innerText())[0].replaceAll(',', '')) + 40;
    await more.click();
    await eventually(async () => assert.equal(await shown(page), `${number.toLocaleString('en')} of 5,000 targets`));
  }));

  test('open a target that is folded away', () => open('fleet', async (page) => {
    await eventually(async () => assert.equal(await page.locator('#detail-title').innerText(), 'dev-150/eu-west-1/web'));
    await eventually(async () => assert.ok(await page.locator('.row.open').isVisible()));
  }, { hash: '#target=dev-150/eu-west-1/web' }));
});

describe('other sizes', () => {
  for (const name of ['mixed', 'stages', 'fleet', 'evil']) {
    test(`${name} fits a phone`, () => open(name, async (page) => {
      await eventually(async () => assert.ok(await page.evaluate(() => document.documentElement.scrollWidth <= innerWidth)));
      await eventually(async () => assert.ok(await page.evaluate(() => [...document.querySelectorAll('#waves .scroll')].every((one) => one.scrollWidth <= one.clientWidth))));
      await shot(page, `${name}-phone`);
      await scrollTo(page, '#targets');
      await shot(page, `${name}-phone-timeline`);
      await page.locator('.row.target').first().click();
      await eventually(async () => assert.ok(await page.evaluate(() => document.querySelector('#detail').scrollWidth <= innerWidth)));
      await eventually(async () => assert.deepEqual(await pale(page), []));
      await shot(page, `${name}-phone-opened`);
    }, { viewport: PHONE, hasTouch: true, colorScheme: ['fleet', 'stages'].includes(name) ? 'dark' : 'light' }));
  }

  test('paper has every row and no controls', () => open('mixed', async (page) => {
    await page.emulateMedia({ media: 'print' });
    await eventually(async () => assert.ok(await page.locator('#filter').isHidden()));
    await eventually(async () => assert.equal((await rowNames(page)).length, 25));
    await page.pdf({ path: join(directory, 'mixed.pdf'), format: 'A4', landscape: true });
    await shot(page, 'mixed-print', { fullPage: true });
  }, { colorScheme: 'dark' }));

  test('paper has the stages, with their words where there is room', () => open('stages', async (page) => {
    await page.emulateMedia({ media: 'print' });
    await eventually(async () => assert.deepEqual(await pale(page), []));
    await eventually(async () => assert.ok((await page.locator('.bar.pause').count()) > 0));
    await page.pdf({ path: join(directory, 'stages.pdf'), format: 'A4', landscape: true });
    await shot(page, 'stages-print', { fullPage: true });
  }, { colorScheme: 'dark' }));

  test('the theme is what is chosen, and is kept', () => open('mixed', async (page) => {
    const ground = () => page.evaluate(() => getComputedStyle(document.body).backgroundColor);
    const light = await ground();
    await page.locator('#theme').click();
    await eventually(async () => assert.equal(await ground(), light));
    await page.locator('#theme').click();
    const dark = await ground();
    assert.notEqual(dark, light);
    await eventually(async () => assert.equal(await page.locator('#theme').innerText(), 'Theme: dark'));
    await page.reload();
    await eventually(async () => assert.equal(await ground(), dark));
  }));
});
