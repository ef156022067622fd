/** What the admin commands are told. */
import * as z from 'zod';
import { setting } from './setting.ts';
import * as is from './values.ts';

export const cliSettings = z.object({
  brokerUrl: setting('BROKER_URL', is.origin, 'Where the admin API is.', { default: 'http://127.0.0.1:8080' }),
  tokenFile: setting(
    'BROKER_TOKEN_FILE',
    is.path.optional(),
    'A file with your identity token (a JWT). Where it is not set, the command asks Vault for one with your Vault login.',
    {
      example: '/run/user/1000/token-broker.jwt',
    },
  ),
  reason: setting(
    'BROKER_REASON',
    is.text.optional(),
    'Why you act, a ticket for example; goes on the audit record with what the command does.',
    { example: 'OPS-1234' },
  ),
  identityRole: setting(
    'BROKER_IDENTITY_ROLE',
    is.text,
    'The role under identity/oidc/token/ that Vault signs your identity with.',
    { default: 'token-broker-admin' },
  ),
  vault: z.object({
    address: setting('VAULT_ADDR', is.url.optional(), 'The address of Vault or OpenBao.', {
      example: 'https://vault.example.com:8200',
    }),
    namespace: setting('VAULT_NAMESPACE', is.text.optional(), 'The Vault namespace.', { example: 'media/' }),
    token: setting(
      'VAULT_TOKEN',
      is.secret.optional(),
      'Your Vault login; else it is read from ~/.vault-token, where `vault login` leaves it.',
    ),
  }),
});
