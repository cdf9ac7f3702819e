/**
 * Tells how many characters a line on the terminal has; 80 where that is
 * unknown.
 */
export function terminalWidth(): number {
  try {
    return Deno.consoleSize().columns || 80;
  } catch {
    return 80; // There is no terminal.
  }
}
