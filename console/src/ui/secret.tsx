// A secret that the server shows once.
import { Button, Code, Notice } from "./basics";
import { Dialog } from "./dialog";

interface Props {
  title: string;
  /** What it is, for screen readers. */
  label: string;
  secret: string;
  /** Why it is not shown again. */
  why: string;
  close: () => void;
}

export function Secret({ title, label, secret, why, close }: Props) {
  return (
    <Dialog title={title} close={close}>
      <Notice kind="warn">This is shown once, and {why}. Copy it now.</Notice>
      <Code text={secret} label={label} />
      <Button onClick={close}>I have it</Button>
    </Dialog>
  );
}
