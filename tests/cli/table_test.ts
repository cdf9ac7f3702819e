import assert from "node:assert/strict";
import fc from "fast-check";
import { Event, Inbox } from "../../mod.ts";
import { cutToWidth, displayWidth, table } from "../../src/cli/table.ts";
import { messageLine } from "../../src/cli/message_line.ts";
import { painter } from "../../src/cli/print.ts";
import { Namespace, whyNoNamespaces } from "../namespaces.ts";
import { Program, runProgram, whyNoTerminals } from "../programs.ts";
import { letter } from "../redis/dead_letters.ts";
import { TestServer } from "../servers.ts";
import { testUnless } from "../test_unless.ts";

const reason = await whyNoNamespaces() ??
  whyNoTerminals();
const paint = painter(false);
/** Each sign takes two columns. */
const ROOM = "漢字の居間💡";

/** Counts columns without the code under test, for what is in these tests. */
function columnsOf(text: string): number {
  const wide = /[\p{Script=Han}\p{Script=Hiragana}💡]/u;
  return Array.from(text).reduce(
    (sum, sign) => sum + (wide.test(sign) ? 2 : 1),
    0,
  );
}

/** Tells in which column of the terminal a word begins. */
function columnOf(word: string, line: string): number {
  assert.ok(line.includes(word), `${word}: ${line}`);
  return columnsOf(line.slice(0, line.indexOf(word)));
}

Deno.test("displayWidth counts the columns of a terminal", () => {
  const widths = [["hall", 4], ["漢字", 4], ["💡", 2], ["👩‍👩‍👧", 2], [
    "e\u0301",
    1,
  ]];
  for (const [text, width] of widths) {
    assert.equal(displayWidth(text as string), width, `${text}`);
  }
});

Deno.test("cutToWidth leaves what fits, and never takes more columns or half a sign", () => {
  assert.equal(cutToWidth("漢字", 4), "漢字");
  assert.equal(cutToWidth("漢字漢字", 5), "漢字…");
  assert.equal(cutToWidth("漢字漢字", 4), "漢…");
  assert.equal(cutToWidth("hall", 0), "");
  const sign = fc.constantFrom("a", "漢", "💡", "𠀀", "👩‍👩‍👧", "é", "ｱ", " ");
  fc.assert(fc.property(
    fc.array(sign, { maxLength: 30 }),
    fc.integer({ min: 0, max: 40 }),
    (signs, width) => {
      const short = cutToWidth(signs.join(""), width);
      assert.ok(displayWidth(short) <= width, short);
      assert.ok(short.isWellFormed(), short);
    },
  ));
});

Deno.test("table puts columns below each other whatever is in them", () => {
  const columns = [{ title: "ROOM" }, { title: "N", align: "right" }] as const;
  const lines = table(
    columns,
    [["漢字", "1"], ["hall", "💡"], ["a", "22"]],
    { paint, width: Infinity },
  );
  assert.deepEqual(lines, ["ROOM   N", "漢字   1", "hall  💡", "a     22"]);
});

Deno.test("table cuts off what a line has no room for, of the widest columns first", () => {
  const columns = [{ title: "N", align: "right" }, { title: "ROOM" }, {
    title: "ERROR",
  }] as const;
  const rows = [["1", ROOM, "e".repeat(50)], ["22", "hall", "no"]];
  const whole = table(columns, rows, { paint, width: Infinity });
  assert.equal(whole[1], ` 1  ${ROOM}  ${"e".repeat(50)}`);
  assert.deepEqual(table(columns, rows, { paint, width: 100 }), whole);
  assert.deepEqual(table(columns, rows, { paint, width: 40 }), [
    " N  ROOM          ERROR",
    ` 1  ${ROOM}  ${"e".repeat(21)}…`,
    "22  hall          no",
  ]);
  for (let width = 1; width < 80; width++) {
    for (const line of table(columns, rows, { paint, width })) {
      assert.ok(columnsOf(line) <= width, `${width}: ${line}`);
    }
  }
});

