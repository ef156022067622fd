/**
 * Serial numbers of certificates, in the one form in which we compare them: as Vault and OpenBao write a `serial_number`,
 * lower-case hexadecimal bytes with colons between, without zeros in front (DER puts one before a high bit, Vault does not).
 */

/** The form of a serial number in hexadecimal digits. */
export function serialOf(hex: string): string {
  const digits = hex.toLowerCase().replace(/^0+(?=.)/, '');
  return (digits.length % 2 === 0 ? digits : `0${digits}`).replaceAll(/..(?=.)/g, '$&:');
}

/** Reads what a person writes, with colons as Vault's tools do or without as OpenSSL's; undefined where it is none. */
export function readSerial(text: string): string | undefined {
  const hex = text.replaceAll(':', '');
  return /^[0-9a-fA-F]{1,64}$/.test(hex) ? serialOf(hex) : undefined;
}
