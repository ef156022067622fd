/** Who may ask: the allow-list, the kernel's table, and the rate. */
import assert from 'node:assert/strict';
import { endianness } from 'node:os';
import { test } from 'node:test';
import { DEFAULT_CALLERS, parseAllowList } from '../../sidecar/callers/allow-list.ts';
import { createCallRate } from '../../sidecar/callers/call-rate.ts';
import type { CallerFacts } from '../../sidecar/callers/caller.ts';
import { createPeerTable, findIn } from '../../sidecar/callers/peer-table.ts';
import { createSeldom } from '../../sidecar/callers/seldom.ts';

const OWN = 990;
const caller = (change: Partial<CallerFacts> = {}): CallerFacts => ({
  socket: false,
  uid: 1001,
  process: { pid: 7, exe: '/usr/bin/python3.11', cgroup: '/system.slice/uploader.service/worker' },
  ...change,
});
const overSocket = caller({ socket: true, uid: undefined, process: undefined });

const rules: readonly [list: string, who: string, facts: CallerFacts, may: boolean][] = [
  [DEFAULT_CALLERS, 'the sidecar’s own user', caller({ uid: OWN }), true],
  [DEFAULT_CALLERS, 'root', caller({ uid: 0 }), true],
  [DEFAULT_CALLERS, 'whoever may open the socket', overSocket, true],
  [DEFAULT_CALLERS, 'another user', caller(), false],
  [DEFAULT_CALLERS, 'a user that the system does not name', caller({ uid: undefined, process: undefined }), false],
  ['ch_1=uid:1001', 'the user', caller(), true],
  ['ch_1=uid:1001', 'root, who is not named', caller({ uid: 0 }), false],
  ['ch_1=uid:1001', 'whoever may open the socket', overSocket, false],
  ['ch_1=uid:100', 'a user whose number begins alike', caller(), false],
  ['ch_2=uid:1001', 'the user of another channel', caller(), false],
  ['ch_1=uid:5,*=uid:1001', 'the user of the other channels', caller(), false],
  ['ch_2=uid:5,*=uid:1001', 'the user of the other channels', caller(), true],
  ['ch_1=uid:5|uid:1001', 'the second user', caller(), true],
  ['ch_1=exe:/usr/bin/python3.11', 'the program', caller(), true],
  ['ch_1=exe:/usr/bin/python3', 'another program', caller(), false],
  ['ch_1=exe:/usr/bin/python3.11', 'a program that is not to be seen', caller({ process: undefined }), false],
  ['ch_1=uid:1001+exe:/usr/bin/python3.11', 'the program of the user', caller(), true],
  ['ch_1=uid:1001+exe:/usr/bin/python3.11', 'the program of another', caller({ uid: 5 }), false],
  ['ch_1=cgroup:/system.slice/uploader.service', 'a control group below', caller(), true],
  ['ch_1=cgroup:/system.slice/uploader', 'a control group that begins alike', caller(), false],
  ['ch_1=any', 'anybody', caller({ uid: undefined, process: undefined }), true],
];

for (const [list, who, facts, may] of rules)
  test(`${list} ${may ? 'lets in' : 'keeps out'} ${who}`, () => {
    assert.equal(parseAllowList(list, OWN).mayRead(facts, 'ch_1'), may);
  });

for (const list of [
  '',
  'ch_1',
  'ch_1=',
  'ch_1=uid:',
  'ch_1=uid:x',
  'ch_1=root',
  'ch_1=any:1',
  'a=any,a=any',
  'ch 1=any',
])
  test(`refuses the list ${list || '(empty)'}`, () => {
    assert.throws(() => parseAllowList(list, OWN), Error);
  });

