// What a drill finds: which promises held, figures, and differences between the parts.
export class Findings {
  held = [];
  figures = [];
  differences = [];
  #say;

  constructor(say) {
    this.#say = say;
  }

  /** Whether a promise holds: `check` throws, with what it saw, where it does not. The drill goes on in any case. */
  async holds(promise, check) {
    try {
      await check();
      this.found(promise, true);
      this.#say(`held: ${promise}`);
    } catch (error) {
      this.found(promise, error.message);
      this.#say(error.stack);
    }
  }

  /** Whether a promise holds: true, or what was seen instead, which is said at once. */
  found(promise, answer) {
    this.held.push([promise, answer]);
    if (answer !== true) this.#say(`NOT held: ${promise}: ${answer}`);
  }

  /** The same of some VMs, each of which `judge` gives true or what is wrong. */
  async foundOfAll(promise, vms, judge) {
    const answers = await Promise.all(vms.map(async (vm) => [vm, await judge(vm)]));
    const wrong = answers.filter(([, answer]) => answer !== true);
    this.found(promise, wrong.length === 0 || wrong.map(([{ id, what }, answer]) => `request ${id} (${what}): ${answer}`).join('; '));
  }

  figure(what, value) {
    this.figures.push([what, value]);
    this.#say(`${what}: ${value}`);
  }
}
