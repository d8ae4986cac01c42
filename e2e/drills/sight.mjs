// What a guest is, so that a drill sees whether anybody touched it.
import { isDeepStrictEqual } from 'node:util';
import { SECONDS, until } from '../lib/until.mjs';

/** By libvirt, the kernel, and its own count of boots, which stands on its disk. */
export async function sightOf(vm) {
  const { uuid, id: domainId } = await vm.domain();
  const { boots } = await until(`the guest of request ${vm.id} answers`, () => vm.state(), { within: 60 * SECONDS });
  return { uuid, domainId, pid: await vm.pid(), address: vm.address, boots };
}

/** Whether it is the one that it was: true, or both sights. */
export async function isUntouched(vm, before) {
  const now = await sightOf(vm).catch((error) => error.message);
  return isDeepStrictEqual(now, before) || `it was ${JSON.stringify(before)}, and is ${JSON.stringify(now)}`;
}

export const since = (moment) => `${((Date.now() - moment) / 1_000).toFixed(0)} s`;
