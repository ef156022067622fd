import { readFile } from 'node:fs/promises';
import type { VaultLayout } from './layout.ts';

/** The policies, by the names of their files here. */
export const policyFiles = [
  'broker',
  'workload',
  'workload-kubernetes',
  'workload-jwt',
  'workload-cert',
  'operator',
  'admin-identity',
  'bootstrap',
] as const;
export type PolicyFile = (typeof policyFiles)[number];

/** Reads `NAME.hcl` and puts the layout's names in the place of `${…}`; throws for a placeholder without a name. */
export async function policyText(file: PolicyFile, layout: VaultLayout): Promise<string> {
  const names: Readonly<Record<string, string>> = {
    ...layout.mounts,
    brokerPolicy: layout.policies.broker,
    workloadPolicy: layout.policies.workload,
    kubernetesPolicy: layout.policies['workload-kubernetes'],
    jwtPolicy: layout.policies['workload-jwt'],
    certPolicy: layout.policies['workload-cert'],
    kubernetes: layout.logins.kubernetes,
    jwt: layout.logins.jwt,
    cert: layout.logins.cert,
    operatorPolicy: layout.policies.operator,
    adminIdentityPolicy: layout.policies['admin-identity'],
    identityKey: layout.identity.key,
    identityRole: layout.identity.role,
  };
  const template = await readFile(new URL(`${file}.hcl`, import.meta.url), 'utf8');
  return template.replace(/\$\{(\w*)\}/g, (_, placeholder: string) => {
    const name = names[placeholder];
    if (name === undefined) throw new Error(`${file}.hcl: nothing is called ${placeholder}`);
    return name;
  });
}
