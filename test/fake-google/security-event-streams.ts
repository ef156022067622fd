/**
 * The RISC configuration document and the management API by which a project's service account registers its receiver
 * (reference G37).
 */
import type { Clock } from './clock.ts';
import { apiErrorAnswer } from './google-api-error.ts';
import { type Answer, bearerToken, type Endpoint, json, type PracticeRequest } from './http.ts';
import { type Claims, claimedIssuer, isSignedBy } from './jwt.ts';
import type { Endpoints } from './openid.ts';
import { type EventStream, type SecurityEvents, securityEventIssuer } from './security-events.ts';
import type { Project, World } from './world.ts';

const push = 'https://schemas.openid.net/secevent/risc/delivery-method/push';

/** Answers the configuration document. */
export function createRiscConfiguration(endpoints: Endpoints): Endpoint {
  return () =>
    json(200, {
      issuer: securityEventIssuer(endpoints.issuer),
      jwks_uri: endpoints.jwks,
      delivery_methods_supported: [push],
      configuration_endpoint: `${endpoints.riscManagement}/v1beta/stream`,
    });
}

/** Creates the endpoint behind `GET /v1beta/stream`, `POST /v1beta/stream:update` and `POST /v1beta/stream:verify`. */
export function createStreamManagement({
  clock,
  world,
  events,
  issuer,
}: {
  clock: Clock;
  world: World;
  events: SecurityEvents;
  issuer: string;
}): Endpoint {
  /** The project whose service account signed the request's bearer JWT: self-signed, RS256, as Google asks. */
  async function callingProject(request: PracticeRequest): Promise<Project | undefined> {
    const jwt = bearerToken(request) ?? '';
    const issuer = claimedIssuer(jwt);
    const project = world.projects().find(({ serviceAccount }) => serviceAccount?.clientEmail === issuer);
    if (!project?.serviceAccount) return undefined;
    return (await isSignedBy(project.serviceAccount.publicKey, jwt, clock.now())) ? project : undefined;
  }

  async function manage(request: PracticeRequest): Promise<Answer> {
    const project = await callingProject(request);
    if (!project) return apiErrorAnswer('authError');
    if (request.method === 'GET') return json(200, describe(events.stream(project.id)));
    const body = JSON.parse(request.body.toString('utf8')) as {
      state?: string;
      delivery?: { url?: string };
      events_requested?: string[];
    };
    if (request.path.endsWith(':verify')) {
      await events.deliver({ project: project.id, type: 'verification', ...(body.state ? { state: body.state } : {}) });
      return json(200, {});
    }
    if (!body.delivery?.url || !body.events_requested) return apiErrorAnswer('invalidArgument');
    events.register(project.id, { url: body.delivery.url, events: body.events_requested });
    return json(200, {});
  }

  function describe(stream: EventStream | undefined): Claims {
    if (!stream) return {};
    return { iss: issuer, delivery: { delivery_method: push, url: stream.url }, events_requested: stream.events };
  }

  return manage;
}
