/**
 * Decides which requests may go to Google's token endpoint now, OAuth client by OAuth client: one that hangs, is refused
 * or was told to slow down waits, and keeps nobody else waiting.
 */

export interface Admission {
  /** OAuth clients that nothing should be claimed for now, and when that may have changed. */
  excluded(now: Date): Excluded;
  /**
   * How many refreshes of one OAuth client the scheduler may have under way on this replica: `least`, and more for those
   * that Google has answered lately, which are named; never all that there are places for.
   */
  windows(now: Date): { readonly least: number; readonly of: ReadonlyMap<string, number> };
  /**
   * Does the work when it is its turn, which may take some two seconds. Throws a BrokerError that is a `NotAdmitted`
   * (flow/admission.ts) where it is not its turn for longer: nothing was done then.
   */
  run<T>(oauthClient: string, region: string, work: () => Promise<T>): Promise<T>;
}

export interface Excluded {
  readonly clients: readonly string[];
  /** Undefined where none is excluded. */
  readonly lookAgainAt: Date | undefined;
}
