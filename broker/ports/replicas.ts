/** The brokers that there are, as they see each other in the database. Instants are by the database's clock. */

export interface Replica {
  /** Host name and a random part; another one after each start. */
  readonly id: string;
  /** The regions that it was given; undefined for every one. */
  readonly regions: readonly string[] | undefined;
  readonly version: string;
}

export interface SeenReplica extends Replica {
  readonly startedAt: Date;
  readonly seenAt: Date;
  /** How long ago that was. */
  readonly silentMs: number;
  /** When it said that it stops. */
  readonly stoppedAt: Date | undefined;
}

export interface Replicas {
  /**
   * Says that this replica is alive, and answers the regions that channels are in and that no replica has served for so
   * long: a replica that was not seen in that time serves nothing, nor does one that has begun since to see nobody.
   */
  beat(self: Replica, takeoverMs: number): Promise<readonly string[]>;
  /** Those of the last day, newest sign of life first. */
  list(): Promise<readonly SeenReplica[]>;
  /** Says that it stops. */
  stop(id: string): Promise<void>;
}
