// Whether each crate that the build takes from others is one that somebody here decided to take: check.mjs [--write]
//
// crates.json says why, as `cargo vet` would want it said: a reason for each crate that a manifest of ours names; the
// crates that those bring along beyond what the SDK brings; and which run code while they are built. Cargo.lock pins
// each by its checksum, so what this finds is what is new. `--write` notes what is new, except reasons: read it first.
import { execFileSync } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';

const FILE = new URL('crates.json', import.meta.url);
const SDK = /github\.com\/paritytech\/polkadot-sdk/;
const CRATES_IO = 'registry+https://github.com/rust-lang/crates.io-index';
const RUNS_AT_BUILD = ['custom-build', 'proc-macro'];
const NPM_LOCK = new URL('../e2e/package-lock.json', import.meta.url);

const readJson = (file) => JSON.parse(readFileSync(file, 'utf8'));
const sorted = (names) => [...new Set(names)].sort();

/** What is built: packages by id, those of ours, and what each needs to be built. */
function graph() {
  const arguments_ = ['metadata', '--locked', '--format-version', '1'];
  const output = execFileSync('cargo', arguments_, { cwd: new URL('..', import.meta.url), encoding: 'utf8', maxBuffer: 1 << 28 });
  const { packages, resolve, workspace_members: members } = JSON.parse(output);
  const byId = new Map(packages.map((found) => [found.id, found]));
  const needs = new Map(resolve.nodes.map(({ id, deps }) => [
    id, deps.filter(({ dep_kinds: kinds }) => members.includes(id) || kinds.some(({ kind }) => kind !== 'dev')).map(({ pkg }) => pkg),
  ]));
  return { byId, needs, members: new Set(members) };
}

/** All that these need, and themselves. */
function closure(needs, roots) {
  const found = new Set();
  const left = [...roots];
  while (left.length > 0) {
    const id = left.pop();
    if (!found.has(id)) {
      found.add(id);
      left.push(...needs.get(id));
    }
  }
  return found;
}

/** What there is, by names: as crates.json has it, with each crate under the first that brings it. */
function survey({ byId, needs, members }) {
  const direct = [...new Set([...members].flatMap((id) => needs.get(id)))].filter((id) => !members.has(id));
  const isSdk = (id) => SDK.test(byId.get(id).repository ?? '');
  const name = (id) => byId.get(id).name;
  const ours = direct.filter((id) => !isSdk(id)).sort((a, b) => (name(a) < name(b) ? -1 : 1));
  const known = new Set([...closure(needs, direct.filter(isSdk)), ...ours].map(name));
  const brought = Object.fromEntries(ours.map((id) => {
    const names = sorted([...closure(needs, [id])].map(name).filter((of) => !known.has(of)));
    names.forEach((of) => known.add(of));
    return [name(id), names];
  }));
  const strangers = [...byId.values()].filter(({ id }) => !members.has(id));
  return {
    direct: sorted(ours.map(name)),
    brought: Object.fromEntries(Object.entries(brought).filter(([, names]) => names.length > 0)),
    atBuild: sorted(strangers.filter(({ targets }) => targets.some(({ kind }) => kind.some((of) => RUNS_AT_BUILD.includes(of)))).map((of) => of.name)),
    elsewhere: strangers.filter(({ source }) => source !== CRATES_IO).map((of) => `${of.name} comes from ${of.source}`),
  };
}

/** Names that only one of the two has, as sentences. */
function compare(what, found, listed) {
  const [has, had] = [new Set(found), new Set(listed)];
  return [
    ...sorted(found).filter((name) => !had.has(name)).map((name) => `${name} ${what}, and crates.json does not say so`),
    ...sorted(listed).filter((name) => !has.has(name)).map((name) => `crates.json says that ${name} ${what}, and it does not any more`),
  ];
}

function crateDifferences(found, listed) {
  const all = (brought) => Object.values(brought).flat();
  return [
    ...found.elsewhere,
    ...compare('is named by a manifest of ours', found.direct, Object.keys(listed.direct)),
    ...Object.entries(listed.direct).filter(([, reason]) => reason.split(' ').length < 3).map(([name]) => `crates.json has no reason for ${name}`),
    ...compare('is brought along', all(found.brought), all(listed.brought)),
    ...compare('runs code while it is built', found.atBuild, listed.atBuild),
  ];
}

/** The tests' packages are pinned by a digest, wherever npm takes them from, and run nothing while they are installed. */
function npmDifferences() {
  return Object.entries(readJson(NPM_LOCK).packages).filter(([path]) => path !== '').flatMap(([path, { integrity, resolved, hasInstallScript }]) => [
    ...(/^sha512-/.test(integrity ?? '') ? [] : [`${path} has no digest in e2e/package-lock.json`]),
    ...(resolved ? [`${path} names in e2e/package-lock.json where it was taken from: leave that to npm's settings`] : []),
    ...(hasInstallScript ? [`${path} runs a script when it is installed`] : []),
  ]);
}

const found = survey(graph());
if (process.argv[2] === '--write') {
  const { sdk, direct } = readJson(FILE);
  const reasons = Object.fromEntries(found.direct.map((name) => [name, direct[name] ?? '']));
  const { brought, atBuild } = found;
  writeFileSync(FILE, `${JSON.stringify({ sdk, direct: reasons, brought, atBuild }, null, 2)}\n`);
}
const listed = readJson(FILE);
const differences = [...crateDifferences(found, listed), ...npmDifferences()];
for (const difference of differences) console.error(difference);
const brought = Object.values(found.brought).flat().length;
console.log(`${found.direct.length} crates with a reason, ${brought} that they bring along, ${found.atBuild.length} that run code at build time`);
process.exitCode = differences.length === 0 ? 0 : 1;