Deno.test("messageLine fits into 40 columns, and into fewer", () => {
  const event = (type: string): Event =>
    new Event({ origin: ROOM, target: ROOM, args: { type, room: ROOM } });
  for (const type of ["custom.A", `custom.${"居間".repeat(20)}`]) {
    for (const width of [40, 39, 20, 9, 1]) {
      const line = messageLine(event(type), { paint, width });
      assert.ok(columnsOf(line) <= width, `${width}: ${line}`);
    }
  }
});

Deno.test("dead list and status put columns below each other whatever is in them", async () => {
  await using server = await TestServer.start();
  const letter = (id: string): string =>
    JSON.stringify({
      ...{
        id,
        queue: ROOM,
        reason: "failed",
        error: "no",
        time: Date.now() / 1000,
      },
      ...{ deliveries: 3, message: "{}" },
    });
  const letters = [ROOM, "hall"].map(letter);
  await server.run("RPUSH", `{${ROOM}}:dead`, ...letters);
  const open = (consumer: string): Promise<Inbox> =>
    Inbox.open(server.args, { queue: ROOM, consumer });
  await using _room = await open(ROOM);
  await using _hall = await open("hall");
  const at = ["--queue", ROOM, "--url", server.url];
  const list = await runProgram(["cli.ts", "dead", "list", ...at]);
  assert.equal(list.code, 0, list.stderr);
  const [titles, ...rows] = list.stdout.trimEnd().split("\n");
  const places = rows.map((line) => columnOf("failed", line));
  const title = columnOf("REASON", titles!);
  assert.deepEqual(places, [title, title], list.stdout);

  const status = await runProgram(["cli.ts", "status", ...at]);
  assert.equal(status.code, 0, status.stderr);
  const consumers = status.stdout.trimEnd().split("\n").slice(-3);
  const ends = consumers.map(columnsOf);
  assert.deepEqual(ends, [ends[0], ends[0], ends[0]], status.stdout);
});

testUnless(
  whyNoTerminals(),
  "dead list and status cut rows at 40 columns of a terminal, and nowhere else",
  async () => {
    await using server = await TestServer.start();
    const error = "漢字の居間".repeat(20);
    await server.run("RPUSH", "{queue}:dead", letter(ROOM, { error }));
    await using _room = await Inbox.open(server.args, {
      queue: "queue",
      consumer: ROOM.repeat(5),
    });
    const at = ["--queue", "queue", "--url", server.url];
    for (const command of [["dead", "list"], ["status"]]) {
      const args = ["cli.ts", ...command, ...at];
      const whole = await runProgram(args);
      const text = command[0] === "dead" ? error : ROOM.repeat(5);
      assert.ok(whole.stdout.includes(text), whole.stdout);
      const onTerminal = { isOnTerminal: true, columns: 40 };
      const { stdout } = await runProgram(args, {
        ...onTerminal,
        env: { TERM: "dumb" },
      });
      assert.ok(!stdout.includes("\x1b"), stdout);
      const row = stdout.trimEnd().split("\r\n").at(-1)!;
      assert.match(row, /…/);
      assert.ok(columnsOf(row) <= 40, row);
    }
  },
);

testUnless(
  reason,
  "discover --watch fits into 40 columns whatever a device is called",
  async () => {
    await using namespace = await Namespace.make();
    await using room = new Program(["tests/cli/lamp.ts", ROOM], { namespace });
    await room.line();
    await using watch = new Program(
      ["cli.ts", "discover", "--watch", "--no-color"],
      { namespace, isOnTerminal: true, columns: 40 },
    );
    let line: string;
    do line = (await watch.line()).replace("\r", ""); while (
      !line.includes("漢字")
    );
    assert.ok(columnsOf(line) <= 40, line);
    assert.ok(line.endsWith("…"), line);
    // When the terminal has another size, all is drawn again.
    await watch.resize(60);
    do line = (await watch.line()).replace("\r", ""); while (
      !line.includes("漢字")
    );
    assert.ok(columnsOf(line) > 40 && columnsOf(line) <= 60, line);
    await watch.end("SIGTERM");
    await room.end("SIGTERM");
  },
);
