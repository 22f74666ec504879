// Tries a condition on a payload, without storing or sending anything.
import { useState } from "preact/hooks";
import { useAccount } from "../../account";
import { registry } from "../../api/clients";
import { useAction } from "../../ui/action";
import { Button } from "../../ui/basics";

export function TryCondition({ condition }: { condition: string }) {
  const accountId = useAccount();
  const [payload, setPayload] = useState(`{"country": "DE"}`);
  const [result, setResult] = useState("");
  const { busy, wrong, act } = useAction("", "Not tried.");
  const look = async (): Promise<void> => {
    setResult("");
    const tried = await registry.testCondition({ accountId, condition, payload: new TextEncoder().encode(payload) });
    setResult(
      tried.holds
        ? "The destination would want it."
        : `The destination would not want it: ${tried.unmet} does not hold, ${tried.reason}.`,
    );
  };
  return (
    <div class="field">
      <label for="try-payload">Payload to try the condition on</label>
      <textarea
        id="try-payload"
        class="mono"
        rows={3}
        spellcheck={false}
        value={payload}
        onInput={(event) => setPayload(event.currentTarget.value)}
      />
      <p class="row">
        <Button busy={busy} onClick={() => void act(look)}>
          Try the condition
        </Button>
        <span role="status">{result}</span>
        {wrong === "" ? null : (
          <span class="wrong" role="alert">
            {wrong}
          </span>
        )}
      </p>
    </div>
  );
}
