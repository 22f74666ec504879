// Runs an action that calls the API, and the dialog that asks before it does.
import type { ComponentChildren } from "preact";
import { useState } from "preact/hooks";
import { sentence, trouble } from "../api/trouble";
import { Button } from "./basics";
import { Dialog } from "./dialog";
import { say } from "./toast";

/** Thrown to keep a dialog open without an error, for another step. */
export class Stay extends Error {}

/** Runs an action. `did` is shown if it succeeds. If it fails, `undone` and the error are shown. */
export function useAction(
  did: string,
  undone: string,
): { busy: boolean; wrong: string; act(what: () => Promise<unknown>): Promise<boolean> } {
  const [busy, setBusy] = useState(false);
  const [wrong, setWrong] = useState("");
  const act = async (what: () => Promise<unknown>): Promise<boolean> => {
    setBusy(true);
    setWrong("");
    try {
      await what();
      if (did !== "") say(did);
      return true;
    } catch (error) {
      if (error instanceof Stay) return false;
      const why = `${undone} ${sentence(trouble(error).text)}`;
      setWrong(why);
      return false;
    } finally {
      setBusy(false);
    }
  };
  return { busy, wrong, act };
}

interface AskProps {
  title: string;
  children: ComponentChildren;
  /** The text of the button. */
  verb: string;
  did: string;
  undone: string;
  danger?: boolean;
  wide?: boolean;
  act: () => Promise<unknown>;
  close: () => void;
}

export function Ask({ title, children, verb, did, undone, danger = false, wide = false, act, close }: AskProps) {
  const action = useAction(did, undone);
  const submit = async (event: Event): Promise<void> => {
    event.preventDefault();
    if (await action.act(act)) close();
  };
  return (
    <Dialog title={title} close={close} wide={wide}>
      <form class="ask" onSubmit={(event) => void submit(event)}>
        {children}
        {action.wrong === "" ? null : (
          <p class="wrong" role="alert">
            {action.wrong}
          </p>
        )}
        <p class="row">
          <Button type="submit" kind={danger ? "danger" : "primary"} busy={action.busy}>
            {verb}
          </Button>
          <Button onClick={close}>Cancel</Button>
        </p>
      </form>
    </Dialog>
  );
}
