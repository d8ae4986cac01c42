import assert from 'node:assert/strict';

const LOG_LINE = /^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d/;

/** What a program said on stderr beside its log. */
export function complaintOf({ stderr }) {
  return stderr.split('\n').filter((line) => line.trim() !== '' && !LOG_LINE.test(line));
}

/** The program ended with a failure and one line, which says all of `says`. */
export function assertRefused(result, ...says) {
  const { code, signal, stderr, commandLine } = result;
  const context = `${commandLine}\nended with ${signal ?? `exit code ${code}`}, stderr:\n${stderr}`;
  assert.equal(signal, null, context);
  assert.notEqual(code, 0, context);
  const complaint = complaintOf(result);
  assert.equal(complaint.length, 1, `${complaint.length} lines instead of one\n${context}`);
  for (const pattern of says) assert.match(complaint[0], pattern, `no ${pattern} in the line\n${context}`);
}
