// Keyboard shortcuts. Each screen defines its own. They are ignored while a person types text.
import { useEffect, useRef } from "preact/hooks";

/** Actions by their keys: a name is one key, or two that are pressed one after the other ("j", "Enter", "g d"). */
export type Keys = Record<string, (event: KeyboardEvent) => void>;

/** The maximum time between the first and the second key. */
const SECOND_KEY_MS = 1_500;

const layers: Keys[] = [];
let first = "";
let timer: ReturnType<typeof setTimeout> | undefined;

function isWriting(target: EventTarget | null): boolean {
  return target instanceof Element && target.closest("input:not([type=checkbox]), textarea, select, dialog") !== null;
}

function pressed(event: KeyboardEvent): void {
  const withControl = event.ctrlKey || event.metaKey;
  if (event.altKey || event.defaultPrevented) return;
  if (!withControl && isWriting(event.target)) {
    // Esc leaves an input, so that shortcuts work again. The browser itself closes a dialog.
    const { target } = event;
    if (event.key === "Escape" && target instanceof HTMLElement && target.closest("dialog") === null) target.blur();
    return;
  }
  const key = withControl ? `Ctrl-${event.key.toLowerCase()}` : event.key;
  const both = first === "" ? key : `${first} ${key}`;
  const handler = find(both) ?? find(key);
  clearTimeout(timer);
  first = "";
  if (handler !== undefined) {
    event.preventDefault();
    handler(event);
    return;
  }
  if (!withControl && layers.some((layer) => Object.keys(layer).some((keys) => keys.startsWith(`${key} `)))) {
    first = key;
    timer = setTimeout(() => (first = ""), SECOND_KEY_MS);
  }
}

/** The action for these keys. A screen is a later layer than the frame around it, and takes precedence. */
function find(keys: string): ((event: KeyboardEvent) => void) | undefined {
  return layers.toReversed().find((layer) => keys in layer)?.[keys];
}

export function listenToKeys(): void {
  document.addEventListener("keydown", pressed);
}

export function useKeys(keys: Keys): void {
  const latest = useRef(keys);
  latest.current = keys;
  useEffect(() => {
    // The set of keys is fixed when the screen appears. The action is looked up when a key is pressed.
    const layer: Keys = {};
    for (const name of Object.keys(latest.current)) layer[name] = (event) => latest.current[name]?.(event);
    layers.push(layer);
    return () => void layers.splice(layers.indexOf(layer), 1);
  }, []);
}
