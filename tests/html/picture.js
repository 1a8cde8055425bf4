// Makes docs/page.png, the picture in README.md: the page of a sandbox run in which one target fails.

import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { chromium } from 'playwright-core';

const root = join(import.meta.dirname, '..', '..');
const home = mkdtempSync(join(tmpdir(), 'roleout-picture-'));
const run = ['deploy', '--sandbox', '-f', 'deploy.yaml.example', '--sandbox-fault', 'prod-us/us-east-1/api=crash', '--reports-dir', join(home, 'reports')];
try {
  execFileSync(process.env.ROLEOUT_BIN ?? join(root, 'target', 'debug', 'roleout'), run, {
    cwd: root, stdio: 'ignore', env: { PATH: process.env.PATH, CI_COMMIT_SHA: '5f2c9d7be0a14c3f8b6d2e91a7c4f05d3b8e6a12' },
  });
} catch (error) {
  // Done, with failures within tolerance.
  if (error.status !== 13) throw error;
}
const browser = await chromium.launch({ executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium', args: ['--no-sandbox', '--disable-gpu'], env: { ...process.env, HOME: home } });
const page = await browser.newPage({ viewport: { width: 960, height: 800 }, colorScheme: 'light' });
await page.goto(pathToFileURL(join(home, 'reports', 'report.html')).href);
await page.locator('#axis').waitFor();
await page.screenshot({ path: join(root, 'docs', 'page.png'), fullPage: true, clip: { x: 0, y: 0, width: 960, height: 1180 } });
await browser.close();
rmSync(home, { recursive: true, force: true });
