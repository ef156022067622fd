import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { onPath, toolsFolder } from '../../stack/find-server.mjs';
import { EXCUSED } from '../runner/outcome.ts';

/** A thing that some machines lack: where it is, and how it gets there. */
interface Requirement {
  find(): string | undefined;
  readonly how: string;
}

const requirements = {
  chromium: {
    find: () => onPath(process.env, 'chromium', 'chromium-browser', 'google-chrome'),
    how: 'Chromium is not on PATH; on Debian: apt install chromium',
  },
  python: {
    find: () => onPath(process.env, 'python3', 'python'),
    how: 'Python 3.9 or later is not on PATH; on Debian: apt install python3 python3-venv',
  },
  'python-google-auth': {
    find: () =>
      existsSync(join(toolsFolder, 'google-auth/google/auth')) ? onPath(process.env, 'python3', 'python') : undefined,
    how: "Google's Python library is not in .tools/google-auth; with Python 3.9 or later: node stack/install.mjs test",
  },
  root: {
    find: () => (process.getuid?.() === 0 ? 'root' : undefined),
    how: 'to be another user for a while, the tests have to run as root',
  },
  kubernetes: {
    find: () => [join(toolsFolder, 'kubernetes/kube-apiserver')].find(existsSync),
    how: 'kube-apiserver and etcd are not in .tools/kubernetes; nothing of ours brings them',
  },
} as const satisfies Record<string, Requirement>;

/** What a test may need beside the parts that `npm test` brings to every machine. */
export type RequirementName = keyof typeof requirements;

/**
 * Makes the options of a test that some machines cannot run: `test('…', requires('chromium'), async (t) => …)`.
 * The runner names each such test with the reason at the end, and takes it for a failure where `CI=true`, but for what
 * `TEST_WITHOUT` names: what that machine cannot have.
 */
export function requires(...names: RequirementName[]): { skip?: string } {
  const missing = names.filter((name) => requirements[name].find() === undefined);
  if (missing.length === 0) return {};
  const excused = missing.every((name) => process.env.TEST_WITHOUT?.split(',').includes(name));
  return { skip: missing.map((name) => requirements[name].how).join('; ') + (excused ? EXCUSED : '') };
}

/** The executable that a requirement stands for: the browser, or the Python that runs with `pythonEnvironment`. */
export function executableOf(name: RequirementName): string {
  const path = requirements[name].find();
  if (path === undefined) throw new Error(requirements[name].how);
  return path;
}

/** The environment in which Python finds Google's library. */
export const pythonEnvironment = { PATH: process.env.PATH, PYTHONPATH: join(toolsFolder, 'google-auth') };
