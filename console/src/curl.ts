// Writes a request as a curl command that a receiver's developer can run.
import type { RenderedRequest } from "./gen/leadline/v1/delivery_pb";

/** Headers that are left out: they are secret or valid for a moment only, or curl writes them itself. */
const LEFT_OUT = /^(authorization|proxy-authorization|cookie|webhook-signature|content-length|host)$/;

export function curl({
  method,
  url,
  headers,
  bodyText,
}: Pick<RenderedRequest, "method" | "url" | "headers" | "bodyText">): string {
  const lines = [`curl -X ${method} ${quoted(url)}`];
  for (const { name, value } of headers) {
    if (!LEFT_OUT.test(name) && value !== "[redacted]") lines.push(`-H ${quoted(`${name}: ${value}`)}`);
  }
  if (bodyText !== "") lines.push(`--data-binary ${quoted(bodyText)}`);
  return lines.join(" \\\n  ");
}

/** Quotes a text for a POSIX shell. */
function quoted(text: string): string {
  return `'${text.replaceAll("'", `'\\''`)}'`;
}
