// Follows deliveries as they change. A watch continues after a restart of the server. It runs only while the page is
// visible, because a browser opens few connections to one server.
import { Code, ConnectError } from "@connectrpc/connect";
import { useEffect, useRef, useState } from "preact/hooks";
import { deliveries } from "../api/clients";
import { ended } from "../api/session";
import { sentence } from "../api/trouble";
import type { Delivery } from "../gen/leadline/v1/delivery_pb";

export interface Watched {
  readonly accountId: string;
  readonly destinationId?: string;
  readonly leadId?: string;
}

export interface Watching {
  /** Whether changes arrive now. */
  readonly live: boolean;
  /** Why no changes arrive; empty if they arrive, or will soon. */
  readonly why: string;
}

interface Follower {
  /** Gets changes. Those that arrive shortly after each other are passed together. */
  changed(changes: Delivery[]): void;
  /** Called if changes may have been missed. The list then has to be read again. */
  gap(): void;
}

const MIN_PAUSE_MS = 500;
const MAX_PAUSE_MS = 10_000;
/** The minimum time between two updates of the page. */
const TOGETHER_MS = 100;
/** The server sends a message at least every 30 seconds. After two missing ones the connection counts as dead. */
const MAX_SILENCE_MS = 75_000;

export function useWatch(watched: Watched, follower: Follower): Watching {
  const [watching, setWatching] = useState<Watching>({ live: false, why: "" });
  const latest = useRef(follower);
  latest.current = follower;
  const { accountId, destinationId = "", leadId = "" } = watched;
  useEffect(() => {
    const changed = (changes: Delivery[]): void => latest.current.changed(changes);
    const watch = new Watch(
      { accountId, destinationId, leadId },
      { changed, gap: () => latest.current.gap() },
      setWatching,
    );
    watch.start();
    return () => watch.stop();
  }, [accountId, destinationId, leadId]);
  return watching;
}

class Watch {
  private token = "";
  private abort: AbortController | undefined;
  private changes: Delivery[] = [];
  private drawing: ReturnType<typeof setTimeout> | undefined;
  private pause: ReturnType<typeof setTimeout> | undefined;
  private silence: ReturnType<typeof setTimeout> | undefined;
  private failures = 0;
  private readonly seen = (): void => (document.hidden ? this.sleep() : this.run());

  constructor(
    private readonly watched: Required<Watched>,
    private readonly follower: Follower,
    private readonly tell: (watching: Watching) => void,
  ) {}

  start(): void {
    document.addEventListener("visibilitychange", this.seen);
    this.seen();
  }

  stop(): void {
    document.removeEventListener("visibilitychange", this.seen);
    clearTimeout(this.drawing);
    this.sleep();
  }

  private sleep(): void {
    clearTimeout(this.pause);
    clearTimeout(this.silence);
    this.abort?.abort();
    this.abort = undefined;
  }

  private run(): void {
    if (this.abort !== undefined) return;
    const abort = new AbortController();
    this.abort = abort;
    this.heard();
    this.read(abort.signal).catch((error: unknown) => {
      if (abort.signal.aborted) return;
      this.abort = undefined;
      clearTimeout(this.silence);
      this.after(ConnectError.from(error));
    });
  }

  /** Notes that a message arrived, and reconnects if no other follows in time. */
  private heard(): void {
    clearTimeout(this.silence);
    this.silence = setTimeout(() => {
      this.sleep();
      this.tell({ live: false, why: "" });
      this.run();
    }, MAX_SILENCE_MS);
  }

  private async read(signal: AbortSignal): Promise<void> {
    const { token } = this;
    const onHeader = (): void => {
      this.tell({ live: true, why: "" });
      // Without a token, the watch begins now. Reading the list shows earlier changes.
      if (token === "") this.follower.gap();
    };
    const request = { ...this.watched, resumeToken: token };
    for await (const { delivery, resumeToken } of deliveries.watchDeliveries(request, {
      signal,
      onHeader,
      timeoutMs: 0,
    })) {
      this.failures = 0;
      this.token = resumeToken;
      this.heard();
      if (delivery === undefined) continue;
      this.changes.push(delivery);
      this.drawing ??= setTimeout(() => this.draw(), TOGETHER_MS);
    }
    throw new ConnectError("the watch ended", Code.Unavailable);
  }

  private draw(): void {
    this.drawing = undefined;
    const { changes } = this;
    this.changes = [];
    this.follower.changed(changes);
  }

  private after(error: ConnectError): void {
    if (error.code === Code.Unauthenticated) return ended();
    // The server no longer keeps the changes since the token.
    if (error.code === Code.DataLoss) this.token = "";
    const isPassing = error.code === Code.Unavailable || error.code === Code.Unknown || error.code === Code.DataLoss;
    this.tell({ live: false, why: isPassing ? "" : sentence(error.rawMessage) });
    const pause = Math.min(MIN_PAUSE_MS * 2 ** this.failures, MAX_PAUSE_MS);
    this.failures += 1;
    this.pause = setTimeout(() => this.run(), isPassing ? pause : MAX_PAUSE_MS);
  }
}
