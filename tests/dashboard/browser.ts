import { type Browser, chromium, type Page } from "playwright-core";

/** The names that Debian and others have for it. */
const NAMES = ["chromium", "chromium-browser", "google-chrome"];

/** Finds a Chromium on the `PATH`. */
export function findChromium(): string | undefined {
  for (const folder of (Deno.env.get("PATH") ?? "").split(":")) {
    for (const name of NAMES) {
      const path = `${folder}/${name}`;
      try {
        if (Deno.statSync(path).isFile) return path;
      } catch {
        // It is not there.
      }
    }
  }
  return undefined;
}

/** Starts a Chromium without a window. */
export async function openBrowser(
  path = findChromium()!,
): Promise<Browser & AsyncDisposable> {
  return await chromium.launch({
    executablePath: path,
    // Tests may run as root, or in a container that has no sandbox.
    chromiumSandbox: false,
    args: ["--disable-gpu", "--disable-dev-shm-usage"],
  });
}

/** Collects what a page complains about. */
export function complaints(page: Page): string[] {
  const found: string[] = [];
  page.on("console", (message) => {
    if (["error", "warning"].includes(message.type())) {
      found.push(`${message.type()}: ${message.text()} (${page.url()})`);
    }
  });
  page.on("pageerror", (error) => found.push(`${error.stack}`));
  page.on("dialog", (dialog) => {
    found.push(`dialog: ${dialog.message()}`);
    dialog.dismiss();
  });
  return found;
}
