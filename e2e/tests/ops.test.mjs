// The alert rules, the board, and the runbook that they lead to.
import assert from 'node:assert/strict';
import { readFileSync, readdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { after, describe, test } from 'node:test';
import { endAll, tempDir } from '../lib/ours.mjs';
import { run } from '../lib/process.mjs';

const ROOT = fileURLToPath(new URL('../../', import.meta.url));
const read = (path) => readFileSync(join(ROOT, path), 'utf8');

const METRICS = 'offchain-worker/src/metrics';
const rules = read('ops/alerts.yml');
const ruleTests = read('ops/alerts.test.yml');
const board = JSON.parse(read('ops/grafana/quarry-worker.json'));
const guide = read('docs/operator.md');
const runbook = read('docs/runbook.md');

/** What Prometheus itself knows of each target and each alert. */
const OF_PROMETHEUS = { up: [], ALERTS: ['alertname', 'alertstate'] };
/** Labels that each series gets when it is scraped, and that of histograms' buckets. */
const ON_ALL = ['instance', 'job', 'le'];

/** Each metric of the guide's table, which a test holds against the sources, with its labels. */
function metrics() {
  const rows = [...guide.matchAll(/^\| `(quarry_worker_[a-z_]+)` \|([^|]*)\|/gm)];
  return { ...OF_PROMETHEUS, ...Object.fromEntries(rows.map(([, name, labels]) => [name, labels.match(/[a-z_]+/g) ?? []])) };
}

/** Those that stand in the sources in full. */
const inSources = new Set(readdirSync(join(ROOT, METRICS)).filter((name) => name !== 'tests.rs')
  .flatMap((name) => [...read(join(METRICS, name)).matchAll(/"(quarry_worker_[a-z_]+)"/g)].map(([, metric]) => metric)));

const alertNames = [...rules.matchAll(/^ {6}- alert: (\w+)$/gm)].map(([, name]) => name);
const alertExprs = [...rules.matchAll(/^ {8}expr: '(.+)'$/gm)].map(([, expr]) => expr.replaceAll("''", "'"));
const panels = board.panels.filter(({ type }) => type !== 'row');
const boardExprs = [
  ...panels.flatMap(({ targets }) => targets.map(({ expr }) => expr)),
  ...board.annotations.list.map(({ expr }) => expr),
];
const boardQueries = board.templating.list.filter(({ type }) => type === 'query').map(({ query }) => query.query);

/** The metrics that an expression names, each with the labels that it asks of it. */
function named(expr) {
  const selectors = expr.matchAll(/\b(quarry_worker_\w+|up|ALERTS)\b(?:\{([^}]*)\})?/g);
  return [...selectors].map(([, name, labels = '']) => (
    { name, labels: [...labels.matchAll(/(\w+)\s*(?:=~|!~|!=|=)/g)].map(([, label]) => label) }
  ));
}

/** What an expression asks of a metric that the worker does not serve, one line each. */
function unknown(expr) {
  const known = metrics();
  return named(expr).flatMap(({ name, labels }) => {
    const family = known[name] ? name : name.replace(/_(bucket|sum|count)$/, '');
    if (!known[family]) return inSources.has(name) ? [] : [`${name} is no metric`];
    return labels.filter((label) => ![...known[family], ...ON_ALL].includes(label)).map((label) => `${name} has no label ${label}`);
  });
}

/** The text of a heading as a link has it. */
const anchor = (heading) => heading.toLowerCase().replaceAll(/[^a-z0-9 -]/g, '').replaceAll(' ', '-');

async function promtool(...args) {
  const { code, stdout, stderr } = await run('promtool', args, { name: `promtool ${args[0]}`, cwd: join(ROOT, 'ops') });
  assert.equal(code, 0, `${stdout}\n${stderr}`);
  return stdout;
}

after(endAll);

