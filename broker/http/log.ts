/** What the HTTP room needs of a log; messages are constants, facts go into fields. */
export interface Log {
  info(fields: object, message: string): void;
  warn(fields: object, message: string): void;
  error(fields: object, message: string): void;
}
