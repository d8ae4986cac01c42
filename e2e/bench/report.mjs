// docs/benchmarks.md: a section for each bench, between markers that the bench finds again.
import { execFileSync } from 'node:child_process';
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { cpus, release, totalmem } from 'node:os';
import { fileURLToPath } from 'node:url';

const PAGE = fileURLToPath(new URL('../../docs/benchmarks.md', import.meta.url));
const REPOSITORY = fileURLToPath(new URL('../..', import.meta.url));

const INTRODUCTION = `# Benchmarks

Each section is written by its \`scripts/bench\` command: one run on one machine, named in the section.
Run the command on yours to get figures that count for you.
`;

/** Writes a bench's section into the page, in place of its last one, and returns the text. */
export function writeSection(bench, title, lines) {
  const [begin, end] = [`<!-- scripts/bench ${bench} -->`, `<!-- end of scripts/bench ${bench} -->`];
  const body = [`## ${title}`, '', provenance(bench), '', ...lines].join('\n');
  const section = `${begin}\n${body}\n${end}`;
  const page = existsSync(PAGE) ? readFileSync(PAGE, 'utf8') : INTRODUCTION;
  const from = page.indexOf(begin);
  const to = page.indexOf(end);
  const known = from >= 0 && to > from;
  writeFileSync(PAGE, known
    ? page.slice(0, from) + section + page.slice(to + end.length)
    : `${page.trimEnd()}\n\n${section}\n`);
  return body;
}

export function table(header, rows) {
  const line = (cells) => `| ${cells.join(' | ')} |`;
  return [line(header), line(header.map(() => '---')), ...rows.map(line)];
}

export const mebibytes = (bytes) => `${(bytes / 2 ** 20).toFixed(bytes < 10 * 2 ** 20 ? 2 : 0)} MiB`;

function provenance(bench) {
  const cores = cpus();
  const machine = `${cores.length} × ${cores[0].model.trim()}, ${mebibytes(totalmem())} of memory, Linux ${release()}`;
  return `\`scripts/bench ${bench}\` on ${new Date().toISOString().slice(0, 10)}, at ${commit()}; ${machine}.`;
}

function commit() {
  try {
    const describe = ['-C', REPOSITORY, 'describe', '--always', '--dirty'];
    return `commit ${execFileSync('git', describe, { encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'] }).trim()}`;
  } catch {
    return 'no commit';
  }
}
