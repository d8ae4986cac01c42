import { setTimeout as pause } from 'node:timers/promises';

/** Slower machines set this to 2 or 3: every deadline is that many times as long. */
const PATIENCE = Number(process.env.QUARRY_E2E_PATIENCE ?? 1);

export const SECONDS = 1_000;

export const patient = (milliseconds) => milliseconds * PATIENCE;

/**
 * Asks `check` until it answers something true, and returns that answer.
 *
 * `check` gets a function `seen`, by which it says what it saw; that and its last error stand in the
 * message when the deadline passes.
 */
export async function until(what, check, { within, every = 250 }) {
  const deadline = Date.now() + patient(within);
  let sight;
  let failure;
  for (;;) {
    try {
      const answer = await check((description) => (sight = description));
      if (answer) return answer;
      failure = undefined;
    } catch (error) {
      if (error instanceof Hopeless) throw error;
      failure = error;
    }
    if (Date.now() >= deadline) break;
    await pause(every);
  }
  const details = [sight && `seen: ${sight}`, failure && `last error: ${failure.message}`];
  throw new Error(
    [`not within ${patient(within) / SECONDS} s: ${what}`, ...details].filter(Boolean).join('\n  '),
    { cause: failure },
  );
}

/** Thrown by a check when waiting on cannot help. */
export class Hopeless extends Error {}

/** Gives a promise a deadline. */
export async function inTime(what, promise, within) {
  let timer;
  const deadline = new Promise((_, reject) => {
    timer = setTimeout(
      () => reject(new Error(`not within ${patient(within) / SECONDS} s: ${what}`)),
      patient(within),
    );
  });
  try {
    return await Promise.race([promise, deadline]);
  } finally {
    clearTimeout(timer);
  }
}
