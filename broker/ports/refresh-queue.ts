/** The due queue. */

/** How long a claim holds, and whose it is. */
export interface Lease {
  readonly now: Date;
  /** The claim lapses by itself. */
  readonly until: Date;
  /** The replica. */
  readonly owner: string;
}

/** The part of the due queue that a broker looks at. */
export interface QueuePart {
  readonly now: Date;
  /** Undefined for every region. */
  readonly regions: readonly string[] | undefined;
  /** OAuth clients of which nothing is taken: their channels stay due. */
  readonly exceptClients: readonly string[];
}

/** How much is to be claimed. */
export interface ClaimLimits {
  readonly limit: number;
  /** How many more of one OAuth client, so that a long queue of one does not fill every place. */
  readonly room: number;
  /** The same for those of which some run already. */
  readonly roomOf: ReadonlyMap<string, number>;
}
