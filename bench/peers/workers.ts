/** Starts workers that listen, and waits for them. */
export async function listenInWorkers(
  workers: number,
  file: string,
): Promise<void> {
  const url = new URL(file, import.meta.url);
  await Promise.all(
    Array.from({ length: workers }, () =>
      new Promise((resolve) => {
        new Worker(url, { type: "module" }).onmessage = resolve;
      })),
  );
}
