/** What the doctor can find, each with the cure. The codes are stable. */
import { errorTable, type OwnCode } from '../errors.ts';
import { identityProblems } from '../identity-error.ts';

/** `failure` keeps tokens from the worker, or gives it another's; `warning` may, or shows what should not be seen. */
export type Level = 'ok' | 'warning' | 'failure' | 'skipped';

/** What is wrong, and the cure, for everything that is not told by Vault or the broker. */
export const traps = {
  SETTINGS_WRONG: [
    'failure',
    'Settings are missing or malformed.',
    'Mend these environment variables; docs/sidecar.md lists them.',
  ],
  NODE_OPTIONS_REFUSED: [
    'failure',
    'Node.js is started with options that show its memory; the sidecar does not start with them.',
    'Take them out of NODE_OPTIONS and of the command line.',
  ],
  CORE_PATTERN_PIPED: [
    'warning',
    'This machine hands core dumps to a program, which may keep one although the sidecar has switched its own off.',
    'See that it heeds a limit of 0, as systemd-coredump does, or set kernel.core_pattern to a file.',
  ],
  FILE_UNREADABLE: [
    'failure',
    'A file that a setting names cannot be read.',
    'Let the sidecar’s user read it, or name the right one.',
  ],
  FILE_OPEN_TO_OTHERS: ['warning', 'A file with a secret can be read by every user of this machine.', 'chmod o= FILE'],
  PORT_TAKEN: [
    'failure',
    'A port of the sidecar is taken by another program.',
    'End that program, or give the sidecar another port.',
  ],
  SIDECAR_NOT_READY: [
    'failure',
    'A sidecar runs here and cannot serve.',
    'See what it names as its obstacles, and its log.',
  ],
  SIDECAR_DEGRADED: [
    'warning',
    'A sidecar runs here and does not hear of changes.',
    'See its log; until then tokens are checked with the broker at short intervals.',
  ],
  PROXY_WITHOUT_NO_PROXY: [
    'failure',
    'A proxy is set, and Google’s libraries would ask it for the sidecar.',
    'export NO_PROXY=127.0.0.1,localhost',
  ],
  GCLOUD_LOGIN: [
    'failure',
    'A login of gcloud is there, which Google’s libraries prefer to a metadata server: uploads would go to that account’s channel.',
    'export CLOUDSDK_CONFIG=/nonexistent',
  ],
  GOOGLE_APPLICATION_CREDENTIALS: [
    'failure',
    'Google’s libraries take the credentials of that file and never ask the sidecar.',
    'unset GOOGLE_APPLICATION_CREDENTIALS',
  ],
  GOOGLE_MDS_MTLS: [
    'failure',
    'This is a machine of Google’s with its own metadata server, which Python prefers.',
    'export GCE_METADATA_MTLS_MODE=none',
  ],
  GCE_CHECK_OFF: [
    'failure',
    'NO_GCE_CHECK keeps Python and Java from looking for a metadata server.',
    'unset NO_GCE_CHECK',
  ],
  METADATA_DETECTION: [
    'failure',
    'METADATA_SERVER_DETECTION keeps Node.js from finding the sidecar, or makes it probe first.',
    'export METADATA_SERVER_DETECTION=assume-present',
  ],
  METADATA_HOSTS_DIFFER: [
    'failure',
    'GCE_METADATA_HOST and GCE_METADATA_IP differ, and each language reads another of them.',
    'eval "$(sidecar env --channel CHANNEL)"',
  ],
  METADATA_HOST_SILENT: [
    'failure',
    'No sidecar answers where GCE_METADATA_HOST points.',
    'Start the sidecar, or set it to the channel’s port: eval "$(sidecar env --channel CHANNEL)"',
  ],
  VAULT_IN_CLEAR: [
    'warning',
    'Vault is asked over the network without TLS: the login’s secret can be read on the way.',
    'Let VAULT_ADDR begin with https://.',
  ],
  CLOCK_DIFFERS: [
    'failure',
    'The clock of this machine differs from another’s: certificates look expired, or not yet valid.',
    'Have the clocks set by the same time service (chrony, systemd-timesyncd).',
  ],
  BROKER_NO_TLS: [
    'failure',
    'Whoever answers at SIDECAR_BROKER_ADDR does not speak TLS 1.3 as the broker does.',
    'Name the broker’s gRPC port (BROKER_GRPC_LISTEN), and let nothing on the way end TLS.',
  ],
  BROKER_OTHER_AUTHORITY: [
    'failure',
    'The certificate at SIDECAR_BROKER_ADDR is of an authority that is not in the PKI mount.',
    'Let nothing on the way end TLS, and let broker and sidecar use the same PKI mount (SIDECAR_VAULT_PKI_MOUNT).',
  ],
  BROKER_OTHER_NAME: [
    'failure',
    'Whoever answers at SIDECAR_BROKER_ADDR is in the trust domain’s PKI and not the broker.',
    'Compare SIDECAR_BROKER_ADDR and SIDECAR_BROKER_SPIFFE_ID with the broker.',
  ],
  BROKER_REFUSES: [
    'failure',
    'The broker ended the connection: it does not accept this sidecar’s certificate.',
    'Compare SIDECAR_TRUST_DOMAIN and the PKI mount with the broker’s, and look at its log.',
  ],
  CHANNEL_REFUSED: ['failure', 'The broker would refuse a token of this channel.', 'Do what the broker says.'],
} as const satisfies Record<string, readonly [level: Level, wrong: string, cure: string]>;

export type TrapCode = keyof typeof traps;

export interface Finding {
  /** Of `traps`, of the sidecar's identity problems, or of the broker; where all is well, what was looked at. */
  readonly code: string;
  readonly level: Level;
  /** What is so, in a sentence. */
  readonly what: string;
  /** What to do; a command where one does it. */
  readonly cure?: string;
}

/** Makes the finding of a trap. `detail` says where and which; never a secret. */
export function trap(code: TrapCode, detail?: string, own: Partial<Pick<Finding, 'cure' | 'level'>> = {}): Finding {
  const [level, wrong, cure] = traps[code];
  return { code, level, what: detail === undefined ? wrong : `${wrong} ${detail}`, cure, ...own };
}

/** Makes the finding of something that is as it should be. */
export function well(code: string, what: string): Finding {
  return { code, level: 'ok', what };
}

/** Makes the finding of something that could not be looked at, because something before it is wrong. */
export function skipped(code: string, what: string): Finding {
  return { code, level: 'skipped', what };
}

/** What Vault or the broker says is wrong, by its code. */
export function told(code: string, message: string, next?: string): Finding {
  const known: Readonly<Record<string, string | undefined>> = identityProblems;
  const cure = next ?? known[code] ?? (code in errorTable ? errorTable[code as OwnCode].next : undefined);
  return {
    code,
    level: 'failure',
    what: `${message.charAt(0).toUpperCase()}${message.slice(1)}.`.replace(/\.\.$/, '.'),
    ...(cure === undefined ? {} : { cure }),
  };
}
