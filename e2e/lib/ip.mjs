// The `ip` of iproute2.
import { execFileSync } from 'node:child_process';

export function ip(...args) {
  return execFileSync('ip', args, { encoding: 'utf8', stdio: ['ignore', 'pipe', 'pipe'] });
}

/** Removes a link and its peer at once. With their namespace alone they would go when the kernel finds time for it. */
export function unlink(name) {
  ip('link', 'del', 'dev', name);
}
