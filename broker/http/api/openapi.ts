/** Writes the OpenAPI 3.1 document of the routes; its schemas are JSON Schema 2020-12, made by zod. */
import * as z from 'zod';
import { errorTable } from '../../errors.ts';
import type { Route } from './route.ts';
import { apiError, components } from './schemas.ts';

type Json = Readonly<Record<string, unknown>>;

const componentPath = '#/components/schemas/';

export function openApiDocument(routes: readonly Route[], version: string, publicUrl: string): Json {
  return {
    openapi: '3.1.1',
    info: {
      title: 'YouTube token broker, admin API',
      version,
      description: 'For admins’ programs. Identity tokens go into the Authorization header; cookies are refused.',
    },
    servers: [{ url: publicUrl }],
    security: [{ identityToken: [] }],
    paths: paths(routes),
    components: {
      securitySchemes: { identityToken: { type: 'http', scheme: 'bearer', bearerFormat: 'JWT' } },
      schemas: schemas(),
      responses: { Error: { description: errorCodes(), content: json(apiError) } },
    },
  };
}

function paths(routes: readonly Route[]): Json {
  const result: Record<string, Record<string, Json>> = {};
  for (const route of routes) {
    const operations = result[route.path] ?? {};
    operations[route.method] = operation(route);
    result[route.path] = operations;
  }
  return result;
}

function operation(route: Route): Json {
  const parameters = [...pathParameters(route.path), ...queryParameters(route.query)];
  return {
    operationId: route.operationId,
    summary: route.summary,
    ...(parameters.length > 0 && { parameters }),
    ...(route.body && { requestBody: { required: true, content: json(route.body) } }),
    responses: {
      [route.status]: { description: 'Done.', content: route.lines ? lines(route.answer) : json(route.answer) },
      default: { $ref: '#/components/responses/Error' },
    },
  };
}

function pathParameters(path: string): readonly Json[] {
  return [...path.matchAll(/\{(\w+)\}/g)].map(([, name]) => ({
    name,
    in: 'path',
    required: true,
    schema: { type: 'string' },
  }));
}

function queryParameters(query: z.ZodType | undefined): readonly Json[] {
  if (!(query instanceof z.ZodObject)) return [];
  const { properties = {}, required = [] } = z.toJSONSchema(query, { io: 'input' });
  return Object.entries(properties).map(([name, schema]) => ({
    name,
    in: 'query',
    required: required.includes(name),
    schema,
  }));
}

function schemas(): Json {
  const made = z.toJSONSchema(components, { io: 'input', uri: (id) => `${componentPath}${id}` }).schemas;
  return Object.fromEntries(Object.entries(made).map(([id, { $id, $schema, ...schema }]) => [id, schema]));
}

function json(schema: z.ZodType): Json {
  return { 'application/json': { schema: { $ref: `${componentPath}${components.get(schema)?.id}` } } };
}

function lines(schema: z.ZodType): Json {
  return { 'application/x-ndjson': { schema: { $ref: `${componentPath}${components.get(schema)?.id}` } } };
}

function errorCodes(): string {
  const codes = Object.entries(errorTable).map(([code, row]) => `- \`${code}\` (${row.http}): ${row.sentence}`);
  return `An error with a stable code:\n\n${codes.join('\n')}`;
}
