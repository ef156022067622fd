import type { Admission } from '../ports.ts';

/** Admits everything: for tests, and for whoever has no limit to keep. */
export const admitAll: Admission = {
  excluded: () => ({ clients: [], lookAgainAt: undefined }),
  mostPerClient: 1_000,
  run: (_client, _region, work) => work(),
};
