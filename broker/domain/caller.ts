/** Whoever a flow runs for. Every flow takes one: forgetting to check is a compile error. */
export type Caller = Person | Workload | Owner | Scheduler | Google;

/** A person known to the identity provider. */
export interface Person {
  readonly kind: 'person';
  /** The subject claim. */
  readonly subject: string;
  readonly displayName: string | undefined;
  readonly groups: readonly string[];
  /** Client IP as seen behind the configured proxies. */
  readonly ip: string | undefined;
  readonly requestId: string;
  /** Why, in the person's own words: a ticket, for example. Goes on record with what they do. */
  readonly reason?: string | undefined;
}

/** An upload worker's sidecar, proven by its certificate. */
export interface Workload {
  readonly kind: 'workload';
  readonly spiffeId: string;
  readonly certificateSerial: string;
  readonly ip: string | undefined;
  readonly requestId: string;
}

/** A channel owner in a browser: whoever holds the consent link or the state bound to that browser. */
export interface Owner {
  readonly kind: 'owner';
  readonly ip: string | undefined;
  readonly userAgent: string | undefined;
  readonly requestId: string;
}

/** The broker itself, refreshing on time. */
export interface Scheduler {
  readonly kind: 'scheduler';
  readonly requestId: string;
}

/** Google, proven by its signature under a security event. */
export interface Google {
  readonly kind: 'google';
  readonly ip: string | undefined;
  readonly requestId: string;
}

/** The caller's name in the audit record. */
export function callerName(caller: Caller): string {
  switch (caller.kind) {
    case 'person':
      return caller.subject;
    case 'workload':
      return caller.spiffeId;
    case 'owner':
      return 'channel owner';
    case 'scheduler':
      return 'scheduler';
    case 'google':
      return 'google';
  }
}

/** The principals that an admin list may name this person by. */
export function principalsOf(person: Person): readonly string[] {
  return [`user:${person.subject}`, ...person.groups.map((group) => `group:${group}`)];
}
