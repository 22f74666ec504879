import { offered } from "./screens";
import { Dialog } from "./ui/dialog";

const KEYS: readonly (readonly [string, string])[] = [
  ["/", "go to the filter or the search"],
  ["j", "go to the next row"],
  ["k", "go to the row before"],
  ["Enter", "open the row"],
  ["x", "select the row"],
  ["r", "retry the selection, or the row"],
  ["Ctrl K", "go to anything by its name or id"],
  ["?", "show this help"],
  ["Esc", "close the dialog"],
];

export function Help({ close }: { close: () => void }) {
  const going = offered().flatMap(({ keys, label }) => (keys === "" ? [] : [[keys, `go to: ${label}`] as const]));
  return (
    <Dialog title="Keyboard" close={close}>
      <table class="keys">
        <thead>
          <tr>
            <th scope="col">Key</th>
            <th scope="col">What it does</th>
          </tr>
        </thead>
        <tbody>
          {[...KEYS, ...going].map(([key, does]) => (
            <tr key={key}>
              <td>
                {key.split(" ").map((one) => (
                  <kbd key={one}>{one}</kbd>
                ))}
              </td>
              <td>{does}</td>
            </tr>
          ))}
        </tbody>
      </table>
    </Dialog>
  );
}
