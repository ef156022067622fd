/** The API's path of a channel. */
export function pathOf(id: string): string {
  return `/v1/channels/${encodeURIComponent(id)}`;
}