describe('ops/alerts.yml', () => {
  test('promtool takes the rules', async () => {
    assert.match(await promtool('check', 'rules', 'alerts.yml'), new RegExp(`SUCCESS: ${alertNames.length} rules found`));
  });

  test('each alert fires when it must, and not otherwise', async () => {
    assert.match(await promtool('test', 'rules', 'alerts.test.yml'), /SUCCESS/);
  });

  test('each alert is tested, and with a node on which all is well', () => {
    const tests = ruleTests.split(/^ {2}- name: /m).slice(1);
    assert.deepEqual(tests.map((text) => /^\w+/.exec(text)[0]), alertNames);
    for (const text of tests) {
      assert.match(text, /instance="good"/);
      assert.match(text, /exp_alerts:\n {10}- exp_labels:\n {14}instance: bad\n/, text);
      assert.match(text, /exp_alerts: \[\]/, text);
    }
  });

  test('names nothing that the worker does not serve', () => {
    assert.equal(alertExprs.length, alertNames.length);
    for (const expr of alertExprs) {
      assert.ok(named(expr).length > 0, expr);
      assert.deepEqual(unknown(expr), [], expr);
    }
    assert.deepEqual(unknown('quarry_worker_nothing > 0'), ['quarry_worker_nothing is no metric']);
    assert.deepEqual(unknown('quarry_worker_vms{node="a"}'), ['quarry_worker_vms has no label node']);
  });

  test('each alert leads to what the runbook says of it', () => {
    const links = [...rules.matchAll(/^ {10}runbook_url: docs\/runbook\.md#(\S+)$/gm)].map(([, link]) => link);
    assert.equal(links.length, alertNames.length);
    const headings = [...runbook.matchAll(/^#+ (.+)$/gm)].map(([, heading]) => anchor(heading));
    assert.deepEqual(links.filter((link) => !headings.includes(link)), []);
    assert.deepEqual(alertNames.filter((name) => !runbook.includes(`\`${name}\``)), []);
    const inRunbook = [...runbook.matchAll(/`(Quarry\w+)`/g)].map(([, name]) => name);
    assert.deepEqual(inRunbook.filter((name) => !alertNames.includes(name)), []);
  });
});

describe('ops/grafana/quarry-worker.json', () => {
  test('names nothing that the worker does not serve', () => {
    assert.ok(boardExprs.length > 20, `${boardExprs.length} queries`);
    for (const expr of [...boardExprs, ...boardQueries]) {
      assert.ok(named(expr).length > 0, expr);
      assert.deepEqual(unknown(expr), [], expr);
    }
  });

  test('shows every metric', () => {
    const text = [...boardExprs, ...boardQueries].join('\n');
    const all = Object.keys(metrics()).filter((name) => name.startsWith('quarry_worker_'));
    assert.deepEqual(all.filter((name) => !new RegExp(`\\b${name}(_bucket|_count|_sum)?\\b`).test(text)), []);
  });

  test('its queries are PromQL', async () => {
    const file = join(tempDir('board'), 'rules.yml');
    const exprs = boardExprs.map((expr) => expr.replaceAll('$__rate_interval', '5m'));
    const lines = exprs.map((expr, index) => `  - record: board:${index}\n    expr: ${JSON.stringify(expr)}`);
    writeFileSync(file, `groups:\n- name: board\n  rules:\n${lines.join('\n')}\n`);
    assert.match(await promtool('check', 'rules', file), /SUCCESS/);
  });

  test('every query goes to the data source that is chosen above', () => {
    const [choice] = board.templating.list;
    assert.deepEqual([choice.name, choice.type, choice.query], ['datasource', 'datasource', 'prometheus']);
    const queries = [...panels, ...panels.flatMap(({ targets }) => targets), ...board.templating.list.slice(1), ...board.annotations.list];
    for (const { datasource } of queries) assert.deepEqual(datasource, { type: 'prometheus', uid: '${datasource}' });
  });

  test('uses no variable that it does not have', () => {
    const names = [...board.templating.list.map(({ name }) => name), '__rate_interval', '__all'];
    const used = [...JSON.stringify(board).matchAll(/\$\{?(\w+)/g)].map(([, name]) => name);
    assert.deepEqual(used.filter((name) => !names.includes(name)), []);
  });

  test('no two panels have one place or one id', () => {
    const ids = board.panels.map(({ id }) => id);
    assert.equal(new Set(ids).size, ids.length);
    const places = board.panels.map(({ gridPos: { x, y } }) => `${x},${y}`);
    assert.equal(new Set(places).size, places.length);
    assert.deepEqual(board.panels.filter(({ gridPos: { x, w } }) => x + w > 24).map(({ title }) => title), []);
  });
});
