// The colour of a portal. Text on it is black or white, whichever has the higher contrast, which is at least 4.5 to 1.

const BLACK = "#000000";
const WHITE = "#ffffff";

/** Sets the accent colour; `undefined` restores the colour of the console. */
export function paint(color: string | undefined): void {
  const { style } = document.documentElement;
  if (color === undefined || !/^#[0-9a-f]{6}$/i.test(color)) {
    style.removeProperty("--accent");
    style.removeProperty("--on-accent");
    return;
  }
  style.setProperty("--accent", color);
  style.setProperty("--on-accent", textOn(color));
}

export function textOn(color: string): string {
  return contrast(color, WHITE) >= contrast(color, BLACK) ? WHITE : BLACK;
}

/** The contrast of two colours, from 1 to 21 (WCAG 2.2, contrast ratio). */
export function contrast(one: string, other: string): number {
  const [darker = 0, lighter = 0] = [luminance(one), luminance(other)].sort((a, b) => a - b);
  return (lighter + 0.05) / (darker + 0.05);
}

/** The relative luminance of a colour (WCAG 2.2). */
function luminance(color: string): number {
  const channel = (at: number): number => {
    const value = Number.parseInt(color.slice(at, at + 2), 16) / 255;
    return value <= 0.04045 ? value / 12.92 : ((value + 0.055) / 1.055) ** 2.4;
  };
  return 0.2126 * channel(1) + 0.7152 * channel(3) + 0.0722 * channel(5);
}
