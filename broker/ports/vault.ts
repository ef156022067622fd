/** What the flows need from Vault. Every method may throw VAULT_SEALED, VAULT_UNAVAILABLE or VAULT_FORBIDDEN. */
import type { Secret } from '../domain/secret.ts';
import type { TenantKey, TenantKeyFault } from '../domain/tenant-key.ts';

/** Binds a ciphertext to its place: it decrypts only with the same tenant, channel and generation. */
export interface EncryptionContext {
  readonly tenant: string;
  readonly channel: string;
  readonly generation: number;
}

/** The tenants' transit keys (`transit/keys/tenant-NAME`, derived, not exportable). */
export interface TenantKeys {
  /** Creates the tenant's key; does nothing where it is. */
  create(tenant: string): Promise<void>;
  /** Answers Vault's ciphertext `vault:vN:…`. */
  encrypt(context: EncryptionContext, plaintext: Secret<string>): Promise<string>;
  decrypt(context: EncryptionContext, ciphertext: string): Promise<Secret<string>>;
  /**
   * OpenBao's soft-deleted keys can be restored: they are not destroyed. Throws VAULT_UNAVAILABLE where the engine itself is
   * not there, which is no absence.
   */
  presence(tenant: string): Promise<'present' | 'soft_deleted' | 'absent'>;
  /** Tries to decrypt each, in batches, and answers how many opened; no plaintext is kept. */
  countOpening(
    tenant: string,
    items: readonly (Omit<EncryptionContext, 'tenant'> & { readonly ciphertext: string })[],
  ): Promise<number>;
  /** A fresh 256-bit data key of the tenant, in clear and wrapped (`transit/datakey/plaintext`). */
  createDataKey(tenant: string): Promise<DataKey>;
  unwrapDataKey(tenant: string, wrapped: string): Promise<Secret<Buffer>>;
  /** What Vault says of the key, or what is wrong with it. */
  describe(tenant: string): Promise<TenantKey | { readonly fault: TenantKeyFault }>;
  /** Makes a new version, once. */
  rotate(tenant: string): Promise<void>;
  /**
   * Moves ciphertexts to the newest version, within Vault (`transit/rewrap` with `batch_input`). Answers in the same
   * order; one that Vault cannot rewrap does not hurt the others. Vault gets these one after the other.
   */
  rewrapBatch(tenant: string, ciphertexts: readonly BoundCiphertext[]): Promise<readonly RewrapResult[]>;
  /** Sets `min_decryption_version`. */
  setMinVersion(tenant: string, version: number): Promise<void>;
}

export interface BoundCiphertext {
  readonly channel: string;
  readonly generation: number;
  readonly ciphertext: string;
}

export type RewrapResult = { readonly ciphertext: string } | { readonly problem: string };

export interface DataKey {
  readonly key: Secret<Buffer>;
  readonly wrapped: string;
}

/** The data keys that this process works with, in its memory, so that what they encrypt needs no call to Vault. */
export interface DataKeys {
  /** The key to encrypt with: one for each tenant and process, replaced daily. Throws as `TenantKeys`. */
  current(tenant: string): Promise<DataKey>;
  /** Throws as `TenantKeys`. */
  unwrap(tenant: string, wrapped: string): Promise<Secret<Buffer>>;
  /** Told the newest version of the tenant's key: a data key wrapped by an older one is not used for anything new. */
  keyVersionIs(tenant: string, version: number): void;
  /** Drops what this process knows of the tenant. */
  forget(tenant: string): void;
}

/** Signs DPoP proofs (RFC 9449) with a P-256 key that never leaves transit; one key per OAuth client. */
export interface DpopKeys {
  /** Creates the client's key; does nothing where it is. */
  create(oauthClient: string): Promise<void>;
  /** The newest version and its public key as a JWK. */
  current(oauthClient: string): Promise<{ readonly version: number; readonly jwk: DpopJwk }>;
  publicKey(oauthClient: string, version: number): Promise<DpopJwk>;
  /** Raw R‖S in base64url over the JWS signing input (`marshaling_algorithm=jws`). */
  sign(oauthClient: string, version: number, signingInput: string): Promise<string>;
  /** Makes a new version for new grants (`transit/keys/dpop-CLIENT/rotate`); answers its number. */
  rotate(oauthClient: string): Promise<number>;
}

export interface DpopJwk {
  readonly kty: 'EC';
  readonly crv: 'P-256';
  readonly x: string;
  readonly y: string;
}

export interface ClientSecret {
  /** Its KV version. */
  readonly version: number;
  readonly secret: Secret<string>;
  readonly createdAt: Date;
}

/**
 * The OAuth clients' secrets in KV v2 (`oauth-clients/data/NAME`). What was read is remembered for half a minute. All
 * throw OAUTH_CLIENT_NOT_FOUND where no secret is stored.
 */
export interface OAuthClientSecrets {
  newest(oauthClient: string): Promise<ClientSecret>;
  /** Those before the newest, newest first, until one was deleted; at most two. */
  former(oauthClient: string): Promise<readonly ClientSecret[]>;
  /** The newest once more, read anew where what is remembered is still the one that Google refused. */
  newestAfter(oauthClient: string, refused: ClientSecret): Promise<ClientSecret>;
  /** Throws ALREADY_EXISTS where one is stored (KV v2 check-and-set 0). */
  create(oauthClient: string, secret: Secret<string>): Promise<void>;
  /** Puts a secret in front and answers its version; STORE_CONFLICT where somebody else did so at the same time. */
  replace(oauthClient: string, secret: Secret<string>): Promise<number>;
  /** Deletes the versions before `newest`, softly (`KV/delete/NAME`). */
  retireFormer(oauthClient: string, newest: number): Promise<void>;
}

/** What an issuer of Vault's PKI has revoked. */
export interface RevocationList {
  /** Vault's id of the issuer. */
  readonly issuer: string;
  readonly thisUpdate: Date;
  /** From then on it must not be relied on; undefined where it does not say. */
  readonly nextUpdate: Date | undefined;
  /** Serial numbers as Vault writes them. */
  readonly serials: readonly string[];
}

/** Vault's revocation lists. */
export interface RevocationLists {
  /** One for each issuer that has one, its signature verified. Throws REVOCATIONS_UNKNOWN where one is not good. */
  fetch(): Promise<readonly RevocationList[]>;
  /** Has Vault make them anew (`PKI/crl/rotate`). */
  renew(): Promise<void>;
}

/** Vault's PKI: signs the broker's own certificate, and says whom to trust. */
export interface CertificateAuthority {
  /** Throws VAULT_FORBIDDEN where the role does not allow the SPIFFE ID. */
  signCertificate(request: {
    /** The PKI role, for example `broker`. */
    readonly role: string;
    /** PKCS #10; the private key stays with its maker. */
    readonly csrPem: string;
    /** The one SPIFFE ID. Names in the CSR are ignored by our roles. */
    readonly uriSan: string;
  }): Promise<{
    readonly certificatePem: string;
    /** Intermediates, nearest first, without the root. */
    readonly chainPem: readonly string[];
  }>;
  /** All issuers of the mount as PEM, so that peers signed before a change of the root stay trusted. */
  trustBundle(): Promise<readonly string[]>;
}
