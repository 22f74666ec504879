// What a person has to know about Leadline itself: it is away, a part of it does not work, or lists are behind.
import { useEffect } from "preact/hooks";
import { may } from "./api/access";
import { status } from "./api/clients";
import { health } from "./api/health";
import { useLoad } from "./api/load";
import { StatusService } from "./gen/leadline/v1/status_pb";
import { useStore } from "./store";
import { count } from "./words";

export function Banners() {
  const { reachable, troubles } = useStore(health);
  if (!reachable) {
    return (
      <div class="banner bad" role="alert">
        <b>Leadline does not answer.</b> What you see may be old. The console tries again by itself.
      </div>
    );
  }
  if (troubles.length > 0) {
    return (
      <div class="banner warn" role="alert">
        <b>A part of Leadline does not work now.</b> What you see may be old, and actions may fail. Accepted leads are
        kept.
        <ul>
          {troubles.map(({ part, why }) => (
            <li key={part}>
              <b>{part}</b>: {why}
            </li>
          ))}
        </ul>
      </div>
    );
  }
  return may(StatusService.method.getStatus) ? <Behind /> : null;
}

/** Fewer are on their way all the time. */
const MIN_BEHIND = 100n;
const INTERVAL_MS = 10_000;

function Behind() {
  const loaded = useLoad("behind", (signal) => status.getStatus({ top: 1 }, { signal }));
  useEffect(() => {
    const timer = setInterval(() => document.hidden || loaded.reload(), INTERVAL_MS);
    return () => clearInterval(timer);
  }, []);
  const waiting = loaded.value?.lags.find(({ name }) => name === "projector")?.waiting ?? 0n;
  if (waiting < MIN_BEHIND) return null;
  return (
    <div class="banner warn" role="status">
      <b>Lists are behind.</b> {count(waiting, "fact")} of what happened are not shown yet.
    </div>
  );
}
