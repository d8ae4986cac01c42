// Drill 1: many VMs, many tenants, and everything breaks now and then.
import { SECONDS } from '../lib/until.mjs';
import { audit, auditOnTheWay } from './audit.mjs';
import { Faults } from './chaos-faults.mjs';
import { fillBonds } from './chaos-miners.mjs';
import { Tenant } from './chaos-tenants.mjs';
import { Chance } from './chance.mjs';
import { Stage } from './stage.mjs';

const TENANTS = 20;
const VMS_EACH = 10;
/** Guests under emulation, whose host loses its libvirtd; all of one more tenant. */
const GUESTS = 4;
/** It takes whom it is named by alone: its guests are real, and take as much of the machine. */
const FEW = { driver: 'qemu', config: { claims: { enabled: false } } };
const MINUTES = { short: 3, full: 30 };
/** Room for the image and the VMs of one host, and not for much more. */
const SMALL_DISK_MIB = 400;
/** A validator that is gone stops finality, and with it everything that is asked: waits are as long as in the market. */
const PARAMS = { launch_timeout: 150, operation_timeout: 50, delete_timeout: 100 };

export const drill = { name: 'chaos', about: '200 VMs on four hosts, 20 tenants, and everything breaks now and then', run };

async function run({ short = false, minutes = short ? MINUTES.short : MINUTES.full, settle, seed, say }) {
  const stage = await Stage.open({
    hosts: [{ driver: 'test' }, { driver: 'test', ownClock: true }, { driver: 'test', dataMib: SMALL_DISK_MIB }, FEW],
    tenants: TENANTS + 1, params: PARAMS, say,
  });
  try {
    return await play(stage, { minutes, settle, seed, say });
  } catch (error) {
    console.error(stage.describe());
    throw error;
  } finally {
    await stage.close();
  }
}

async function play(stage, { minutes, settle, seed, say }) {
  const many = stage.hosts.filter(({ lab }) => lab.testDriver);
  const few = stage.hosts.filter(({ lab }) => !lab.testDriver);
  const tenants = stage.tenants.map((account, index) => new Tenant(stage, account, new Chance(seed, `tenant ${index}`)));
  const scenes = tenants.map((tenant, index) => (
    index < TENANTS ? { tenant, count: VMS_EACH, hosts: many } : { tenant, count: GUESTS, hosts: few }
  ));
  say(`${TENANTS * VMS_EACH} VMs and ${GUESTS} guests are rented`);
  await Promise.all(scenes.map(({ tenant, count, hosts }) => tenant.rent(count, hosts)));
  await stage.isQuiet();
  const ran = await count(stage, 'running');
  say(`${ran} run; now for ${minutes} minutes of faults`);

  const begun = Date.now();
  const faults = new Faults(stage, new Chance(seed, 'faults'), say);
  let mended = false;
  let atRest = false;
  const bonds = fillBonds(stage, () => atRest);
  // It is thrown again where it is waited for.
  bonds.catch((error) => say(`bonds are filled no more: ${error.message}`));
  const struck = faults.play(() => Date.now() - begun > minutes * 60 * SECONDS).finally(() => (mended = true));
  const plays = [struck, ...scenes.map(({ tenant, count: most, hosts }) => tenant.play(most, hosts, () => mended))];
  await Promise.all(plays).catch(async (error) => {
    // Nothing is broken, or started again, while the stage is taken down.
    faults.stop();
    atRest = true;
    await Promise.allSettled([...plays, bonds]);
    throw error;
  });
  const over = Date.now();
  say('nothing breaks any more');
  const quiet = await outcome(stage.isReady().then(() => stage.isQuiet()));
  const settled = (Date.now() - over) / SECONDS;
  atRest = true;
  const filled = await bonds;
  if (quiet !== true) say(stage.describe());
  const gone = stage.hosts.filter(({ worker }) => worker.process.end).map(({ id, worker }) => `${id}, with code ${worker.process.end.code}`);
  say(`quiet after ${settled.toFixed(0)} s; now the audit`);
  const differences = [...await audit(stage, { within: settle }), ...await auditOnTheWay(stage)];
  return {
    held: [
      [`${TENANTS * VMS_EACH + GUESTS} VMs ran before the first fault`, ran === TENANTS * VMS_EACH + GUESTS || `${ran} ran`],
      ['every kind of fault struck', faults.missing.length === 0 || `never: ${faults.missing.join('; ')}`],
      ['no worker ended by itself', gone.length === 0 || gone.join('; ')],
      ['with the faults over, all that was asked was done or failed with a reason', quiet],
      ['chain, hosts, libvirt’s own account, wishes and money agree, and the chain with itself all the way', differences.length === 0 || `${differences.length} differences`],
    ],
    figures: await figures(stage, { tenants, faults, filled, settled, seconds: (over - begun) / SECONDS }),
    differences,
  };
}

const outcome = (promise) => promise.then(() => true, (error) => error.message);

async function count(stage, state) {
  const domains = await Promise.all(stage.hosts.map((host) => host.domains()));
  return domains.flat().filter((domain) => domain.name.startsWith('quarry-') && domain.state === state).length;
}

async function figures(stage, { tenants, faults, filled, settled, seconds }) {
  const total = (of) => {
    const sums = {};
    for (const counts of tenants.map(of)) for (const [name, number] of Object.entries(counts)) sums[name] = (sums[name] ?? 0) + number;
    return Object.entries(sums).map(([name, number]) => `${number} ${name}`).join(', ') || 'none';
  };
  const happened = (name, fits) => stage.history.all(`compute.${name}`, fits).length;
  return [
    ['seconds of faults', seconds.toFixed(0)],
    ['faults', Object.entries(faults.struck).map(([name, times]) => `${times} × ${name}`).join(', ')],
    ['asked', total(({ asked }) => asked)],
    ['refused by the chain, as the VM was in another state', total(({ refused }) => refused)],
    ['launches', happened('ComputeRequestFulfilled')],
    ['launches and VMs that failed, with a reason', happened('ComputeRequestFailed')],
    ['bonds that a penalty cut and their miner filled', filled],
    ['operations that failed, with a reason', happened('OperationFailed')],
    ['operations that the chain gave up', happened('DeadlineExpired', ({ kind }) => kind.isOperation || kind.isLaunch || kind.isDeletion)],
    ['VMs that run at the end', await count(stage, 'running')],
    ['seconds from the last fault until nothing was under way', settled.toFixed(0)],
    ['finalized blocks', stage.history.last],
  ];
}
