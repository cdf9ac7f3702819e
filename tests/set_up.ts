/**
 * Starts what a test disposes of in the end; where that fails, nothing is left
 * behind.
 *
 * @param setup What is still empty, or has parts already.
 * @param start Adds the parts that are missing.
 */
export async function setUp<Setup extends AsyncDisposable>(
  setup: Setup,
  start: (setup: Setup) => Promise<void>,
): Promise<Setup> {
  try {
    await start(setup);
    return setup;
  } catch (error) {
    await setup[Symbol.asyncDispose]();
    throw error;
  }
}
