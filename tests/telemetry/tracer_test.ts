import { ProxyTracerProvider, trace } from "@opentelemetry/api";
import assert from "node:assert/strict";
import { isTracing } from "../../src/telemetry/mod.ts";

Deno.test("Spans are collected as long as any SDK is registered", () => {
  assert.equal(isTracing(), false);
  trace.setGlobalTracerProvider(new ProxyTracerProvider());
  try {
    assert.equal(isTracing(), true);
  } finally {
    trace.disable();
  }
  assert.equal(isTracing(), false);
});
