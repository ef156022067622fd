import { parseSpiffeId } from '../../identity/spiffe-id.ts';
import { createSvidIssuer } from '../../sidecar/svid-issuer.ts';
import type { LoginConfig } from '../../sidecar/vault/login.ts';
import { createVaultLogin } from '../../sidecar/vault/login.ts';
import { createVaultRequest, type VaultAddress } from '../../sidecar/vault/request.ts';
import type { LogLine } from './sidecar.ts';
import type { SetUpVault } from './vault-set-up.ts';

export interface IssuerWish {
  readonly login: LoginConfig;
  /** `spiffe://…`, to ask for. */
  readonly spiffeId: string;
  readonly pkiMount?: string;
  readonly pkiRole?: string;
  readonly vault?: Partial<VaultAddress>;
  readonly now?: () => number;
  /** Hears what the login logs. */
  readonly lines?: LogLine[];
}

/** Makes the sidecar's issuer of certificates as `startSidecar` does, with anything else than usual. */
export function issuerFor({ address, layout }: Pick<SetUpVault, 'address' | 'layout'>, wish: IssuerWish) {
  const { now = Date.now, lines = [] } = wish;
  const vault = createVaultRequest({
    address: new URL(address),
    namespace: undefined,
    caFile: undefined,
    ...wish.vault,
  });
  const write = (facts: Omit<LogLine, 'message'>, message: string) => void lines.push({ ...facts, message });
  return createSvidIssuer({
    vault,
    login: createVaultLogin(vault, wish.login, { log: { info: write, warn: write, error: write }, now }),
    pkiMount: wish.pkiMount ?? layout.mounts.pki,
    pkiRole: wish.pkiRole ?? 'workload',
    spiffeId: parseSpiffeId(wish.spiffeId),
    now,
  });
}
