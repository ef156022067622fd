/** A worker with the unmodified google-auth-library: prints the token it got, or the sentence that its user reads, and how long that took. */
import { GoogleAuth } from 'google-auth-library';

const scopes = process.argv.slice(2);
const began = performance.now();
const tell = (result: object) =>
  process.stdout.write(JSON.stringify({ ...result, ms: Math.round(performance.now() - began) }));
try {
  const auth = new GoogleAuth(scopes.length > 0 ? { scopes } : {});
  tell({ token: await auth.getAccessToken() });
} catch (error) {
  tell({ error: error instanceof Error ? error.message : String(error) });
}
