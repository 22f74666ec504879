// The failure of a call, in words.
import { BinaryReader, WireType } from "@bufbuild/protobuf/wire";
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

export interface WrongField {
  /** As the API names it. */
  readonly field: string;
  readonly problem: string;
}

/** Every field that the server found wrong: the detail google.rpc.BadRequest of a refusal. */
export function wrongFields(error: unknown): WrongField[] {
  for (const detail of ConnectError.from(error).details) {
    if (!("type" in detail) || detail.type !== "google.rpc.BadRequest") continue;
    return fieldsIn(detail.value)
      .filter(([number]) => number === 1)
      .map(([, violation]) => {
        const parts = new Map(fieldsIn(violation));
        return { field: text(parts.get(1)), problem: text(parts.get(2)) };
      });
  }
  return [];
}

/** The fields of a message with their numbers, of those that are texts or messages. */
function fieldsIn(message: Uint8Array): [number, Uint8Array][] {
  const reader = new BinaryReader(message);
  const fields: [number, Uint8Array][] = [];
  while (reader.pos < reader.len) {
    const [number, type] = reader.tag();
    if (type === WireType.LengthDelimited) fields.push([number, reader.bytes()]);
    else reader.skip(type);
  }
  return fields;
}

const text = (bytes: Uint8Array | undefined): string => new TextDecoder().decode(bytes);

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
