// A person with `quarry` on a machine of their own: a home, settings, keys, and perhaps an agent.
import { mkdirSync, readdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { cliProgram, onTerminal } from './quarry-cli.mjs';
import { tempDir } from './ours.mjs';
import { Process, run } from './process.mjs';
import { SECONDS } from './until.mjs';

export class CliUser {
  /** `uri` is the account's development key; `enter` a lab machine's. */
  constructor(name, { url, uri, enter = [] }) {
    Object.assign(this, { name, enter });
    this.home = tempDir(name);
    this.temporary = join(this.home, 'tmp');
    this.data = join(this.home, 'data');
    for (const folder of [this.temporary, join(this.home, '.ssh')]) mkdirSync(folder, { mode: 0o700 });
    this.env = {
      HOME: this.home, XDG_CONFIG_HOME: join(this.home, 'config'), XDG_DATA_HOME: this.data, TMPDIR: this.temporary,
      QUARRY_URL: url, SSH_AUTH_SOCK: undefined, NO_COLOR: '1', TERM: 'xterm',
    };
    this.uri = uri;
  }

  /** What a shell would be given. */
  line(...args) {
    return [cliProgram(), '--uri', this.uri, ...args];
  }

  /** Runs it to its end: code, stdout and stderr. */
  quarry(args, { within = 120 * SECONDS, env = {}, ...options } = {}) {
    const [program, ...line] = this.line(...args);
    return run(program, line, { name: `quarry-${args[0]}`, enter: this.enter, within, env: { ...this.env, ...env }, ...options });
  }

  /** The same, which must work, and its JSON. */
  async json(args, options) {
    const { code, stdout, stderr } = await this.quarry([...args.slice(0, 1), '--json', ...args.slice(1)], options);
    if (code !== 0) throw new Error(`quarry ${args.join(' ')}: exit code ${code}, ${stderr}`);
    return JSON.parse(stdout);
  }

  /** One that goes on; its process. */
  open(args, options = {}) {
    const [program, ...line] = this.line(...args);
    return new Process(program, line, { name: `quarry-${args[0]}`, enter: this.enter, env: this.env, ...options });
  }

  /**
   * Runs shell commands on a terminal, which is typed into, as `onTerminal` of quarry-cli.mjs does. In the commands
   * `quarry` is ours.
   */
  onTerminal(commands, answers, { within = 120 * SECONDS } = {}) {
    const quarry = this.line().map((word) => `'${word}'`).join(' ');
    const script = join(this.home, 'script.sh');
    writeFileSync(script, `quarry() { ${quarry} "$@"; }\n${commands}\n`);
    return onTerminal(['/bin/bash', script], answers, { name: 'terminal', enter: this.enter, env: this.env, within });
  }

  /** Runs another program with this person's home. */
  run(command, args, options = {}) {
    return run(command, args, { name: command, enter: this.enter, env: this.env, ...options });
  }

  /** What commands left where temporary files are. */
  litter() {
    return readdirSync(this.temporary);
  }
}
