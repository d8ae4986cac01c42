// Disks are lost, and what was on them is restored from what the runbook says to back up.
import { backupsOfHosts } from './backup-hosts.mjs';
import { backupsOfValidators } from './backup-validators.mjs';
import { Findings } from './findings.mjs';

export const drill = {
  name: 'backups',
  about: 'the disks of validators and of a miner’s host are lost, and restored by the runbook',
  run,
};

async function run({ say }) {
  const findings = new Findings(say);
  await backupsOfHosts(findings, say);
  await backupsOfValidators(findings, say);
  return findings;
}
