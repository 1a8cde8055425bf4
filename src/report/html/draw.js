// Elements and words. Text is put in as text, never as HTML.

const $ = (id) => document.getElementById(id);

function el(name, attributes = {}, ...children) {
  const element = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) {
    if (value === undefined || value === null || value === false) continue;
    if (key.startsWith('on')) element.addEventListener(key.slice(2), value);
    else element.setAttribute(key, value === true ? '' : value);
  }
  element.append(...children.flat().filter((child) => child !== null && child !== undefined && child !== false));
  return element;
}

function glyph(name, tone = '') {
  const svg = document.createElementNS('http://www.w3.org/2000/svg', 'svg');
  svg.setAttribute('class', `glyph ${tone}`);
  svg.setAttribute('viewBox', '0 0 16 16');
  svg.setAttribute('aria-hidden', 'true');
  const use = document.createElementNS('http://www.w3.org/2000/svg', 'use');
  use.setAttribute('href', `#g-${name}`);
  svg.append(use);
  return svg;
}

// A link only where the address is one of the web; else the words alone.
function link(words, href) {
  const isAddress = /^https?:\/\/[^\s<>"]+$/.test(href ?? '');
  return isAddress ? el('a', { href, rel: 'noreferrer', target: '_blank' }, words) : null;
}

const count = (number, noun) => `${number.toLocaleString('en')} ${noun}${number === 1 ? '' : 's'}`;

// 0.9s, 2.4s, 14s, 1m 23s, 2h 05m: as the log says it.
function duration(milliseconds) {
  const seconds = Math.floor(milliseconds / 1000);
  if (seconds < 10 && milliseconds % 1000) return `${(Math.floor(milliseconds / 100) / 10).toFixed(1)}s`;
  if (seconds < 60) return `${seconds}s`;
  const two = (number) => String(number).padStart(2, '0');
  if (seconds < 3600) return `${Math.floor(seconds / 60)}m${seconds % 60 ? ` ${two(seconds % 60)}s` : ''}`;
  return `${Math.floor(seconds / 3600)}h ${two(Math.floor(seconds / 60) % 60)}m`;
}

// A time from the start of the run, with the time of day behind it.
const since = (time) => el('time', { datetime: new Date(time).toISOString(), title: clockTime(time) }, `+${fine(Math.max(0, time - begin))}`);
// With tenths within the first minute, where a run's short steps are.
const fine = (milliseconds) => (milliseconds < 60000 ? `${(Math.floor(milliseconds / 100) / 10).toFixed(1)}s` : duration(milliseconds));
const clockTime = (time) => `${new Date(time).toISOString().replace('T', ' ').replace(/\.\d+Z$/, '')} UTC`;

function revisions(target) {
  const { from, to, runs } = target;
  if (from && to && from !== to) return target.outcome === 'rolled_back' && runs === from ? `${from} → ${to} → ${from}` : `${from} → ${to}`;
  return from ?? (to ? `→ ${to}` : '');
}

// The same with the family once, where there is little room: api:14 → 15.
const shortRevisions = (target) => revisions(target).replace(/ → ([^ ]+):(?=\d)/g, (all, family) => ((target.from ?? '').startsWith(`${family}:`) ? ' → ' : all));

const tallied = (list) => Object.keys(endings).map((word) => [word, list.filter((target) => target.outcome === word).length]).filter(([, number]) => number > 0);
