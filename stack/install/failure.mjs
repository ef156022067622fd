/**
 * Something on this machine or on its network keeps an installation from being complete.
 * The message is one plain sentence for the person who typed the command; `advice` says what to do about it.
 */
export class InstallFailure extends Error {
  /**
   * @param {string} message what could not be done
   * @param {string} advice what to do about it
   */
  constructor(message, advice) {
    super(message);
    this.name = 'InstallFailure';
    this.advice = advice;
  }
}
