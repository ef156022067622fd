/** A worker with the unmodified google-auth-library: prints the token it got, or the sentence that its user reads. */
import { GoogleAuth } from 'google-auth-library';

const scopes = process.argv.slice(2);
try {
  const auth = new GoogleAuth(scopes.length > 0 ? { scopes } : {});
  process.stdout.write(JSON.stringify({ token: await auth.getAccessToken() }));
} catch (error) {
  process.stdout.write(JSON.stringify({ error: error instanceof Error ? error.message : String(error) }));
}
