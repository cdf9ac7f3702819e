import { formatAddress } from "./address.ts";
import { inParts } from "../in_parts.ts";
import type { Logger } from "../logger.ts";
import type { Connection } from "./connection.ts";
import { findKeys, type FoundKeys } from "./find_keys.ts";
import {
  ANSWER_TIMEOUT,
  AUDIT_INTERVAL,
  NO_LOOK,
  OtherHeartbeats,
} from "./other_heartbeats.ts";
import type { QueueKeys } from "./queue_keys.ts";
import { isLoss, type RedisError, restate } from "./redis_error.ts";
import { isNumber, isText } from "./reply_shape.ts";
import { defineScript } from "./script.ts";
import { Trouble } from "./trouble.ts";
import { Alarm } from "../waiting.ts";

/** The number of times that a process beats before others take it for dead. */
const BEATS = 2.25;
/** After this part of the time between two beats, one may go along with other commands. */
const EARLY = 0.8;
/**
 * So long what a lost connection carried may still arrive, in seconds: TCP sends
 * it again and again for about a quarter of an hour.
 */
export const LATE = 960;
/** The number of times of `heartbeatTimeout` that the server has to have memory until it is well again. */
const STEADY = 5;

function isBeat(reply: unknown): boolean {
  return reply === null || isText(reply);
}

/** A consumer of one queue whose life the heartbeat shows. */
export interface HeartbeatMember {
  readonly keys: QueueKeys;
  /** The name that its session has at the moment. */
  readonly name: string;
  /** True while only what is on the server can concern it. */
  readonly isQuiet: boolean;
  /**
   * The number of reasons to look that no look has followed yet. While there are
   * any, the session may be over although the heartbeat is there: the look of another
   * session makes that anew.
   */
  doubts: number;
  /** The number of lists that its session has announced, and that are empty. */
  readonly slots: number;
  /**
   * Looks whether its session goes on, and after what others have left.
   *
   * @param stale Heartbeats of others that beat no more, as `key value`, also
   * where the server's clock has not ended them.
   */
  look(stale: readonly string[]): Promise<void>;
  /** Enters what was found into the indexes again, where it is missing there. */
  reenter(found: FoundKeys): Promise<void>;
}

/** Says how long a {@link Heartbeat} may be missing, and by which connection it beats. */
interface HeartbeatOptions {
  /** After how many seconds without a heartbeat others put back what is in hand. */
  readonly heartbeatTimeout: number;
  /** For commands that do not block. */
  readonly control: Connection;
  /** The logger to report to. */
  readonly logger: Logger;
}

/**
 * Shows that this process is alive, by one key for all queues that it consumes on
 * a server: the heartbeat of the session that came first, or of another one when
 * the rights to that are gone. The keys of the other sessions point to it (`=key`).
 *
 * A beat is one command, and nothing else happens while nothing changes. Who
 * joins a queue, or leaves it, writes a `!` behind the heartbeats of the others
 * there: their next beat finds it, and they look who is there now, whose
 * heartbeats they watch from then on. Who may not read such a heartbeat writes the
 * `!` behind what points there, for a limited time. That session beats at its own key
 * from then on, or is dead when the time is over.
 */
export class Heartbeat {
  /**
   * From when on, by `performance.now()`, a beat may go along with what is sent
   * anyway: that spares the process a wake-up of its own.
   */
  earlyAt: number = Infinity;
  /** The heartbeats of others that are watched. */
  readonly others: OtherHeartbeats;
  readonly #options: HeartbeatOptions;
  readonly #members = new Set<HeartbeatMember>();
  #key: string | undefined;
  /** The keys of sessions that others have asked for a heartbeat of their own. */
  readonly #asked = new Set<string>();
  #token = crypto.randomUUID().slice(0, 8);
  #count = 0;
  readonly #alarm = new Alarm(() => this.beat());
  /** True if somebody came or went since the last beat, or asks. */
  #isChanged = false;
  /** False while a right is missing to look: others do not count on this process then. */
  #mayLook = true;
  #auditAt = 0;
  /** When a connection was found again last, and when to look for what it carried. */
  #lostAt = -Infinity;
  #lookAt = Infinity;
  #beating: Promise<void> | undefined;
  #looking: Promise<void> | undefined;
  /** Heartbeats of others that beat no more, for the next look. */
  #stale: string[] = [];
  /** The reason why it does not beat although the server is there. */
  readonly #trouble: Trouble;
  /** The server's want of memory, in which it lives on without beating. */
  readonly #want: Trouble;
  /** When the server was without memory last. */
  #fullAt = -Infinity;

