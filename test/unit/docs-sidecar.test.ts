/** docs/sidecar.md names the settings that are, and the environment that Google's libraries are tested with. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type * as z from 'zod';
import { settings } from '../../sidecar/config.ts';
import { workerEnvironment } from '../clients/worker.ts';
import { code, named, readDocument, sectionOf, tableOf } from '../support/documents.ts';

const text = readDocument('docs/sidecar.md');

test('docs/sidecar.md lists every setting with its default', () => {
  const expected = Object.entries(settings.shape).map(([name, type]) => [
    code(name),
    defaultOf(type).replaceAll('|', '\\|'),
    (type.description ?? '').replaceAll('|', '\\|'),
  ]);
  assert.deepEqual(tableOf(text, 'Settings'), expected);
});

test('docs/sidecar.md shows the environment that Google’s libraries are tested with, and explains each name', () => {
  const section = sectionOf(text, 'The GCE metadata protocol');
  const exported = [...section.matchAll(/^export (\w+)=(.*)$/gm)].map(([, name = '', value = '']) => [name, value]);
  const { SIDECAR_GCE_CHANNELS, ...documented } = Object.fromEntries(exported) as Record<string, string>;
  assert.ok(SIDECAR_GCE_CHANNELS);
  const { HTTP_PROXY, HTTPS_PROXY, ...tested } = workerEnvironment('http://127.0.0.1:7072');
  assert.deepEqual(documented, tested);

  const explained = tableOf(text, 'The GCE metadata protocol').map(([name]) => named(name));
  for (const name of Object.keys(documented)) assert.ok(explained.includes(name), `${name} is not explained`);
});

function defaultOf(type: z.core.$ZodType): string {
  const { def } = type._zod;
  if (def.type === 'optional') return 'not set';
  if (!('defaultValue' in def)) return '**must be set**';
  return def.defaultValue === '' ? 'none' : code(String(def.defaultValue));
}
