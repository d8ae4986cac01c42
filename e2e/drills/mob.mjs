// A machine of an attacker: holds so many connections open to a port, opening another for each that ends, until its time
// is over; then it prints what it did. Arguments: address, port, how many, for how many seconds, and the addresses that
// it has.
import { connect } from 'node:net';

const AGAIN = 100;

const [host, port, count, seconds, ...sources] = process.argv.slice(2);
let opened = 0;
let most = 0;
const open = new Set();
const begun = Date.now();
const end = begun + Number(seconds) * 1_000;

function hold(number) {
  if (Date.now() > end) return;
  const socket = connect({ host, port: Number(port), localAddress: sources[number % sources.length] });
  socket.once('connect', () => {
    opened += 1;
    open.add(socket);
    most = Math.max(most, open.size);
    if (opened === 1) console.log('open');
  });
  // What it says is not read, so that nothing is answered.
  socket.on('error', () => {});
  socket.once('close', () => {
    open.delete(socket);
    setTimeout(hold, AGAIN, number);
  });
  socket.resume();
}

for (let number = 0; number < Number(count); number++) hold(number);
setTimeout(() => {
  const { user, system } = process.cpuUsage();
  console.log(JSON.stringify({ opened, most, seconds: (Date.now() - begun) / 1_000, cpu: (user + system) / 1e6 }));
  process.exit();
}, end - Date.now());
