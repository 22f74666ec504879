// Describes the failure of a call for people.
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
  /** The name of the field in the API. */
  readonly field: string;
  readonly problem: string;
}

/** Every field that the server found wrong, from the detail google.rpc.BadRequest of its answer. */
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

/** The fields of a message that are texts or messages, with their numbers. */
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

/** Whether a browser made this text, because a call got no answer. */
function isOfTheBrowser(text: string): boolean {
  return /failed to fetch|networkerror|load failed|network error|the operation was aborted|timed out/i.test(text);
}

/** Makes a text a sentence: it begins with a capital letter and ends with a full stop. */
export function sentence(text: string): string {
  const trimmed = text.trim();
  const capitalised = trimmed.charAt(0).toUpperCase() + trimmed.slice(1);
  return /[.!?]$/.test(capitalised) ? capitalised : `${capitalised}.`;
}
