/** The login `cert`: a TLS client certificate of the machine, from an authority that Vault was told to trust. */
import { createPrivateKey, X509Certificate } from 'node:crypto';
import { IdentityError } from '../../identity-error.ts';
import { readCredential } from '../credential-file.ts';
import { logIn, type VaultLogin } from '../log-in.ts';
import type { VaultRequest } from '../request.ts';

export interface CertificateLogin {
  readonly mount: string;
  readonly role: string;
  /** PEM: the certificate, then its intermediates. */
  readonly certificateFile: string;
  /** PEM. */
  readonly keyFile: string;
}

/**
 * Both files are read anew at each login. A pair that is being replaced may not match for a moment; that is said as
 * CREDENTIAL_UNREADABLE and tried again soon.
 *
 * @param now Milliseconds since 1970.
 */
export function createCertificateLogin(
  vault: VaultRequest,
  { mount, role, certificateFile, keyFile }: CertificateLogin,
  now: () => number,
): VaultLogin {
  return async () => {
    const cert = await readCredential(certificateFile, 'client certificate');
    const key = await readCredential(keyFile, 'client key');
    const about = check(cert, key, now());
    return logIn(vault, { mount, body: { name: role }, clientCertificate: { cert, key }, about });
  };
}

function check(pem: string, key: string, now: number): string {
  let certificate: X509Certificate;
  let fits: boolean;
  try {
    certificate = new X509Certificate(pem);
    fits = certificate.checkPrivateKey(createPrivateKey(key));
  } catch {
    // Without the cause, which is about the content of a key.
    throw new IdentityError('CREDENTIAL_UNREADABLE', 'the client certificate or its key is not whole');
  }
  if (!fits) throw new IdentityError('CREDENTIAL_UNREADABLE', 'the client certificate does not fit its key');
  const about = `the client certificate is of ${certificate.subject.replaceAll('\n', ', ')}`;
  if (certificate.validToDate.getTime() <= now)
    throw new IdentityError('CREDENTIAL_EXPIRED', `${about}, and ended at ${certificate.validToDate.toISOString()}`);
  return about;
}
