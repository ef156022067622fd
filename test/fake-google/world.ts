/**
 * Who exists in the practice world: projects, OAuth clients, accounts and the identities a token can be bound to.
 * Pure state; tokens and consents are in `tokens.ts`.
 */
import type { RandomNames } from './random.ts';

/** A YouTube channel. */
export interface Channel {
  readonly id: string;
  readonly title: string;
  /** A personal channel belongs to the account itself; a brand channel is an identity of its own (reference Y4). */
  readonly kind: 'personal' | 'brand';
}

/** What a token is bound to: the account itself, or one of its brand channels. */
export interface Identity {
  /** Google's `sub`; a brand channel has its own. */
  readonly sub: string;
  /** A brand channel's address ends in `@pages.plusgoogle.com`, as Google's do. */
  readonly email: string;
  readonly name: string;
  readonly kind: 'personal' | 'brand';
  /** What `channels.list?mine=true` returns for this identity now: none, one, or (for the account itself) several. */
  channels: readonly Channel[];
}

/** A Google Account: the person who signs in. The first identity is the account itself. */
export interface Account {
  readonly email: string;
  readonly name: string;
  readonly identities: readonly [Identity, ...Identity[]];
}

/** What is needed to add an account. No `channels` means: a Google Account without YouTube. */
export interface AccountSettings {
  readonly email: string;
  readonly name?: string;
  /** `sub` of the account itself; made up when absent. */
  readonly sub?: string;
  readonly channels?: readonly Channel[];
}

/** Which `iss` a callback carries (RFC 9207; Google phases it in per user, reference G23). */
export type IssuerInCallback = 'present' | 'absent' | 'twice' | 'wrong';

/** An OAuth client as it is registered in the Cloud console. */
export interface Client {
  readonly clientId: string;
  readonly clientSecret: string;
  /** Clients of one project share one revocation (reference G32). */
  readonly project: string;
  /** The name that owners see on the consent page. */
  readonly applicationName: string;
  /** Compared character by character, the trailing slash included (reference G22). */
  readonly redirectUris: readonly string[];
  /** `testing`: refresh tokens die after seven days (reference G3). */
  readonly publishing: 'production' | 'testing';
  /** While testing, only these accounts may consent; absent means everyone. */
  readonly testUsers: readonly string[] | undefined;
  /** A Workspace-trusted application gets all scopes or none: no tick boxes (reference G18). */
  readonly trusted: boolean;
  /** `off` ignores proofs, `required` refuses a token request without one. */
  readonly dpop: 'off' | 'optional' | 'required';
  /** Whether a DPoP proof must carry a nonce (reference G27). */
  readonly dpopNonces: 'always' | 'never';
  readonly rotateRefreshTokens: boolean;
  readonly issuerInCallback: IssuerInCallback;
  /** Seconds of access that the owner grants; sets `refresh_token_expires_in` (reference G6). */
  readonly timeBasedAccess: number | undefined;
  /** `expires_in` of access tokens, seconds. */
  readonly accessTokenLifetime: number;
  /** Google also deletes clients on its own when they are unused (reference G10). */
  readonly status: 'active' | 'deleted' | 'disabled' | 'unauthorized';
}

/** What is needed to add a client; everything else has Google's usual value. */
export type ClientSettings = Pick<Client, 'clientId' | 'clientSecret' | 'redirectUris'> & Partial<Client>;

/** A Cloud project: the unit of revocation and of security events. */
export interface Project {
  readonly id: string;
  /** The service account that may register a security-event receiver, by its e-mail and public key (PEM). */
  readonly serviceAccount?: { readonly clientEmail: string; readonly publicKey: string };
}

/** The registered parts of the practice world. Every `add` replaces an entry of the same name. */
export interface World {
  addProject(project: Project): Project;
  addClient(settings: ClientSettings): Client;
  /** Changes a client in place, as an administrator in the console would. Throws for an unknown client. */
  updateClient(clientId: string, change: Partial<Client>): Client;
  addAccount(settings: AccountSettings): Account;
  /** Changes what `channels.list` returns for `sub`. Throws for an unknown identity. */
  setChannels(sub: string, channels: readonly Channel[]): void;
  projects(): readonly Project[];
  client(clientId: string): Client | undefined;
  clientsOf(project: string): readonly Client[];
  accounts(): readonly Account[];
  account(email: string): Account | undefined;
  identity(sub: string): Identity | undefined;
  /** Finds an identity by account e-mail and, for another than the account itself, channel id or title. */
  findIdentity(email: string, channel?: string): Identity | undefined;
}

const usualClient = {
  project: 'practice-project',
  applicationName: 'An application under test',
  publishing: 'production',
  testUsers: undefined,
  trusted: false,
  dpop: 'optional',
  dpopNonces: 'always',
  rotateRefreshTokens: false,
  issuerInCallback: 'present',
  timeBasedAccess: undefined,
  accessTokenLifetime: 3599,
  status: 'active',
} as const satisfies Partial<Client>;

/** Creates an empty world. */
export function createWorld({ names }: { names: RandomNames }): World {
  const projects = new Map<string, Project>();
  const clients = new Map<string, Client>();
  const accounts = new Map<string, Account>();
  const identities = new Map<string, Identity>();

  function personalIdentity({ email, name = email, sub = names.subject(), channels = [] }: AccountSettings): Identity {
    const own = channels.filter((channel) => channel.kind === 'personal');
    return { sub, email, name, kind: 'personal', channels: own };
  }

  function brandIdentity(channel: Channel): Identity {
    const sub = names.subject();
    const slug = channel.title.toLowerCase().replaceAll(/[^a-z0-9]+/g, '-');
    const email = `${slug}-${sub.slice(-4)}@pages.plusgoogle.com`;
    return { sub, email, name: channel.title, kind: 'brand', channels: [channel] };
  }

  return {
    addProject(project) {
      projects.set(project.id, project);
      return project;
    },
    addClient(settings) {
      const client: Client = { ...usualClient, ...settings };
      if (!projects.has(client.project)) projects.set(client.project, { id: client.project });
      clients.set(client.clientId, client);
      return client;
    },
    updateClient(clientId, change) {
      const client = clients.get(clientId);
      if (!client) throw new Error(`no client ${clientId} at the practice google`);
      const changed = { ...client, ...change, clientId };
      clients.set(clientId, changed);
      return changed;
    },
    addAccount(settings) {
      const { email, name = email, channels = [] } = settings;
      const brands = channels.filter((channel) => channel.kind === 'brand').map(brandIdentity);
      const account: Account = { email, name, identities: [personalIdentity(settings), ...brands] };
      accounts.set(email, account);
      for (const identity of account.identities) identities.set(identity.sub, identity);
      return account;
    },
    setChannels(sub, channels) {
      const identity = identities.get(sub);
      if (!identity) throw new Error(`no identity ${sub} at the practice google`);
      identity.channels = channels;
    },
    projects: () => [...projects.values()],
    client: (clientId) => clients.get(clientId),
    clientsOf: (project) => [...clients.values()].filter((client) => client.project === project),
    accounts: () => [...accounts.values()],
    account: (email) => accounts.get(email),
    identity: (sub) => identities.get(sub),
    findIdentity(email, channel) {
      const candidates = accounts.get(email)?.identities ?? [];
      if (channel === undefined) return candidates[0];
      return candidates.find((identity) =>
        identity.channels.some(({ id, title }) => id === channel || title === channel),
      );
    },
  };
}
