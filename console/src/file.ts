// Lets the browser save a file that the page made.
export function save(name: string, type: string, pieces: BlobPart[]): void {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(new Blob(pieces, { type }));
  link.download = name;
  link.click();
  URL.revokeObjectURL(link.href);
}
