/** The part of `oidc-provider` that the tests use; the package ships no types. */
declare module 'oidc-provider' {
  import type { IncomingMessage, ServerResponse } from 'node:http';

  export interface InteractionDetails {
    readonly prompt: { readonly name: string };
    readonly params: Readonly<Record<string, string | undefined>>;
    readonly session?: { readonly accountId: string };
  }

  export interface FoundAccessToken {
    readonly accountId: string;
    readonly clientId: string;
    readonly scope: string | undefined;
    readonly isExpired: boolean;
  }

  export class Provider {
    constructor(issuer: string, configuration: Readonly<Record<string, unknown>>);
    callback(): (request: IncomingMessage, response: ServerResponse) => Promise<void>;
    interactionDetails(request: IncomingMessage, response: ServerResponse): Promise<InteractionDetails>;
    interactionFinished(
      request: IncomingMessage,
      response: ServerResponse,
      result: Readonly<Record<string, unknown>>,
      options?: { readonly mergeWithLastSubmission?: boolean },
    ): Promise<void>;
    readonly Grant: new (
      owner: Readonly<{ accountId: string; clientId: string }>,
    ) => { addOIDCScope(scope: string): void; rejectOIDCScope(scope: string): void; save(): Promise<string> };
    readonly AccessToken: { find(token: string): Promise<FoundAccessToken | undefined> };
  }

  interface Policy extends Array<unknown> {
    add(prompt: unknown, index?: number): void;
  }

  export const interactionPolicy: {
    base(): Policy;
    readonly Prompt: new (details: Readonly<{ name: string; requestable: boolean }>) => unknown;
  };
}
