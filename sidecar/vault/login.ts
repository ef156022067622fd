/** The login that the settings choose. */
import type { Log } from '../log.ts';
import type { VaultLogin } from './log-in.ts';
import { createAppRoleLogin, secretIdFrom } from './login/approle.ts';
import { type CertificateLogin, createCertificateLogin } from './login/cert.ts';
import { createJwtLogin } from './login/jwt.ts';
import { createKubernetesLogin, type ServiceAccountLogin } from './login/kubernetes.ts';
import { createTokenFileLogin } from './login/token-file.ts';
import { createWrappedSecretId } from './login/wrapped-secret-id.ts';
import type { VaultRequest } from './request.ts';

export type LoginConfig =
  | {
      readonly method: 'approle';
      readonly mount: string;
      readonly roleIdFile: string;
      readonly secretId: SecretIdPlace;
    }
  | ({ readonly method: 'kubernetes' | 'jwt' } & ServiceAccountLogin)
  | ({ readonly method: 'cert' } & CertificateLogin)
  | { readonly method: 'token'; readonly tokenFile: string };

/** In clear in a file, or wrapped in one. */
export type SecretIdPlace =
  | { readonly file: string }
  | { readonly wrappedFile: string; readonly keptIn: string | undefined };

export function createVaultLogin(
  vault: VaultRequest,
  config: LoginConfig,
  { log, now }: { readonly log: Log; readonly now: () => number },
): VaultLogin {
  switch (config.method) {
    case 'approle': {
      const { mount, roleIdFile, secretId: place } = config;
      const secretId =
        'file' in place
          ? secretIdFrom(place.file)
          : createWrappedSecretId(vault, { mount, file: place.wrappedFile, keptIn: place.keptIn }, log);
      return createAppRoleLogin(vault, { mount, roleIdFile, secretId });
    }
    case 'kubernetes':
      return createKubernetesLogin(vault, config, now);
    case 'jwt':
      return createJwtLogin(vault, config, now);
    case 'cert':
      return createCertificateLogin(vault, config, now);
    case 'token':
      return createTokenFileLogin(config.tokenFile);
  }
}
