// Whether each thing that was asked of a VM was done, and done once, by a witness that is not the worker: what
// libvirt told of each domain on the test driver; QEMU's log of each domain otherwise, which outlives libvirtd.

const LIFECYCLE = /^(?:(\S+ \S+): )?event 'lifecycle' for domain '(quarry-[^']*)': (Defined Added|Started|Stopped|Undefined)/;

/** What the witness of a host saw, by domain. */
export async function readDeeds(host) {
  const seen = host.lab.testDriver ? told(host.libvirtSaid()) : await host.qemuDeeds();
  const running = new Set((await host.domains()).filter(({ state }) => state === 'running').map(({ name }) => name));
  return { id: host.id, complete: host.lab.testDriver, restarts: host.reboots, seen, running: [...running] };
}

function told(lines) {
  const seen = {};
  for (const line of lines) {
    const [, at, name, what] = LIFECYCLE.exec(line) ?? [];
    if (!name) continue;
    seen[name] ??= { Started: 0, Stopped: 0, 'Defined Added': 0, Undefined: 0, starts: [] };
    seen[name][what] += 1;
    if (what === 'Started' && at) seen[name].starts.push(Date.parse(at));
  }
  return seen;
}

export function deedDifferences(lives, { id: host, complete, restarts, seen, running }) {
  const assignments = [...lives.values()].flatMap((life) => life.assignments.map((assignment) => ({ id: life.id, ...assignment })));
  const own = assignments.filter(({ node }) => node === host);
  const names = new Set(own.map(({ name }) => name));
  return [
    ...Object.keys(seen).filter((name) => !names.has(name)).map((name) => `${host} had domain ${name}, which no assignment is for`),
    ...own.flatMap((assignment) => differencesOf(host, assignment, seen[assignment.name] ?? {}, { complete, restarts, running })),
  ];
}

function differencesOf(host, { id, name, asked, done, unfinished, launched, until }, seen, { complete, restarts, running }) {
  const started = seen.Started ?? 0;
  const least = (launched === undefined ? 0 : 1) + done.boot + done.reboot;
  // One that was given up may have been done, and then undone as it was not wanted any more. A guest whose QEMU was lost
  // is started again.
  const ended = (seen.lost ?? 0) + Math.max(restarts, seen.forgotten ?? 0);
  const most = 1 + asked.boot + asked.reboot + ended + unfinished.filter((kind) => kind === 'stop').length;
  const what = `${host} started ${name}, of request ${id}, ${started} times`;
  const differences = [];
  if (started < least) differences.push(`${what}, and reported ${least} starts`);
  if (started > most) differences.push(`${what}, and was asked for at most ${most}`);
  if (!complete) return differences;
  const stopped = seen.Stopped ?? 0;
  if (started - stopped !== (running.includes(name) ? 1 : 0)) {
    differences.push(`${host} started ${name} ${started} times and stopped it ${stopped} times, and it ${running.includes(name) ? 'runs' : 'does not run'}`);
  }
  if (stopped < done.stop + done.reboot) differences.push(`${host} stopped ${name} ${stopped} times, and reported ${done.stop + done.reboot} stops`);
  const mayStop = asked.stop + asked.reboot + (until === undefined ? asked.delete : 1) + unfinished.length;
  if (stopped > mayStop) differences.push(`${host} stopped ${name} ${stopped} times, and was asked for at most ${mayStop}`);
  for (const once of ['Defined Added', 'Undefined']) {
    if ((seen[once] ?? 0) > 1) differences.push(`${host}: ${name} was ${once.toLowerCase()} ${seen[once]} times`);
  }
  return differences;
}
