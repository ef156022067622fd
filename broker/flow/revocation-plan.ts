/** What ends when a channel is revoked, as far as whoever asks may know it, and the name of that plan. */
import { administersChannel, isOperator } from '../domain/access-policy.ts';
import type { Person } from '../domain/caller.ts';
import type { Channel } from '../domain/channel.ts';
import { planDigest } from '../domain/revocation.ts';
import { BrokerError } from '../errors.ts';
import type { RevocationSibling, Store } from '../ports.ts';

export interface RevocationPlan {
  readonly channel: Channel;
  /** Whether there is a grant that Google has to take back. */
  readonly atGoogle: boolean;
  /** Every channel that ends with it. */
  readonly siblings: readonly RevocationSibling[];
  /** Stands for all of this: given back, it accepts exactly this. */
  readonly digest: string;
}

/** A plan as a person may see it. */
export interface ShownRevocationPlan extends Omit<RevocationPlan, 'siblings'> {
  /** Those that the person may act on; an operator sees all. */
  readonly named: readonly RevocationSibling[];
  /** The others, which are another tenant's: how many there are in each state. */
  readonly unnamed: Readonly<Record<'active' | 'suspended', number>>;
}

/** Throws CHANNEL_REVOKED where it has ended already. */
export async function planRevocation(store: Pick<Store, 'revocations'>, channel: Channel): Promise<RevocationPlan> {
  if (channel.state === 'revoked') throw new BrokerError('CHANNEL_REVOKED', { detail: `channel ${channel.id}` });
  const siblings = await store.revocations.siblings(channel.id);
  const { id, state, grant } = channel;
  const digest = planDigest({ channel: id, state, generation: grant?.generation ?? 0, siblings });
  return { channel, atGoogle: grant !== undefined, siblings, digest };
}

export async function showPlanTo(
  person: Person,
  { siblings, ...plan }: RevocationPlan,
  { store, operatorsGroup }: { readonly store: Pick<Store, 'tenants'>; readonly operatorsGroup: string },
): Promise<ShownRevocationPlan> {
  const names = [...new Set(siblings.map((sibling) => sibling.tenant))];
  const found = await Promise.all(names.map((name) => store.tenants.find(name)));
  const tenants = new Map(names.map((name, place) => [name, found[place]]));
  const maySee = (sibling: RevocationSibling) =>
    isOperator(person, operatorsGroup) || administersChannel(person, sibling, tenants.get(sibling.tenant));
  const hidden = siblings.filter((sibling) => !maySee(sibling));
  const count = (state: RevocationSibling['state']) => hidden.filter((sibling) => sibling.state === state).length;
  return {
    ...plan,
    named: siblings.filter(maySee),
    unnamed: { active: count('active'), suspended: count('suspended') },
  };
}
