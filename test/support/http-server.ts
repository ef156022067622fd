/** The real HTTP server on a port of its own, with flows and identities that a test gives. */
import { randomBytes } from 'node:crypto';
import { createRequestIds } from '../../broker/domain/request-id.ts';
import { BrokerError } from '../../broker/errors.ts';
import type { Flows } from '../../broker/http/flows.ts';
import { createHttpServer, type HttpServerDeps } from '../../broker/http/server.ts';
import { createFakeFlows, type FakeFlows } from './fake-flows.ts';

/** Whom the tokens name that the test server takes; every other token is refused. */
const people: Readonly<Record<string, Readonly<Record<string, unknown>>>> = {
  'alice-token': { sub: 'alice', name: 'Alice Archer', groups: ['studio', 'operators'] },
  'bob-token': { sub: 'bob' },
  'nameless-token': { name: 'No Subject' },
  'empty-token': { sub: '' },
};

export interface TestServer extends AsyncDisposable {
  readonly url: string;
  readonly flows: FakeFlows;
  /** What was logged, as text. */
  readonly logged: string[];
}

export interface TestServerOptions {
  readonly flows?: Partial<Flows>;
  readonly deps?: Partial<HttpServerDeps>;
  /** Where owners are sent to consent. */
  readonly authorizationUrl?: string;
}

export async function startHttpServer(options: TestServerOptions = {}): Promise<TestServer> {
  const authorizationUrl = options.authorizationUrl ?? 'https://accounts.example.com/authorize';
  const flows = createFakeFlows(authorizationUrl, options.flows);
  const logged: string[] = [];
  const write = (fields: object, message: string): void => {
    logged.push(`${message} ${JSON.stringify(fields)}`);
  };
  const server = createHttpServer({
    flows,
    verifyIdentity: async (jwt) => {
      const claims = people[jwt.reveal()];
      if (!claims) throw new BrokerError('UNAUTHENTICATED', { detail: 'signature verification failed' });
      return claims;
    },
    claims: { subject: 'sub', name: 'name', groups: 'groups' },
    publicUrl: 'http://127.0.0.1:8080',
    authorizationUrl,
    trustedProxies: [],
    log: { info: write, warn: write, error: write },
    newRequestId: createRequestIds({ random: randomBytes, replica: 'test' }),
    version: '1.2.3',
    ...options.deps,
  });
  const listening = await server.listen({ host: '127.0.0.1', port: 0 });
  return {
    url: `http://127.0.0.1:${listening.port}`,
    flows,
    logged,
    [Symbol.asyncDispose]: () => listening.close(),
  };
}
