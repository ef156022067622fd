import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { readSerial, serialOf } from '../../identity/serial.ts';
import { checkWorkloadPattern, namesWorkload } from '../../identity/workload-pattern.ts';

const td = 'media.example';
const path = `spiffe://${td}/ns/video/*`;

describe('a name with /* at its end', () => {
  test('names every workload below the path, by whole segments, and no other', () => {
    for (const id of ['ns/video/up', 'ns/video/a/b'])
      assert.equal(namesWorkload(path, `spiffe://${td}/${id}`), true, id);
    for (const id of ['ns/video', 'ns/video2/up', 'ns/vide/up', 'NS/video/up', 'x/ns/video/up'])
      assert.equal(namesWorkload(path, `spiffe://${td}/${id}`), false, id);
    assert.equal(namesWorkload(path, 'spiffe://media.example.evil/ns/video/up'), false);
  });

  test('is one in the trust domain, with a segment before the star', () => {
    checkWorkloadPattern(path, td);
    checkWorkloadPattern(`spiffe://${td}/ns/*`, td);
    const wrong: Readonly<Record<string, RegExp>> = {
      [`spiffe://${td}/*`]: /whole trust domain/,
      'spiffe://*': /whole trust domain/,
      'spiffe:///*': /whole trust domain/,
      [`spiffe://${td}/ns/vid*`]: /only letters/,
      [`spiffe://${td}/*/up`]: /only letters/,
      [`spiffe://${td}/ns/**`]: /only letters/,
      [`spiffe://${td}/ns//*`]: /empty segment/,
      [`spiffe://${td}/ns/../*`]: /relative segment/,
      'spiffe://elsewhere.example/ns/*': /only workloads of media\.example/,
      'spiffe://elsewhere.example/ns/up': /only workloads of media\.example/,
      '*': /begins with/,
    };
    for (const [text, why] of Object.entries(wrong))
      assert.throws(() => checkWorkloadPattern(text, td), { name: 'SpiffeIdError', message: why }, text);
  });
});

test('a name without a star names the one workload', () => {
  const id = `spiffe://${td}/workload/up`;
  checkWorkloadPattern(id, td);
  assert.equal(namesWorkload(id, id), true);
  assert.equal(namesWorkload(id, `${id}/below`), false);
});

test('serial numbers are one, however they are written', () => {
  for (const text of ['0A:1b:2C', '0a1b2c', 'a1b2c', '000A1B2C']) assert.equal(readSerial(text), '0a:1b:2c', text);
  assert.equal(serialOf('00f1'), 'f1');
  for (const text of ['', 'xyz', '0a 1b', 'f'.repeat(65)]) assert.equal(readSerial(text), undefined, text);
});