test('says which lists need the user and which the process', () => {
  const needs = (list: string) => {
    const { needsUser, needsProcess } = parseAllowList(list, OWN);
    return [needsUser, needsProcess];
  };
  assert.deepEqual(
    [needs('*=any'), needs('*=socket')],
    [
      [false, false],
      [false, false],
    ],
  );
  assert.deepEqual(
    [needs(DEFAULT_CALLERS), needs('*=exe:/a')],
    [
      [true, false],
      [true, true],
    ],
  );
});

const head = '  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n';
const line = (local: string, remote: string, state: string, uid: number, inode: number) =>
  `   1: ${local} ${remote} ${state} 00000000:00000000 00:00000000 00000000  ${uid}        0 ${inode} 1 0000000000000000\n`;
const OUR_END = '0100007F:1B9E';
const PEER_END = '0100007F:9C40';
const connection = { localAddress: '127.0.0.1', localPort: 7070, remoteAddress: '127.0.0.1', remotePort: 40_000 };
const little = endianness() === 'LE' ? {} : { skip: 'the lines are those of a little-endian machine' };

test('finds the other end of a connection, and not our own', little, () => {
  const table = head + line(OUR_END, PEER_END, '01', 990, 51) + line(PEER_END, OUR_END, '01', 1001, 52);
  assert.deepEqual(findIn([table], connection), { uid: 1001, inode: '52' });
});

test('takes an end that nobody holds any more for nobody’s, although the kernel shows user 0', little, () => {
  for (const state of ['06', '05', '04']) {
    const table = head + line(PEER_END, OUR_END, state, 0, 0);
    assert.equal(findIn([table], connection), undefined);
  }
});

test('finds a program with an IPv6 socket that reaches 127.0.0.1', little, () => {
  const mapped = (end: string) => `0000000000000000FFFF0000${end}`;
  const table = head + line(mapped(PEER_END), mapped(OUR_END), '01', 1001, 52);
  assert.deepEqual(findIn([head, table], connection), { uid: 1001, inode: '52' });
});

test('finds a connection to ::1', little, () => {
  const ends = (port: string) => `00000000000000000000000001000000:${port}`;
  const table = head + line(ends('9C40'), ends('1B9E'), '01', 1001, 52);
  const overIpv6 = { ...connection, localAddress: '::1', remoteAddress: '::1' };
  assert.deepEqual(findIn([head, table], overIpv6), { uid: 1001, inode: '52' });
});

test('looks once for all connections that come together, and again where one was missed', little, async () => {
  let looks = 0;
  const find = createPeerTable(
    () => {
      looks += 1;
      return [looks < 3 ? head : head + line(PEER_END, OUR_END, '01', 1001, 52)];
    },
    () => 0,
  );
  const found = await Promise.all([find(connection), find(connection), find(connection)]);
  assert.deepEqual(found, Array(3).fill({ uid: 1001, inode: '52' }));
  assert.equal(looks, 3);
  assert.equal(await find({ ...connection, remotePort: 1 }), undefined, 'it gives up');
  assert.equal(looks, 6);
});

test('a caller has five seconds’ worth of turns at once, and then as many as come back', () => {
  const bucket = createCallRate(10).of('1001');
  const turns = (now: number) => {
    let taken = 0;
    while (bucket.take(now)) taken += 1;
    return taken;
  };
  assert.equal(turns(0), 50);
  assert.equal(turns(1_000), 10);
  assert.equal(turns(500), 0, 'a clock that is set back gives nothing');
  assert.equal(turns(3_600_000), 50);
});

test('connections of one user share their turns, and those of another have their own', () => {
  const rate = createCallRate(1);
  for (let turn = 0; turn < 5; turn += 1) assert.ok(rate.of('1001').take(0));
  assert.equal(rate.of('1001').take(0), false);
  assert.equal(rate.of('1002').take(0), true);
});

test('the same thing is told once in a while', () => {
  let now = 0;
  const isNews = createSeldom(60_000, () => now);
  assert.deepEqual([isNews('a'), isNews('a'), isNews('b')], [true, false, true]);
  now = 60_000;
  assert.equal(isNews('a'), true);
});
