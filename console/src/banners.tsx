// Warnings about Leadline: it does not answer, a part of it does not work, or lists are behind.
import { useEffect } from "preact/hooks";
import { may } from "./api/access";
import { status } from "./api/clients";
import { health } from "./api/health";
import { useLoad } from "./api/load";
import { StatusService } from "./gen/leadline/v1/status_pb";
import { useStore } from "./store";
import { millis, short } from "./time";
import { count } from "./words";

export function Banners() {
  const { reachable, troubles } = useStore(health);
  if (!reachable) {
    return (
      <div class="banner bad" role="alert">
        <b>Leadline does not answer.</b> This page may be out of date. The console reconnects by itself.
      </div>
    );
  }
  return (
    <>
      {troubles.length === 0 ? null : (
        <div class="banner warn" role="alert">
          <b>A part of Leadline does not work now.</b> This page may be out of date, and actions may fail. Accepted
          leads are kept.
          <ul>
            {troubles.map(({ part, why }) => (
              <li key={part}>
                <b>{part}</b>: {why}
              </li>
            ))}
          </ul>
        </div>
      )}
      {may(StatusService.method.getShownUntil) ? <Behind /> : null}
    </>
  );
}

/** Lists count as behind after this time. A shorter lag is normal. */
const MAX_BEHIND_MS = 3_000;
const INTERVAL_MS = 10_000;
const WHILE_BEHIND_MS = 2_000;

function Behind() {
  const loaded = useLoad("behind", (signal) => status.getShownUntil({}, { signal }));
  const until = millis(loaded.value?.shownUntil);
  const isBehind = until !== undefined && Date.now() - until > MAX_BEHIND_MS;
  useEffect(() => {
    const timer = setInterval(
      () => document.hidden || loaded.reload(),
      until === undefined ? INTERVAL_MS : WHILE_BEHIND_MS,
    );
    return () => clearInterval(timer);
  }, [until === undefined]);
  if (!isBehind) return null;
  const waiting = loaded.value?.waiting ?? 0n;
  return (
    <div class="banner warn" role="status">
      <b>Lists are behind.</b> They show what happened until <time>{short(until)}</time>
      {waiting > 0n ? `; ${count(waiting, "fact")} to come` : ""}.
    </div>
  );
}
