// Links to the traces of attempts.

/** The address of a trace; `undefined` if the attempt has no trace, or the installation has no address for traces. */
export function traceLink(template: string, traceId: string): string | undefined {
  if (template === "" || !/^[0-9a-f]{32}$/.test(traceId)) return undefined;
  const link = template.replaceAll("{trace_id}", traceId);
  return /^https?:\/\//i.test(link) ? link : undefined;
}
