// The palette, which Ctrl-K opens: goes to a screen, a destination, a lead or a delivery by its name or id.
import { useState } from "preact/hooks";
import { useFreshThings } from "./account";
import { go, to } from "./router";
import { offered } from "./screens";
import { Dialog } from "./ui/dialog";

interface Choice {
  readonly label: string;
  readonly hint: string;
  readonly href: string;
}

const MAX_SHOWN = 12;
const UUID = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/i;

export function Palette({ close }: { close: () => void }) {
  const [text, setText] = useState("");
  const [at, setAt] = useState(0);
  const choices = useChoices(text.trim());
  const chosen = Math.min(at, choices.length - 1);
  const open = (choice: Choice | undefined): void => {
    if (choice === undefined) return;
    close();
    go(choice.href);
  };
  const pressed = (event: KeyboardEvent): void => {
    if (event.key === "ArrowDown") setAt(Math.min(chosen + 1, choices.length - 1));
    else if (event.key === "ArrowUp") setAt(Math.max(chosen - 1, 0));
    else if (event.key === "Enter") open(choices[chosen]);
    else return;
    event.preventDefault();
  };
  return (
    <Dialog title="Go to" close={close}>
      <input
        class="palette-input"
        type="text"
        role="combobox"
        aria-label="Name of a screen or a destination, or the id of a delivery or a lead"
        aria-expanded="true"
        aria-controls="palette"
        aria-activedescendant={choices.length === 0 ? undefined : `palette-${chosen}`}
        autoComplete="off"
        autoFocus
        placeholder="A screen, a destination, a lead id, a delivery id"
        value={text}
        onInput={(event) => {
          setText(event.currentTarget.value);
          setAt(0);
        }}
        onKeyDown={pressed}
      />
      <ul class="palette" id="palette" role="listbox" aria-label="Choices">
        {choices.map((choice, index) => (
          <li
            key={choice.href}
            id={`palette-${index}`}
            role="option"
            aria-selected={index === chosen}
            onClick={() => open(choice)}
            onMouseEnter={() => setAt(index)}
          >
            {choice.label} <span class="dim">{choice.hint}</span>
          </li>
        ))}
      </ul>
    </Dialog>
  );
}

function useChoices(text: string): Choice[] {
  const { destinations } = useFreshThings();
  const wanted = text.toLowerCase();
  const has = (...texts: string[]): boolean => texts.some((one) => one.toLowerCase().includes(wanted));
  const screens = offered().filter(({ label }) => has(label));
  const choices: Choice[] = screens.map(({ label, path, keys }) => ({ label, hint: keys, href: to(path) }));
  for (const { name, url, destinationId: id } of destinations) {
    if (has(name, url, id))
      choices.push({ label: name || id, hint: `destination, ${host(url)}`, href: to(["destinations", id]) });
  }
  if (text === "") return choices.slice(0, MAX_SHOWN);
  const byId: Choice[] = [{ label: text, hint: "lead with this id", href: to(["leads", text]) }];
  if (UUID.test(text)) byId.unshift({ label: text, hint: "delivery with this id", href: to(["deliveries", text]) });
  return [...choices.slice(0, MAX_SHOWN - byId.length), ...byId];
}

/** The host of a URL, which may be a template. */
export function host(url: string): string {
  return /^[a-z]+:\/\/([^/?#]+)/i.exec(url)?.[1] ?? url;
}
