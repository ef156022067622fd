/** Names the place of a channel's access token of one generation: `token:CHANNEL:GENERATION`. */
export function tokenKey(channel: string, generation: number): string {
  return `token:${channel}:${generation}`;
}
