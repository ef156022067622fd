/** Answers of the PKI engine, read no further than the sidecar needs. */
import * as z from 'zod';
import { IdentityError } from '../identity-error.ts';

const pkiData = z.object({
  certificate: z.string().optional(),
  ca_chain: z.array(z.string()).nullish(),
  keys: z.array(z.string()).optional(),
});
const pkiAnswer = z.object({ data: pkiData });

/** @throws IdentityError ANSWER_NOT_UNDERSTOOD. */
export function pkiDataOf(text: string): z.output<typeof pkiData> {
  try {
    return pkiAnswer.parse(JSON.parse(text)).data;
  } catch (cause) {
    throw new IdentityError('ANSWER_NOT_UNDERSTOOD', 'vault did not answer as its pki engine does', { cause });
  }
}

/** @throws IdentityError ANSWER_NOT_UNDERSTOOD where the answer has no certificate. */
export function certificateIn(text: string, path: string): string {
  const { certificate } = pkiDataOf(text);
  if (certificate !== undefined) return certificate;
  throw new IdentityError('ANSWER_NOT_UNDERSTOOD', `vault answered ${path} without a certificate`);
}
