// Whether every request is in the state that its tenant last asked for, or failed with a reason.

export function wishDifferences({ requests }, lives) {
  const found = new Map(requests.map((request) => [request.request_id, request]));
  const unknown = requests.filter(({ request_id: id }) => !lives.has(id)).map(({ request_id: id }) => `request ${id} was never created`);
  return [...unknown, ...[...lives.values()].flatMap((life) => differencesOf(life, found.get(life.id)))];
}

function differencesOf({ id, wish, excuse, plan }, request) {
  if (!request) return wish === 'gone' ? [] : [`request ${id} is gone, and its tenant last asked that it be ${wish}`];
  const { status, operation, last_failure: failure, plan_id: found } = request;
  const differences = [];
  if (operation) differences.push(`request ${id} still waits: ${operation.kind} by block ${operation.deadline}`);
  if (status !== wish) differences.push(`request ${id} is ${status}, and its tenant last asked that it be ${wish}`);
  if (status === 'failed' && !failure) differences.push(`request ${id} failed and nobody says why`);
  if (excuse && !failure && status !== 'stopped') differences.push(`request ${id} was refused something (${excuse}), and its record does not say why`);
  if (plan && found !== plan) differences.push(`request ${id} has plan ${found}, and was given ${plan}`);
  return differences;
}
