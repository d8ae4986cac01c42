// The mistakes that planted-faults.patch plants, each as a careless engineer would make it, the drill that must see it,
// and what that drill then says. In worker and client the environment's QUARRY_FAULT makes one, in the pallets a storage
// item that the stage writes.

/** As short as it gets: each kind of fault strikes. */
const CHAOS = { drill: 'chaos', args: ['--minutes', '0', '--seed', '48', '--settle', '45'] };
/**
 * Three times a worker with many VMs dies and is back at once, while nothing else keeps reboots from being done or blocks
 * from being final: what it has just done is in no final block yet when it looks again.
 */
const CHAOS_OF_WORKERS = { drill: 'chaos', args: ['--minutes', '3', '--seed', '1075', '--settle', '45'] };
const OUTAGE = { drill: 'outage', args: ['--seed', '2', '--settle', '45'] };

export const FAULTS = [
  {
    name: 'report-before-effect', place: 'worker: `reconcile/decide.rs`, `run`', ...CHAOS,
    mistake: 'a reboot is reported before the guest is touched; when the chain has taken that, nothing asks for it any more',
    sign: /started quarry-\S+, of request \d+, \d+ times, and reported \d+ starts$/,
  },
  {
    name: 'no-generation-check', place: 'worker: `reconcile/decide.rs`, `rebooted`', ...CHAOS_OF_WORKERS,
    mistake: 'whether the guest was started for this reboot is remembered, and not read from its domain’s generation',
    sign: /started quarry-\S+, of request \d+, \d+ times, and was asked for at most \d+$/,
  },
  {
    name: 'disk-left', place: 'worker: `reconcile/decide.rs`, `remove`', ...CHAOS,
    mistake: 'a deletion forgets the domain, and leaves the folder with the disk',
    sign: /^h\d has folder quarry-\S+, which the chain does not want there$/,
  },
  {
    name: 'fence-forgotten', place: 'worker: `reconcile/decide.rs`, `orphan`', ...OUTAGE,
    mistake: 'a guest that runs and that the chain has elsewhere by now is left alone',
    sign: /^an old copy is ended when its host is back.* the old copy of request \d+ is off/,
  },
  {
    name: 'acts-on-best-head', place: 'client: `chain/follow.rs`, `follow`', drill: 'partition', args: ['--seed', '3'],
    mistake: 'the worker follows best blocks in place of finalized ones',
    sign: /^nothing is done of what is not final/,
  },
  {
    name: 'unsettled-state', place: 'client: `chain/connect.rs`, `must_be_readable`', drill: 'upgrade', args: ['--seed', '1', '--settle', '45'],
    mistake: 'a state is read although a migration has moved only a part of it',
    sign: /^and reads no state that is moved by half:? it read that of block \d+, and the state was moved by block \d+$/,
  },
  {
    name: 'lost-deadline', place: 'compute: `operations.rs`, `set_operation`', ...CHAOS,
    mistake: 'an operation has a deadline, and nothing is armed for it: what no worker answers stays for ever',
    sign: /^at block \d+: nothing is armed for the wait .* operation$/,
  },
  {
    name: 'wrong-address-released', place: 'compute: `ips.rs`, `return_ip`', ...CHAOS,
    mistake: 'what comes back is the address of another VM of the pool, which is then leased twice',
    sign: /^address .+ is held by request \d+, whose address it is not$/,
  },
  {
    name: 'queue-entry-left', place: 'compute: `deletion.rs`, `order_deletion`', ...CHAOS,
    mistake: 'a deletion takes the place of what is asked, which stays in its queue, with its deadline and its room',
    sign: /^h\d has a (boot|stop|reboot|resize) of request \d+, which is not there$/,
  },
  {
    name: 'refund-short', place: 'compute: `lease.rs`, `close`', ...OUTAGE,
    mistake: 'the last unit of what a tenant paid in advance stays on hold',
    sign: /^each pays what the rules say.* has on hold for leases is \d+, and should be \d+/,
  },
  {
    name: 'stale-report-taken', place: 'compute: `reports.rs`, `ensure_report`', drill: 'attackers', args: ['--seed', '1'],
    mistake: 'a report counts whatever generation it names',
    sign: /^a report at another generation than the request’s is refused.* the pool took it$/,
  },
  {
    name: 'downtime-billed', place: 'registry: `presence.rs`, `refresh`', ...OUTAGE,
    mistake: 'the time in which a node was away counts as served',
    sign: /^each pays what the rules say.* blocks were settled with/,
  },
  {
    name: 'capacity-leak', place: 'registry: `market.rs`, `release`', ...OUTAGE,
    mistake: 'the room of a VM that was evacuated is not given back to its node',
    sign: /^h\d has \d+ vcpus reserved, and its VMs take \d+$/,
  },
];
