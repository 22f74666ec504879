// The failure of a call, in words.
import { Code, ConnectError } from "@connectrpc/connect";

export interface Trouble {
  readonly kind: "away" | "missing" | "forbidden" | "refused";
  readonly text: string;
}

const AWAY: ReadonlySet<Code> = new Set([Code.Unavailable, Code.DeadlineExceeded, Code.Unknown, Code.Canceled]);

export function trouble(error: unknown): Trouble {
  const { code, rawMessage } = ConnectError.from(error);
  if (code === Code.NotFound) return { kind: "missing", text: rawMessage };
  if (code === Code.PermissionDenied) return { kind: "forbidden", text: rawMessage };
  if (AWAY.has(code))
    return { kind: "away", text: isOfTheBrowser(rawMessage) ? "Leadline does not answer." : rawMessage };
  return { kind: "refused", text: rawMessage };
}

/** Texts of browsers for calls without an answer. */
function isOfTheBrowser(text: string): boolean {
  return /failed to fetch|networkerror|load failed|network error|the operation was aborted|timed out/i.test(text);
}

/** A text for people: one sentence that begins with a capital. */
export function sentence(text: string): string {
  const trimmed = text.trim();
  const begun = trimmed.charAt(0).toUpperCase() + trimmed.slice(1);
  return /[.!?]$/.test(begun) ? begun : `${begun}.`;
}
