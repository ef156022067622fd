import { type Command, Option } from 'commander';
import { notificationStates } from '../../domain/notification.ts';
import type { NotificationAnswer, SigningSecretAnswer } from '../../http/api/schemas.ts';
import { type CommandContext, type OutputOption, withOutput } from '../command-context.ts';
import { type Fact, showInstant } from '../output.ts';
import { readSecret } from '../secret-input.ts';
import { count } from './audit-filters.ts';

type ListOptions = OutputOption & { tenant?: string; channel?: string; state?: string; limit: number };

/** `broker notification list|show|resend|set-secret` */
export function addNotificationCommands(program: Command, { api, output, secretSource }: CommandContext): void {
  const notification = program.command('notification').description('what your notification service is told');

  withOutput(notification.command('list'))
    .description('list notifications, the newest first')
    .option('--tenant <name>', 'of this tenant')
    .option('--channel <id>', 'about this channel')
    .addOption(new Option('--state <state>', 'in this state; dead letters are `dead`').choices(notificationStates))
    .option('--limit <n>', 'at most so many', count, 50)
    .action(async ({ tenant, channel, state, limit, output: format }: ListOptions) => {
      const query = new URLSearchParams({
        ...(tenant && { tenant }),
        ...(channel && { channel }),
        ...(state && { state }),
        limit: String(limit),
      });
      const answer = await api().get<{ notifications: readonly NotificationAnswer[] }>(`/v1/notifications?${query}`);
      if (format === 'json') return output.json(answer);
      const rows = answer.notifications.map((one) => [
        one.id,
        showInstant(one.at),
        one.type,
        one.channel ?? one.oauth_client ?? '',
        one.state,
        String(one.attempts),
        one.last_problem ?? '',
      ]);
      output.table(['id', 'time', 'type', 'about', 'state', 'tries', 'problem'], rows, 'There is no notification.');
      const dead = answer.notifications.find((one) => one.state === 'dead');
      if (dead) output.hint(`Deliver a dead letter once more: broker notification resend ${dead.id}`);
    });

  withOutput(notification.command('show'))
    .argument('<id>', 'of the notification')
    .description('show a notification and how far its delivery is')
    .action(async (id: string, options: OutputOption) => {
      const answer = await api().get<NotificationAnswer>(pathOf(id));
      if (options.output === 'json') return output.json(answer);
      output.facts(factsOf(answer));
    });

  withOutput(notification.command('resend'))
    .argument('<id>', 'of the notification')
    .description('deliver it (again), under the same id and with a new consent link')
    .action(async (id: string, options: OutputOption) => {
      const answer = await api().post<NotificationAnswer>(`${pathOf(id)}/resend`);
      if (options.output === 'json') return output.json(answer);
      output.facts(factsOf(answer));
      output.hint(`See whether it arrived: broker notification show ${answer.id}`);
    });

  withOutput(notification.command('set-secret'))
    .description('put a new signing secret in front; the former one signs beside it for a while (for operators)')
    .option('--secret-file <path>', 'file with the secret (whsec_…), or - for stdin (default: asks)')
    .action(async ({ secretFile, output: format }: OutputOption & { readonly secretFile?: string }) => {
      const secret = await readSecret('signing secret', secretFile, secretSource);
      const answer = await api().post<SigningSecretAnswer>('/v1/notification-secrets', { secret: secret.reveal() });
      if (format === 'json') return output.json(answer);
      output.say('The new secret signs.');
      if (answer.both_until) {
        output.hint(
          `The former one signs beside it until ${showInstant(answer.both_until)}: let the receiver know the new one by then.`,
        );
      }
    });
}

function pathOf(id: string): string {
  return `/v1/notifications/${encodeURIComponent(id)}`;
}

function factsOf(one: NotificationAnswer): readonly Fact[] {
  const facts = Object.entries(one.facts).map(([name, value]): Fact => [name.replaceAll('_', ' '), String(value)]);
  return [
    ['notification', one.id],
    ['type', one.type],
    ['time', showInstant(one.at)],
    ['tenant', one.tenant ?? undefined],
    ['channel', one.channel ?? undefined],
    ['OAuth client', one.oauth_client ?? undefined],
    ...facts.map(([label, value]): Fact => [`told: ${label}`, value]),
    ['delivery', one.state],
    ['tries', String(one.attempts)],
    ['next try', one.next_attempt_at === null ? undefined : showInstant(one.next_attempt_at)],
    ['last try', one.last_attempt_at === null ? undefined : showInstant(one.last_attempt_at)],
    ['last problem', one.last_problem ?? undefined],
    ['ended', one.ended_at === null ? undefined : showInstant(one.ended_at)],
  ];
}
