// Where the trace of an attempt is shown.

/** The address of a trace; `undefined` if the attempt has none, or traces have no links. */
export function traceLink(template: string, traceId: string): string | undefined {
  if (template === "" || !/^[0-9a-f]{32}$/.test(traceId)) return undefined;
  const link = template.replaceAll("{trace_id}", traceId);
  return /^https?:\/\//i.test(link) ? link : undefined;
}
