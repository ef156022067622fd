import { inspect } from 'node:util';

/**
 * A value that must never be seen: refresh and access tokens, codes, verifiers, client secrets, data keys.
 *
 * However it is printed, serialised, logged or inspected, it shows `[secret]`; only `reveal()` gives the value. It is
 * called where the value leaves for Google, Vault, Redis (after encryption) or a caller that may have it, and nowhere
 * else, so that every place is found by one search. Limit accepted: JavaScript strings cannot be wiped; the value lives
 * in memory until it is collected.
 */
export class Secret<T> {
  readonly #value: T;

  constructor(value: T) {
    this.#value = value;
  }

  reveal(): T {
    return this.#value;
  }

  toString(): string {
    return '[secret]';
  }

  toJSON(): string {
    return '[secret]';
  }

  [inspect.custom](): string {
    return '[secret]';
  }
}
