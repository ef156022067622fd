/**
 * Imported before everything else, for its effect: from here on SIGUSR1 does not open Node's inspector, to which any
 * program of the machine could connect. Where the signal came even earlier, `inspectorIsOpen` tells.
 *
 * Node's own option, `--disable-sigusr1`, blocks the signal altogether, so that it could not rotate the certificate.
 */
import { url } from 'node:inspector';

process.on('SIGUSR1', () => {});

export function inspectorIsOpen(): boolean {
  return url() !== undefined;
}
