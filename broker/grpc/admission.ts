/** Lets a call in: who makes it, and that they are on record. */
import { asBrokerError, type BrokerError, type ErrorCode } from '../errors.ts';
import type { RecordLogin } from '../flow/record-login.ts';
import { hostOf, type IdentifyPeer, type Peer, type PeerCall } from './peer.ts';

export interface Admission {
  /** Throws what `IdentifyPeer` throws, AUDIT_UNAVAILABLE. */
  admit(call: PeerCall): Promise<Peer>;
  /** Looks again, without a record of it. */
  readonly identify: IdentifyPeer;
  /** Puts a peer that could not prove who it is on record. */
  recordDenied(call: PeerCall, refusal: BrokerError): Promise<void>;
}

export interface AdmissionDeps {
  readonly identifyPeer: IdentifyPeer;
  readonly recordLogin: RecordLogin;
  /** Audits a peer that could not prove who it is. */
  readonly recordDeniedIdentity: (attempt: {
    ip: string | undefined;
    requestId: string;
    detail: string;
    result: ErrorCode;
  }) => Promise<void>;
  readonly newRequestId: () => string;
}

export function createAdmission(deps: AdmissionDeps): Admission {
  const recordDenied = (call: PeerCall, refusal: BrokerError) =>
    deps.recordDeniedIdentity({
      ip: hostOf(call.getPeer()),
      requestId: deps.newRequestId(),
      detail: refusal.detail ?? refusal.code,
      result: refusal.code,
    });

  async function identified(call: PeerCall): Promise<Peer> {
    try {
      return deps.identifyPeer(call);
    } catch (error) {
      const refusal = asBrokerError(error);
      await recordDenied(call, refusal);
      throw refusal;
    }
  }

  return {
    identify: deps.identifyPeer,
    recordDenied,
    async admit(call) {
      const caller = await identified(call);
      const { certificateSerial: certificate } = caller;
      await deps.recordLogin(caller, { id: `${caller.spiffeId} ${certificate}`, facts: { certificate } });
      return caller;
    },
  };
}
