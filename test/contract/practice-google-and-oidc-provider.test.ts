import { startPracticeGoogle } from '../fake-google/server.ts';
import { startOidcProvider } from '../support/oidc-provider.ts';
import { describeAuthorizationServer } from './authorization-server-contract.ts';

const clientId = 'contract-client';
const clientSecret = 'contract-secret';
const redirectUri = 'http://127.0.0.1:1/callback';
const client = { clientId, clientSecret, redirectUri };

describeAuthorizationServer('the practice Google', async () => {
  const google = await startPracticeGoogle();
  google.addClient({ clientId, clientSecret, redirectUris: [redirectUri] });
  const account = 'owner@example.com';
  google.addAccount({ email: account, channels: [{ id: 'UC1', title: 'A channel', kind: 'personal' }] });
  return {
    issuer: google.endpoints.issuer,
    endpoints: google.endpoints,
    client,
    consent: (url, decision) => google.consent(url, { account, decision }),
    close: google.close,
  };
});

describeAuthorizationServer('oidc-provider', async () => {
  const provider = await startOidcProvider({ clients: [{ clientId, clientSecret, redirectUris: [redirectUri] }] });
  return {
    issuer: provider.issuer,
    endpoints: provider.endpoints,
    client,
    consent: (url, decision) => provider.consent(url, { decision }),
    close: provider.close,
  };
});
