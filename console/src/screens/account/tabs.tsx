// The links between the screens of an account.
import { to, usePlace } from "../../router";
import { inAccount } from "../../screens";

export function Tabs() {
  const { path } = usePlace();
  return (
    <nav class="tabs" aria-label="Account">
      <ul>
        {inAccount().map(({ label, path: screen }) => (
          <li key={label}>
            <a href={to(screen)} aria-current={path[0] === screen[0] ? "page" : undefined}>
              {label}
            </a>
          </li>
        ))}
      </ul>
    </nav>
  );
}
