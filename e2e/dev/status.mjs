// What a chain and its market do, kept current: some lines that are drawn anew on a terminal, else a line for each change.
import { plain } from '../lib/plain.mjs';
import { NODE_ID } from './market.mjs';

const CLEAR_BELOW = '\x1b[J';
const up = (lines) => (lines > 0 ? `\x1b[${lines}F` : '');

/** Shows it until the process ends. */
export async function showStatus(api, { redraw, ofMarket }) {
  const screen = redraw ? new Screen() : new Changes();
  const since = new Since();
  await api.rpc.chain.subscribeNewHeads(async (header) => {
    try {
      const market = ofMarket ? await marketLines(await api.at(header.hash), since) : [];
      screen.show([{ key: 'chain', always: `block ${header.number}`, text: '' }, ...market]);
    } catch (error) {
      screen.show([{ key: 'chain', text: `no status: ${error.message}` }]);
    }
  });
}

async function marketLines(at, since) {
  const [node, requests] = await Promise.all([at.call.computeApi.getNode(NODE_ID), at.query.compute.computeRequests.entries()]);
  const vms = requests.map(([, request]) => plain(request.unwrap())).sort((a, b) => Number(a.request_id) - Number(b.request_id));
  return [
    { key: 'node', text: node.isSome ? nodeLine(plain(node.unwrap())) : `node ${NODE_ID} is not registered` },
    ...vms.map((vm) => vmLine(vm, since)),
  ];
}

function nodeLine({ online, takes_vms: takesVms, node: { offer: { capacity }, reserved, vms } }) {
  const state = online ? (takesVms ? 'online' : 'online, takes no new VMs') : 'offline';
  const gib = (mib) => Math.round(mib / 102.4) / 10;
  const used = [
    `${reserved.vcpus}/${capacity.vcpus} vCPUs`, `${gib(reserved.memory_mib)}/${gib(capacity.memory_mib)} GiB memory`,
    `${reserved.disk_gib}/${capacity.disk_gib} GiB disk`,
  ];
  return `node ${NODE_ID} ${state}, ${vms} VM${vms === 1 ? '' : 's'}: ${used.join(', ')}`;
}

function vmLine({ request_id: id, name, selected_image: image, resources, status, operation, last_failure: failure }, since) {
  const state = operation && operation.kind !== 'launch' ? `${status}, ${operation.kind} asked` : status;
  const size = `${resources.vcpus} vCPU, ${resources.memory_mib} MiB`;
  const why = failure && status !== 'running' ? `  (${failure})` : '';
  return { key: `vm ${id}`, text: `VM ${id}  ${name || '-'}  ${image.name}  ${size}  ${state} since ${since.of(id, state)}${why}` };
}

/** When each VM came to be what it is, as seen from here. */
class Since {
  #seen = new Map();

  of(id, state) {
    if (this.#seen.get(id)?.state !== state) this.#seen.set(id, { state, time: new Date().toLocaleTimeString('en-GB') });
    return this.#seen.get(id).time;
  }
}

class Screen {
  #drawn = 0;

  show(lines) {
    const width = process.stdout.columns || 80;
    const texts = lines.map(({ always = '', text }) => `  ${always}${text}`.slice(0, width - 1));
    process.stdout.write(`${up(this.#drawn)}${CLEAR_BELOW}${texts.join('\n')}\n`);
    this.#drawn = texts.length;
  }
}

class Changes {
  #shown = new Map();

  show(lines) {
    for (const { key, text } of lines) {
      if (text && this.#shown.get(key) !== text) console.log(`  ${text}`);
      this.#shown.set(key, text);
    }
    for (const key of this.#shown.keys()) {
      if (lines.some((line) => line.key === key)) continue;
      console.log(`  ${key.replace('vm', 'VM')}  gone`);
      this.#shown.delete(key);
    }
  }
}
