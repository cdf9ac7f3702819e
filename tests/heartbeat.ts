/**
 * A `heartbeatTimeout` for tests in which somebody dies, in seconds: others soon
 * notice it, and a machine that is busy misses no beat.
 */
export const HEARTBEAT = 3;
