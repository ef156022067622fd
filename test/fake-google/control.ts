/**
 * The controls of the practice Google as JSON over HTTP, for a process that did not start it (`npm start`):
 * `POST /__practice/ACTION` with the action's arguments as a JSON array answers with the action's result.
 * `remote.ts` is the client. Only `content-type: application/json` is taken, so no web page can call it blindly.
 */
import { type Answer, type Endpoint, json, notFound } from './http.ts';
import type { PracticeGoogle } from './practice-google.ts';

/** Everything below this path is a control and no part of Google's contract. */
export const controlPath = '/__practice/';

/** The actions, by the name in the path. All take and return plain JSON. */
export function controlActions(google: PracticeGoogle) {
  return {
    endpoints: () => google.endpoints,
    addProject: google.addProject,
    addClient: google.addClient,
    updateClient: google.updateClient,
    addAccount: google.addAccount,
    setChannels: google.setChannels,
    now: google.now,
    advance: google.advance,
    setClock: google.setClock,
    addFault: (rule: Parameters<typeof google.faults.add>[0]) => google.faults.add(rule).id,
    clearFaults: google.faults.clear,
    counts: google.counts.snapshot,
    requestLog: google.counts.log,
    resetCounts: google.counts.reset,
    grant: google.grant,
    revokeByOwner: google.revokeByOwner,
    setRevocationTiming: google.setRevocationTiming,
    expire: google.expire,
    uploads: google.uploads,
    registerSecurityEvents: google.securityEvents.register,
    deliverSecurityEvent: google.securityEvents.deliver,
  };
}

/** The actions of {@link controlActions}. */
export type ControlActions = ReturnType<typeof controlActions>;

/** Creates the endpoint behind `/__practice/…`. An action that throws is a `400` with its message. */
export function createControl(google: PracticeGoogle): Endpoint {
  const actions: Readonly<Record<string, (...args: never[]) => unknown>> = controlActions(google);
  return async (request): Promise<Answer> => {
    const name = request.path.slice(controlPath.length);
    const action = Object.hasOwn(actions, name) ? actions[name] : undefined;
    if (!action || request.method !== 'POST') return notFound();
    if (!request.headers['content-type']?.startsWith('application/json')) {
      return json(415, { error: 'the practice controls take application/json only' });
    }
    try {
      const args = JSON.parse(request.body.toString('utf8') || '[]') as never[];
      return json(200, (await action(...args)) ?? null);
    } catch (error) {
      return json(400, { error: error instanceof Error ? error.message : String(error) });
    }
  };
}
