/** What held in all rounds of a drill, by its words; where it did not, what was wrong first. */
export function merged(rounds) {
  const all = new Map();
  for (const [what, answer] of rounds.flatMap(({ held }) => held)) {
    if ((all.get(what) ?? true) === true) all.set(what, answer);
  }
  return [...all];
}
