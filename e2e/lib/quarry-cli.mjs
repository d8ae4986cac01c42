// The command line `quarry`, with settings and keys of its own.
import { mkdirSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { quarryNode } from './binary.mjs';
import { tempDir } from './ours.mjs';
import { run } from './process.mjs';

/** QUARRY_CLI, or what was built beside the chain node. */
export const cliProgram = () => process.env.QUARRY_CLI ?? join(dirname(quarryNode()), 'quarry');

let places;
/** Where it looks for settings, keys and a home: none of whoever runs the tests. */
function ownPlaces() {
  if (!places) {
    const folder = tempDir('quarry-cli');
    const place = (name) => {
      mkdirSync(join(folder, name));
      return join(folder, name);
    };
    places = { HOME: place('home'), XDG_CONFIG_HOME: place('config'), XDG_DATA_HOME: place('data'), NO_COLOR: '1' };
  }
  return places;
}

/** The program and its environment, for what runs on. */
export const quarryProgram = () => ({ program: cliProgram(), env: ownPlaces() });

/** Runs it to its end: code, stdout and stderr. No standard input is there to be asked. */
export function quarry(args, { env = {}, ...options } = {}) {
  return run(cliProgram(), args, { name: `quarry ${args[0]}`, env: { ...ownPlaces(), ...env }, ...options });
}

/**
 * Runs it on a terminal, where it asks: each question, a pattern, gets its answer. Resolves with the code and all that
 * the terminal showed.
 */
export async function quarryOnTerminal(args, answers, { env = {}, ...options } = {}) {
  const lines = answers.map(([question, answer]) => [question, `${answer}\n`]);
  const { code, stdout, stderr } = await onTerminal([cliProgram(), ...args], lines, {
    name: `quarry ${args[0]} on a terminal`, env: { ...ownPlaces(), TERM: 'xterm', ...env }, ...options,
  });
  return { code, shown: stdout, stderr };
}

/**
 * Runs a command on a terminal of its own. Each of the answers, `[pattern, text]`, is typed when the pattern is shown;
 * with a third text, that one is typed again and again until then. What is shown is the stdout.
 */
export function onTerminal(command, answers, options) {
  return run('python3', ['-c', ON_TERMINAL, JSON.stringify(answers), ...command], options);
}

const ON_TERMINAL = `
import json, os, pty, re, select, sys
answers = json.loads(sys.argv[1])
pid, terminal = pty.fork()
if pid == 0:
    os.execv(sys.argv[2], sys.argv[2:])
shown, seen = '', 0
while True:
    if not select.select([terminal], [], [], 3)[0]:
        if answers and len(answers[0]) > 2:
            os.write(terminal, answers[0][2].encode())
        continue
    try:
        part = os.read(terminal, 4096)
    except OSError:
        break
    if not part:
        break
    shown += part.decode(errors='replace')
    if answers:
        asked = re.search(answers[0][0], shown[seen:])
        if asked:
            seen += asked.end()
            os.write(terminal, answers.pop(0)[1].encode())
code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
sys.stdout.write(shown)
if answers:
    sys.exit('never asked: ' + answers[0][0])
sys.exit(code)
`;
