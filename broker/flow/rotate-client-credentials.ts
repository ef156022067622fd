import type { Person } from '../domain/caller.ts';
import type { Secret } from '../domain/secret.ts';
import { BrokerError } from '../errors.ts';
import type { AuthorizationServer, OAuthClientSecrets } from '../ports.ts';
import { type ChangeOAuthClientDeps, oauthClientFor } from './change-oauth-client.ts';
import { invalid } from './input.ts';
import { onRecord } from './on-record.ts';

type Deps = ChangeOAuthClientDeps & { readonly secrets: OAuthClientSecrets; readonly google: AuthorizationServer };

/** What Google says of the secret that is tried first now. */
export interface RotatedSecret {
  /** Its KV version. */
  readonly version: number;
  /** Undefined where Google did not answer. */
  readonly accepted: boolean | undefined;
}

/** Puts a new secret in front; the former one stays as the fall-back until it is retired. */
export function createRotateClientSecret(deps: Deps) {
  return async (caller: Person, input: { name: string; clientSecret: Secret<string> }): Promise<RotatedSecret> => {
    const action = 'oauth-client.rotate-secret';
    const client = await oauthClientFor(deps, caller, action, input.name);
    if (!/^[\x21-\x7e]{1,512}$/.test(input.clientSecret.reveal())) {
      throw invalid('client_secret: 1 to 512 printable characters without spaces');
    }
    const { version } = await onRecord(deps, caller, action, { oauthClient: client.name }, async () => ({
      version: await deps.secrets.replace(client.name, input.clientSecret),
    }));
    return { version, accepted: await deps.google.acceptsSecret(client, input.clientSecret) };
  };
}

/** Ends the former secrets. Refused where Google does not accept the newest now, unless forced. */
export function createRetireClientSecrets(deps: Deps) {
  return async (caller: Person, input: { name: string; force: boolean }): Promise<RotatedSecret> => {
    const action = 'oauth-client.retire-secret';
    const client = await oauthClientFor(deps, caller, action, input.name);
    const { secret, version } = await deps.secrets.newest(client.name);
    const accepted = await deps.google.acceptsSecret(client, secret);
    if (accepted !== true && !input.force) {
      throw new BrokerError(accepted === false ? 'OAUTH_CLIENT_REJECTED' : 'AUTHORIZATION_SERVER_UNAVAILABLE', {
        problems: [`version ${version} of the secret is not known to be accepted: the former ones stay, unless forced`],
      });
    }
    await onRecord(deps, caller, action, { oauthClient: client.name }, async () => {
      await deps.secrets.retireFormer(client.name, version);
      return { version, forced: input.force };
    });
    return { version, accepted };
  };
}

/** Makes a new version of the client's DPoP key for new grants; older grants are refreshed with theirs for ever. */
export function createRotateDpopKey(deps: Deps) {
  return async (caller: Person, input: { name: string }): Promise<{ readonly version: number }> => {
    const action = 'oauth-client.rotate-dpop-key';
    const client = await oauthClientFor(deps, caller, action, input.name);
    return onRecord(deps, caller, action, { oauthClient: client.name }, async () => {
      await deps.dpopKeys.create(client.name);
      return { version: await deps.dpopKeys.rotate(client.name) };
    });
  };
}
