/** Drives a practice Google that runs in another process. */
import { type ControlActions, controlPath } from './control.ts';

/** The actions of `control.ts`, each over HTTP. */
export type RemotePracticeGoogle = {
  readonly [Name in keyof ControlActions]: (
    ...args: Parameters<ControlActions[Name]>
  ) => Promise<Awaited<ReturnType<ControlActions[Name]>>>;
};

/** Connects to the practice Google at `url`. Its actions throw with the server's sentence when it refuses. */
export function connectPracticeGoogle(url: string): RemotePracticeGoogle {
  const call = async (name: string, args: unknown[]): Promise<unknown> => {
    const response = await fetch(`${url}${controlPath}${name}`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify(args),
    });
    const answer = (await response.json()) as unknown;
    if (response.ok) return answer;
    throw new Error(`practice google refused ${name}: ${JSON.stringify(answer)}`);
  };
  return new Proxy({} as RemotePracticeGoogle, {
    get: (_, name) => (name === 'then' ? undefined : (...args: unknown[]) => call(String(name), args)),
  });
}
