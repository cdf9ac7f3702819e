/**
 * An event as a sensor sends it, on the wire.
 *
 * @param data What it has measured, and whatever else it says.
 */
export function sensorEvent(
  data: Record<string, unknown>,
): Record<string, unknown> {
  return {
    type: "event",
    target: "livingroom",
    origin: "livingroom",
    id: "0123456789abcdef0123456789abcdef",
    _timestamp: 1795450970.94,
    args: {
      type: "platypush.message.event.sensor.SensorDataChangeEvent",
      ...data,
    },
  };
}

/** What a sensor of the climate in a room says. */
export const CLIMATE = {
  data: { temperature: 21.5, humidity: 40.25, pressure: 1013.2 },
  source: "sensor.bme280",
  room: "Living room, beside the window",
  labels: ["indoor", "climate"],
};