  constructor(options: HeartbeatOptions) {
    this.#options = options;
    const { control, logger } = options;
    this.others = new OtherHeartbeats({
      control,
      lifetime: Number(this.lifetime),
      token: this.#token,
      doubt: () => this.doubt({ now: false }),
    });
    this.#trouble = Trouble.with("heartbeat", logger);
    const place = formatAddress(control.address);
    this.#want = Trouble.with(`the memory of ${place}`, logger);
  }

  /** The time that a beat counts, in milliseconds. */
  get lifetime(): string {
    return String(Math.ceil(this.#options.heartbeatTimeout * 1000));
  }

  /** The text that the key holds since the last beat. */
  get value(): string {
    const mark = this.#mayLook ? "" : NO_LOOK;
    return `${this.lifetime} ${this.#token}${this.#count}${mark}`;
  }

  /**
   * Gives the key that beats for a session: that of the first one that has come,
   * unless that was refused, or its own where others have asked for it.
   */
  key(session: QueueKeys): string {
    const isAsked = this.#asked.size > 0 && this.#asked.has(session.heartbeat);
    return isAsked ? session.heartbeat : this.#key ??= session.heartbeat;
  }

  /** Beats at the session's own key as well, since others may not read the other one. */
  onAsked(session: QueueKeys): void {
    this.#asked.add(session.heartbeat);
  }

  /**
   * Beats no more for a session that is over. Where its data come back, nobody takes
   * it for alive then.
   */
  abandon({ heartbeat }: QueueKeys): void {
    this.#asked.delete(heartbeat);
    if (this.#key === heartbeat) this.#key = undefined;
  }

  /** Beats for this member, too. */
  add(member: HeartbeatMember): void {
    this.#members.add(member);
  }

  /** Beats for it no more; resolves when it does nothing any more. */
  async remove(member: HeartbeatMember): Promise<void> {
    this.#members.delete(member);
    this.others.leave(member.keys);
    await this.#beating;
    await this.#looking;
  }

  /** Lets everybody look again, at the next beat or now. */
  doubt({ now }: { now: boolean }): void {
    for (const member of this.#members) member.doubts++;
    if (now) this.beat();
  }

  /**
   * Takes note of a key that has changed: somebody came or went, or asks for another
   * heartbeat, who may not be able to write it into this one.
   */
  onChange(changed: string): void {
    // What is written to these is found by the beat, which changes them itself.
    if (changed === this.#key || this.#asked.has(changed)) return;
    this.#isChanged ||= changed.endsWith(":consumers") ||
      this.#members.values().some(({ keys }) => keys.heartbeat === changed);
  }

  /** Looks for what a lost connection carried: now, and again ever more rarely. */
  onReconnect(): void {
    this.#lostAt = this.#lookAt = performance.now();
    this.doubt({ now: true });
  }

  /** Beats now, in the background. What fails is done again next time. */
  beat(): void {
    // Before the start, and after the end, it does not beat.
    if (this.earlyAt === Infinity) return;
    this.#windUp();
    if (this.#beating !== undefined) return;
    this.#beating = this.#beat().then(
      () => {
        // Many queues take their time: the next beats do not wait for them.
        this.#looking ??= this.#look().then(
          (): void => void this.#trouble.forget(this),
          this.#onFailure,
        ).finally(() => this.#looking = undefined);
      },
      (error: RedisError) => {
        this.doubt({ now: false });
        this.#onFailure(error);
      },
    ).finally(() => this.#beating = undefined);
  }

  #windUp(): void {
    const interval = this.#options.heartbeatTimeout / BEATS;
    this.earlyAt = performance.now() + EARLY * interval * 1000;
    this.#alarm.set(interval);
  }

  readonly #onFailure = (error: RedisError): void => {
    if (!isLoss(error)) this.#trouble.onFailure(this, error);
  };

  /**
   * Begins to beat, when all members have joined. With one member it resolves
   * when that has looked after what others have left; many do so afterwards.
   *
   * @throws {RedisError} The server refuses, or cannot be reached.
   */
  async start(): Promise<void> {
    // Where messages are delivered at most once, nobody needs to know.
    if (this.#key === undefined) return;
    if (this.#members.size === 1) {
      await this.#beat();
      await this.#look();
    }
    this.#windUp();
    if (this.#members.size > 1) this.beat();
  }

  /** Beats no more, when all members have left; never rejects. */
  async stop(): Promise<void> {
    this.earlyAt = Infinity;
    this.#alarm[Symbol.dispose]();
    await this.#beating;
    await this.#looking;
    this.#want.forget(this);
    this.#trouble.forget(this);
    if (this.#key === undefined) return;
    await this.#options.control.command(["DEL", this.#key, ...this.#asked])
      .catch(() => {});
  }

  async #beat(): Promise<void> {
    const before = this.value;
    this.#count++;
    const [stale, ...found] = await Promise.all([
      this.#count % 2 === 0 ? this.others.findStale() : [],
      this.#beatAt(this.#key!).catch((error: RedisError) => this.#move(error)),
      ...[...this.#asked].map(async (key) => {
        const beat = await this.#beatAt(key).catch(
          (error: RedisError): null => {
            if (error.refused !== "key") throw error;
            return null;
          },
        );
        // Its session is over, or learns with its look that it is asked again.
        if (beat === null) this.#asked.delete(key);
        return beat;
      }),
    ]);
    this.#stale.push(...stale);
    const isSame = !this.#isChanged && found.every((beat) => beat === before);
    this.#isChanged = false;
    if (!isSame || stale.length > 0) this.doubt({ now: false });
  }

  /** Gives what the key has held. It is not made anew: others may have put everything back. */
  async #beatAt(key: string): Promise<string | null> {
    return await this.#options.control.command<string | null>(
      ["SET", key, this.value, "XX", "PX", this.lifetime, "GET"],
      { isReply: isBeat },
    ).then(
      (reply) => this.#onMemory(reply),
      (error: RedisError) => this.#force(key, error),
    );
  }

  /** Lets the members look, where there is a reason. */
  async #look(): Promise<void> {
    const now = performance.now();
    if (now >= this.#auditAt) await this.#audit();
    if (now >= this.#lookAt) {
      this.doubt({ now: false });
      const elapsed = now - this.#lostAt;
      this.#lookAt = elapsed > LATE * 1000
        ? Infinity
        : now + Math.max(1000, elapsed);
    }
    const stale = this.#stale.splice(0);
    const failures: RedisError[] = [];
    const doubtful = [...this.#members].filter(({ doubts }) => doubts > 0);
    for (const part of inParts(doubtful)) {
      // Some may have left meanwhile.
      const members = part.filter((member) => this.#members.has(member));
      const met = new Map(members.map((member) => [member, member.doubts]));
      await Promise.all(
        (await this.#concerned(members)).map((member) =>
          member.look(stale).catch((error) => {
            failures.push(error);
            met.delete(member);
          })
        ),
      );
      // There may be more by now.
      for (const [member, doubts] of met) member.doubts -= doubts;
    }
    this.#mayLook = !failures.some(({ code }) => code === "permission");
    // The next beat lets those look again that could not.
    if (failures.length > 0) throw failures[0];
  }

  /** Tells in which queues there is something that a look is for. */
  static readonly #SURVEY = defineScript(`
-- It declares no keys, since the queues may be in different slots.
-- ARGV[1]  the key of the process' heartbeat
-- ARGV[2...] of each queue: the consumer, how many empty lists it has announced, and
--          the start of the queue's keys
-- Returns the places of those queues, from 0; also of those that are refused.
local found = {}
local isBeating = redis.call('EXISTS', ARGV[1]) == 1
for at = 2, #ARGV, 3 do
  local consumer, slots, start = ARGV[at], ARGV[at + 1], ARGV[at + 2]
  local isRead, isQuiet = pcall(function()
    local hash = start .. 'processing:' .. consumer
    local lists = redis.call('HKEYS', hash)
    local isSame = #lists == tonumber(slots)
    local all = redis.call('HGETALL', start .. 'consumers')
    for place, number in ipairs(lists) do lists[place] = hash .. ':' .. number end
    return isBeating and isSame
      and #all == 2 and all[1] == consumer and all[2] == 'alive'
      and redis.call('EXISTS', start .. 'consumer:' .. consumer) == 1
      and redis.call('EXISTS', start .. 'retry', start .. 'dead',
        start .. 'dead:front', start .. 'dead:text', start .. 'subscribers',
        start .. 'paused', start .. 'delayed', unpack(lists)) == 0
  end)
  if not (isRead and isQuiet) then found[#found + 1] = (at - 2) / 3 end
end
return found
`);

  /** Gives those members that have to look. */
  async #concerned(
    members: readonly HeartbeatMember[],
  ): Promise<readonly HeartbeatMember[]> {
    const quiet = members.filter(({ isQuiet }) => isQuiet);
    if (quiet.length === 0) return members;
    const found = await this.#options.control.script<number[]>(
      Heartbeat.#SURVEY,
      [],
      [
        this.#key!,
        ...quiet.flatMap(({ name, slots, keys: { start } }) => [
          name,
          String(slots),
          start,
        ]),
      ],
      { isReply: (reply) => Array.isArray(reply) && reply.every(isNumber) },
    ).catch((error: RedisError) => {
      // Each look says for itself what it may not do.
      if (isLoss(error)) throw error;
      return quiet.keys();
    });
    const concerned = new Set(members);
    for (const member of quiet) concerned.delete(member);
    for (const at of found) concerned.add(quiet[at]!);
    return [...concerned];
  }

  /**
   * Beats where the server has no memory for it: others would take this process
   * for dead. A server that is full refuses a script's first write if that needs
   * memory, but not the later ones. The refusal is what tells of the server, since
   * no other command is sent whatever happens.
   */
  static readonly #FORCE = defineScript(`
-- KEYS[1]  the heartbeat
-- ARGV[1]  what it holds from now on
-- ARGV[2]  how many milliseconds that counts
-- Returns what it has held, or nil where it is gone.
redis.call('PEXPIRE', KEYS[1], ARGV[2])
return redis.call('SET', KEYS[1], ARGV[1], 'XX', 'PX', ARGV[2], 'GET')
`);

  async #force(key: string, error: RedisError): Promise<string | null> {
    if (error.code !== "memory") throw error;
    this.#fullAt = performance.now();
    this.#want.onFailure(
      this,
      restate(error, {
        attempted: "write all that consuming needs",
        note: "What is sent is refused, what is in the queues is handled",
      }),
    );
    return await this.#options.control.script<string | null>(
      Heartbeat.#FORCE,
      [key],
      [this.value, this.lifetime],
      { isReply: isBeat },
    );
  }

  /**
   * Beats at the key of another queue where that of the first one may no longer be
   * touched. All members look then, and let their own keys point there.
   */
  async #move(error: RedisError): Promise<null> {
    const { control } = this.#options;
    for (const part of inParts([...this.#members])) {
      if (error.refused !== "key") break;
      // Some may have left meanwhile.
      const members = part.filter((member) => this.#members.has(member));
      const attempts = await Promise.allSettled(
        members.map(({ keys: { heartbeat } }) =>
          control.command(["SET", heartbeat, this.value, "PX", this.lifetime])
        ),
      );
      const at = attempts.findIndex(({ status }) => status === "fulfilled");
      if (at < 0) continue;
      this.#key = members[at]!.keys.heartbeat;
      return null;
    }
    throw error;
  }

  /** Tells that the server has memory again, as soon as it has for a while. */
  #onMemory<Reply>(reply: Reply): Reply {
    const { heartbeatTimeout } = this.#options;
    const isSteady =
      performance.now() - this.#fullAt > STEADY * heartbeatTimeout * 1000;
    if (isSteady && this.#want.forget(this)) {
      const { control, logger } = this.#options;
      logger.info(
        `Redis at ${formatAddress(control.address)} has memory again.`,
      );
    }
    return reply;
  }

  /** Goes through the names of all keys for what the indexes do not know. */
  async #audit(): Promise<void> {
    this.#auditAt = performance.now() + AUDIT_INTERVAL;
    this.doubt({ now: false });
    const members = [...this.#members];
    const found = await findKeys(
      this.#options.control,
      members.map(({ keys }) => keys),
      () => this.#members.size > 0,
    );
    const entered = await Promise.allSettled(
      members.filter(({ keys }) => found.has(keys.start))
        .map((member) => member.reenter(found.get(member.keys.start)!)),
    );
    const failed = entered.find(({ status }) => status === "rejected");
    if (failed?.status === "rejected") throw failed.reason;
  }
}

/**
 * Lua functions about heartbeats, shared by the scripts that join, look and
 * leave. The keys of the others are made from the names in the index of
 * consumers, and may point to a heartbeat that another queue of theirs has.
 */
export const HEARTBEAT_FUNCTIONS: string = `
-- Finds the heartbeat of a consumer: its key, and what it holds, if it beats. Where
-- this user may not read it, it is what points there.
local function heartOf(own)
  local beat = redis.call('GET', own)
  if not beat or beat:sub(1, 1) ~= '=' then return own, beat end
  local key = beat:match('^=(.-)!?$')
  local theirs = redis.pcall('GET', key)
  if type(theirs) == 'table' then return own, beat end
  return key, theirs
end

-- Lets a process look who is there, with its next beat. One whose heartbeat this
-- user may not read is asked for another one.
local function ask(key, beat)
  if not beat or beat:sub(-1) == '!' then return end
  if beat:sub(1, 1) == '=' then
    redis.pcall('SET', key, beat .. '!', 'EX', ${ANSWER_TIMEOUT})
  else
    redis.pcall('SET', key, beat .. '!', 'KEEPTTL')
  end
end

-- Lets the other consumers of a queue look who is there.
local function poke(consumers, heartbeats, but)
  local list = redis.call('HGETALL', consumers)
  for at = 1, #list, 2 do
    if list[at + 1] == 'alive' and list[at] ~= but then
      ask(heartOf(heartbeats .. list[at]))
    end
  end
end
`;
