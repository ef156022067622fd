/** What `broker vault …` is told: where Vault is and how it is laid out, with the operator's own login. */
import * as z from 'zod';
import { brokerSettings } from './broker-settings.ts';
import { cliSettings } from './cli-settings.ts';
import { setting } from './setting.ts';
import * as is from './values.ts';

const { trustDomain, vault, identity } = brokerSettings.shape;

export const operatorSettings = z.object({
  trustDomain,
  vault: vault.pick({
    address: true,
    namespace: true,
    caFile: true,
    appRoleMount: true,
    transitMount: true,
    kvMount: true,
    anchorMount: true,
    pkiMount: true,
  }),
  token: cliSettings.shape.vault.shape.token,
  audience: identity.shape.audience,
  issuer: setting(
    'BROKER_VAULT_ISSUER',
    is.url.optional(),
    'Scheme, host and port that Vault writes as the issuer of identity tokens; its own `api_addr` where not set.',
    { example: 'https://vault.example.com:8200' },
  ),
});
