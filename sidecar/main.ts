#!/usr/bin/env node
/** The `sidecar` command. The only file of the sidecar that reads the environment. */
import './process/no-inspector.ts';
import { readFileSync } from 'node:fs';
import process from 'node:process';

// Loaded after the line above has had its effect: imports are loaded together, and that takes a while.
const { createCli } = await import('./commands/cli.ts');
const { version } = JSON.parse(readFileSync(new URL('../package.json', import.meta.url), 'utf8')) as {
  version: string;
};

const run = createCli({ environment: process.env, streams: process, version, own: process });
process.exitCode = await run(process.argv.slice(2));
