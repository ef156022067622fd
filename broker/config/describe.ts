/** Writes the settings down for people: a page of documentation and a text for the terminal. */
import type { PlacedSetting } from './setting.ts';

export interface SettingsGroup {
  readonly title: string;
  readonly about: string;
  readonly settings: readonly PlacedSetting[];
}

export interface Described {
  /** The whole of docs/configuration.md. */
  readonly markdown: string;
  /** The same for a terminal of 80 columns. */
  readonly text: string;
}

const introduction = `# Configuration

<!-- Written by \`broker settings --markdown\` from broker/config.ts; a test compares them. -->

Everything is set by environment variables. They are read once, at the start, and every mistake is reported together:
an unknown \`BROKER_…\` name, an empty value and a value that cannot be read are mistakes, never replaced by a default.
Secrets are given as paths of files. Durations are written like \`30s\`, \`10m\`, \`72h\`. URLs are \`https://\`; \`http://\` is
accepted for this machine itself (\`127.0.0.1\`, \`[::1]\`, \`localhost\`) only.
`;

export function describe(groups: readonly SettingsGroup[]): Described {
  return {
    markdown: [introduction, ...groups.map(markdownOf)].join('\n'),
    text: groups.map(textOf).join('\n'),
  };
}

function markdownOf({ title, about, settings }: SettingsGroup): string {
  const rows = settings.map(
    (setting) => `| \`${setting.env}\` | ${markdownValue(setting)} | ${setting.about.replaceAll('|', '\\|')} |`,
  );
  return [`## ${title}`, '', about, '', '| name | default | what for |', '|---|---|---|', ...rows, ''].join('\n');
}

function markdownValue(setting: PlacedSetting): string {
  if (setting.default !== undefined) return `\`${setting.default}\``;
  const example = setting.example ? `, e.g. \`${setting.example}\`` : '';
  return `${setting.optional ? 'not set' : '**must be set**'}${example}`;
}

function textOf({ title, about, settings }: SettingsGroup): string {
  const entries = settings.flatMap((setting) => [
    `  ${setting.env}${textValue(setting)}`,
    ...wrap(setting.about, 74).map((line) => `      ${line}`),
  ]);
  return [`${title}: ${about.replaceAll('`', '')}`, ...entries, ''].join('\n');
}

function textValue(setting: PlacedSetting): string {
  if (setting.default !== undefined) return `=${setting.default}`;
  return setting.optional ? '' : ' (must be set)';
}

function wrap(text: string, width: number): readonly string[] {
  const lines: string[] = [''];
  for (const word of text.split(' ')) {
    const line = lines.at(-1) ?? '';
    if (line !== '' && line.length + 1 + word.length > width) lines.push(word);
    else lines[lines.length - 1] = line === '' ? word : `${line} ${word}`;
  }
  return lines;
}
