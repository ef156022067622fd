/** What a test, a benchmark or `npm start` can do with a practice Google. `server.ts` starts one. */
import type { Counts } from './counters.ts';
import type { Faults } from './faults.ts';
import type { SigningKey } from './jwt.ts';
import type { Endpoints } from './openid.ts';
import type { RandomSource } from './random.ts';
import type { RevocationTiming } from './revocations.ts';
import type { SecurityEvents } from './security-events.ts';
import type { TokenSettings } from './tokens.ts';
import type { ConsentChoices } from './walk-consent.ts';
import type { Account, AccountSettings, Channel, Client, ClientSettings, Project } from './world.ts';
import type { UploadedVideo } from './youtube-upload.ts';

/** How the practice Google is started; everything has a default. */
export interface PracticeGoogleOptions {
  /** Port on 127.0.0.1. Default: a free one. */
  readonly port?: number;
  /** Issuer identifier of ID tokens and of the callback's `iss`. Default: the server's own URL. */
  readonly issuer?: string;
  /** Milliseconds since the epoch. Default: the machine's clock. */
  readonly clock?: () => number;
  readonly random?: RandomSource;
  /** Signs ID tokens and security events. Default: a new key, made when it is first needed. */
  readonly signingKey?: SigningKey;
  readonly tokens?: Partial<TokenSettings>;
  readonly revocation?: Partial<RevocationTiming>;
  /** The error for a DPoP-bound refresh token shown without its key. Default: `invalid_grant`. */
  readonly boundTokenRefusal?: 'invalid_grant' | 'invalid_dpop_proof';
}

/** A grant made without anybody clicking: for benchmarks and tests that need many. */
export interface DirectGrant {
  readonly clientId: string;
  /** E-mail address of the account. */
  readonly account: string;
  /** Id or title of a brand channel; absent: the account itself. */
  readonly channel?: string;
  /** Space-separated. */
  readonly scope: string;
}

/** Whose consent to take back: a token's owner, or an account's identity and the project. */
export type OwnersChoice =
  | { readonly token: string }
  | { readonly account: string; readonly channel?: string; readonly project: string };

/** What tests and other processes can do to the world, beside talking to its endpoints. */
export interface PracticeGoogle extends AsyncDisposable {
  /** `http://127.0.0.1:PORT` */
  readonly url: string;
  readonly endpoints: Endpoints;

  addProject(project: Project): Project;
  addClient(settings: ClientSettings): Client;
  /** Changes a client in place: delete it, switch rotation on, send a wrong `iss`. Throws for an unknown client. */
  updateClient(clientId: string, change: Partial<Client>): Client;
  addAccount(settings: AccountSettings): Account;
  /** Changes what `channels.list` returns for the identity `sub`: channels drift, vanish, or become ambiguous. */
  setChannels(sub: string, channels: readonly Channel[]): void;

  /** The practice clock, milliseconds since the epoch. */
  now(): number;
  advance(ms: number): void;
  /** Sets the clock and lets it stand until it is advanced or set again. */
  setClock(epochMs: number): void;

  readonly faults: Faults;
  readonly counts: Counts;
  readonly securityEvents: SecurityEvents;

  /** Walks the consent over HTTP as the owner would; returns the callback URL without requesting it. */
  consent(authorizationUrl: string, choices: ConsentChoices): Promise<string>;
  /** Issues tokens without a consent page. */
  grant(grant: DirectGrant): { readonly refreshToken: string; readonly accessToken: string; readonly sub: string };
  /** The owner takes access back in the account's settings: for the whole project, with the set delay. */
  revokeByOwner(choice: OwnersChoice, timing?: Partial<RevocationTiming>): void;
  /** Sets how revocations of the endpoint take effect from now on. Default: at once. */
  setRevocationTiming(timing: Partial<RevocationTiming>): void;
  /** Lets a refresh or access token expire now. Throws for a token never issued. */
  expire(token: string): void;
  /** Refresh tokens that work now, oldest first. */
  liveRefreshTokens(): readonly string[];
  /** Videos that arrived completely. */
  uploads(): readonly UploadedVideo[];

  /** Closes every connection and frees the port. */
  close(): Promise<void>;
}
