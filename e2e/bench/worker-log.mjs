// What a worker's log tells of its pace.
import { readFileSync } from 'node:fs';

/** Moments are milliseconds of Unix time, with microseconds behind the point. */
const MOMENT = /^(\S+?)\.(\d{6})Z +[A-Z]+ /;
const UNITS = { ns: 1e-6, µs: 1e-3, ms: 1, s: 1_000 };

/** The lines so far that fit: the match of each, with its moment as `at`. */
function linesOf(path, pattern) {
  return readFileSync(path, 'utf8').split('\n').flatMap((line) => {
    const match = pattern.exec(line);
    const moment = match && MOMENT.exec(line);
    return moment ? [Object.assign(match, { at: Date.parse(`${moment[1]}Z`) + Number(moment[2]) / 1_000 })] : [];
  });
}

/** Milliseconds of a duration as Rust prints it. */
function milliseconds(text) {
  const [, number, unit] = /^([\d.]+)(ns|µs|ms|s)$/.exec(text);
  return Number(number) * UNITS[unit];
}

/** Each reading of the node's work: at which finalized block, how many VMs it had, and from when to when it went. */
export function readings(path) {
  return linesOf(path, /the node's work was read number=(\d+) vms=(\d+) took=(\S+)/).map((match) => (
    { number: Number(match[1]), vms: Number(match[2]), begun: match.at - milliseconds(match[3]), at: match.at }
  ));
}

/** When each action of that name was done, for which request, and how long it took. */
export function done(path, action) {
  return linesOf(path, new RegExp(`request=(\\d+).*: done action="${action}" took=(\\S+)`)).map((match) => (
    { request: match[1], at: match.at, took: milliseconds(match[2]) }
  ));
}

/** The first call to libvirt that each finalized block led to, so many milliseconds `after` it was told. */
export function firstCalls(path) {
  return linesOf(path, /the first call to libvirt for newly finalized work after=(\S+)/).map((match) => (
    { after: milliseconds(match[1]), at: match.at }
  ));
}

/** The value at or below which so large a part of them lies. */
export function quantile(values, part) {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[Math.max(0, Math.ceil(part * sorted.length) - 1)];
}

export const median = (values) => quantile(values, 0.5);
