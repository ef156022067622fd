/**
 * The gRPC API as the programs see it: the service definition read from the .proto file, and its messages as types.
 * The only import of `@grpc/proto-loader`. A test compares the types with the .proto.
 */
import { fileURLToPath } from 'node:url';
import { loadSync, type MethodDefinition } from '@grpc/proto-loader';

/** `google.protobuf.Timestamp`: an instant in UTC. */
export interface Timestamp {
  /** Since 1970. */
  readonly seconds: number;
  readonly nanos: number;
}

/** See `token_broker.proto` for the meaning of each field; a field left out travels as its zero. */
export interface GetAccessTokenRequest {
  readonly channelId: string;
  readonly minTtlSeconds: number;
  readonly scopes: readonly string[];
  readonly reason: string;
  readonly rejectedTokenSha256: string;
}

export interface GetAccessTokenResponse {
  readonly channelId: string;
  readonly accessToken: string;
  readonly expiresAt: Timestamp | null;
  readonly scopes: readonly string[];
  readonly youtubeChannelId: string;
  readonly generation: number;
}

export interface SubscribeRequest {
  readonly channelIds: readonly string[];
}

export interface ChannelsUpdate {
  readonly channels: readonly ChannelStatus[];
}

export interface ChannelStatus {
  readonly channelId: string;
  readonly availability: Availability;
  readonly code: string;
  readonly generation: number;
  readonly message: string;
}

export type Availability = 'AVAILABILITY_UNSPECIFIED' | 'AVAILABLE' | 'UNAVAILABLE' | 'DENIED';

/** What both sides give to gRPC: `server.addService(service, …)`, or one method to a client's `makeUnaryRequest`. */
export type TokenBrokerService = {
  readonly GetAccessToken: MethodDefinition<Partial<GetAccessTokenRequest>, GetAccessTokenResponse>;
  readonly Subscribe: MethodDefinition<Partial<SubscribeRequest>, ChannelsUpdate>;
};

/** Metadata key of the stable error code that every refusal carries. */
export const ERROR_CODE_KEY = 'broker-error-code';

/** Metadata key of the number of seconds after which a retry makes sense; left out where none does. */
export const RETRY_AFTER_KEY = 'retry-after';

/**
 * Reads the service definition from `token_broker/v1`. Reads the disk: call it once, at start.
 *
 * Field names become camelCase; fields that are not set hold their zero (a missing message: null); 64-bit numbers are
 * numbers, since no instant and no generation comes near 2^53; values of an enumeration are their names.
 */
export function loadTokenBroker(): TokenBrokerService {
  const file = fileURLToPath(new URL('token_broker/v1/token_broker.proto', import.meta.url));
  const definition = loadSync(file, { keepCase: false, defaults: true, arrays: true, longs: Number, enums: String });
  return definition['token_broker.v1.TokenBroker'] as unknown as TokenBrokerService;
}

/** Converts an instant for the wire. */
export function toTimestamp(instant: Date): Timestamp {
  const milliseconds = instant.getTime();
  const seconds = Math.floor(milliseconds / 1000);
  return { seconds, nanos: (milliseconds - seconds * 1000) * 1_000_000 };
}

/** Converts an instant from the wire; what is finer than a millisecond is cut off. */
export function fromTimestamp({ seconds, nanos }: Timestamp): Date {
  return new Date(seconds * 1000 + Math.floor(nanos / 1_000_000));
}
