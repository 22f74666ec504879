// A secret that the server shows once.
import { Button, Code, Notice } from "./basics";
import { Dialog } from "./dialog";

interface Props {
  title: string;
  /** The name of the secret, for screen readers. */
  label: string;
  secret: string;
  /** The end of the sentence "This is shown once, and …". */
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
