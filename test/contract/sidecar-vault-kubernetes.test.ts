/** Logins by service accounts of a real Kubernetes API server, on a real Vault: reviewed, and verified by the cluster's key. */
import assert from 'node:assert/strict';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { Secret } from '../../broker/domain/secret.ts';
import { IdentityError, type IdentityProblem } from '../../sidecar/identity-error.ts';
import { serviceAccountSpiffeId } from '../../vault-policies/layout.ts';
import { applySteps, planSteps } from '../../vault-policies/steps.ts';
import { loginSteps, type WorkloadLogin } from '../../vault-policies/workload-logins.ts';
import { addWorkload } from '../../vault-policies/workloads.ts';
import { useKubernetes } from '../support/kubernetes.ts';
import { until } from '../support/poll.ts';
import { requires } from '../support/requires.ts';
import { useFolder } from '../support/scope.ts';
import { type IssuerWish, issuerFor } from '../support/svid-issuer.ts';
import { useSetUpVault } from '../support/vault-set-up.ts';

const is = (code: IdentityProblem) => (error: unknown) => error instanceof IdentityError && error.code === code;

async function useWorld(t: TestContext) {
  const cluster = await useKubernetes(t);
  const vault = await useSetUpVault(t);
  const { operator, layout } = vault;
  const reviewer = { namespace: 'vault', name: 'reviewer' };
  const reviewerToken = new Secret(await cluster.token(reviewer));
  await cluster.allowReviews(reviewer);
  const { address: host, caPem, issuer } = cluster;
  const logins: readonly WorkloadLogin[] = [
    { method: 'kubernetes', host, caPem, reviewerToken },
    { method: 'jwt', keys: { pem: [cluster.publicKeyPem] }, issuer },
  ];
  for (const login of logins) await applySteps(loginSteps(operator, layout, login));
  const account = { namespace: 'media', serviceAccount: 'uploader', audience: 'vault' };
  for (const method of ['kubernetes', 'jwt'] as const) {
    const added = await addWorkload(operator, layout, 'uploads', { proof: { method, ...account } });
    assert.equal(added.spiffeId, serviceAccountSpiffeId(layout.trustDomain, 'media', 'uploader'));
    assert.equal((await addWorkload(operator, layout, 'uploads', { proof: { method, ...account } })).action, 'ok');
  }
  const folder = await useFolder(t);
  const issuerBy = (
    method: 'kubernetes' | 'jwt',
    token: string,
    wish: Partial<IssuerWish> & { role?: string } = {},
  ) => {
    const jwtFile = join(folder, 'token');
    const issue = issuerFor(vault, {
      login: { method, mount: layout.logins[method], role: wish.role ?? 'uploads', jwtFile },
      spiffeId: serviceAccountSpiffeId(layout.trustDomain, 'media', 'uploader'),
      pkiRole: `workload-${method}`,
      ...wish,
    });
    return async () => {
      await writeFile(jwtFile, token);
      return issue();
    };
  };
  return { cluster, vault, issuerBy, logins };
}

test(
  'a service account is one workload, by review and by key, and cannot be another',
  requires('kubernetes'),
  async (t) => {
    const { cluster, vault, issuerBy, logins } = await useWorld(t);
    const { trustDomain } = vault.layout;
    const own = await cluster.token({ namespace: 'media', name: 'uploader', audience: 'vault' });
    const reused = await cluster.token({ namespace: 'media', name: 'uploader' });
    const other = await cluster.token({ namespace: 'media', name: 'other', audience: 'vault' });
    const elsewhere = await cluster.token({ namespace: 'elsewhere', name: 'uploader', audience: 'vault' });
    const forged = `${own.slice(0, -8)}AAAAAAAA`;

    for (const method of ['kubernetes', 'jwt'] as const) {
      await t.test(`by ${method}: the name is the namespace and the service account`, async () => {
        const svid = await issuerBy(method, own)();
        assert.equal(svid.spiffeId.uri, `spiffe://${trustDomain}/ns/media/sa/uploader`);
      });
      for (const name of [
        'ns/media/sa/other',
        'ns/elsewhere/sa/uploader',
        'ns/media/sa/uploader/x',
        'ns/media/sa/*',
        'workload/uploads',
      ])
        await t.test(`by ${method}: asks in vain for ${name}`, async () => {
          const spiffeId = `spiffe://${trustDomain}/${name}`;
          if (name.endsWith('*')) return assert.throws(() => issuerBy(method, own, { spiffeId }));
          await assert.rejects(issuerBy(method, own, { spiffeId })(), is('SIGNING_REFUSED'));
        });
      const refused = method === 'kubernetes' ? 'LOGIN_FORBIDDEN' : 'CREDENTIAL_REJECTED';
      for (const [what, token] of Object.entries({
        'another account': other,
        'another namespace': elsewhere,
        'a forger': forged,
        'another audience': reused,
      }))
        await t.test(`by ${method}: a token of ${what} is let into no other’s role`, () =>
          assert.rejects(issuerBy(method, token)(), is(refused)),
        );
      await t.test(`by ${method}: a role that is missing is named as that`, () =>
        assert.rejects(issuerBy(method, own, { role: 'nobody' })(), is('LOGIN_ROLE_MISSING')),
      );
      await t.test(`by ${method}: a token that has ended is told here, before Vault is asked`, () =>
        assert.rejects(issuerBy(method, own, { now: () => Date.now() + 7_200_000 })(), is('CREDENTIAL_EXPIRED')),
      );
    }

    await t.test('what the logins are, is as it should be when it is looked at again', async () => {
      const [kubernetes, jwt] = logins;
      assert.ok(kubernetes?.method === 'kubernetes' && jwt);
      const { reviewerToken, ...known } = kubernetes;
      for (const login of [known, jwt]) {
        const plan = await planSteps(loginSteps(vault.operator, vault.layout, login));
        assert.deepEqual([...new Set(plan.map(({ action }) => action))], ['ok']);
      }
    });

    await t.test('a service account that is deleted is out where the API server reviews', async () => {
      const unseen = await cluster.token({ namespace: 'media', name: 'uploader', audience: 'vault' });
      await cluster.removeServiceAccount({ namespace: 'media', name: 'uploader' });
      // The API server remembers for ten seconds whom it has let in.
      const isOut = () => issuerBy('kubernetes', unseen)().then(() => false, is('LOGIN_FORBIDDEN'));
      await until('the service account is out', isOut);
      // By its key alone, a token is good to its end.
      await issuerBy('jwt', own)();
    });
  },
);
