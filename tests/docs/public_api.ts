import assert from "node:assert/strict";
import config from "../../deno.json" with { type: "json" };

/** A docstring, as `deno doc --json` gives it. */
export interface Docstring {
  readonly doc?: string;
  readonly tags?: readonly {
    readonly kind: string;
    readonly name?: string;
    readonly doc?: string;
    readonly tsType?: Type;
  }[];
}

export interface Type {
  readonly repr?: string;
  readonly kind: string;
  readonly value: unknown;
}

export interface Parameter {
  /** A parameter with a default is an `assign`; one that is taken apart has no name. */
  readonly kind: "identifier" | "assign" | "rest" | "object" | "array";
  readonly name?: string;
  readonly left?: Parameter;
  readonly arg?: Parameter;
  readonly tsType?: Type;
}

export interface Signature {
  readonly params: readonly Parameter[];
  readonly returnType?: Type;
}

interface Member extends Partial<Signature> {
  readonly name: string;
  readonly kind?: "method" | "getter" | "setter";
  readonly accessibility?: "private" | "protected";
  readonly jsDoc?: Docstring;
  readonly tsType?: Type;
  readonly functionDef?: Signature;
}

interface Declaration {
  readonly kind: string;
  readonly jsDoc?: Docstring;
  readonly def: Partial<Signature> & {
    /** The name of the base class, or the types of the base interfaces. */
    readonly extends?: string | readonly Type[];
    readonly tsType?: Type;
    readonly constructors?: readonly Member[];
    readonly methods?: readonly Member[];
    readonly properties?: readonly Member[];
  };
}

interface Documentation {
  readonly nodes: Readonly<
    Record<string, {
      readonly module_doc?: Docstring;
      readonly symbols: readonly {
        readonly name: string;
        readonly declarations: readonly Declaration[];
      }[];
    }>
  >;
}

/** Something that has a docstring, by its name: `Bus`, or `Bus.post`. */
export interface Entry {
  readonly name: string;
  readonly doc: Docstring;
  readonly kind: string;
  /** What it inherits from. */
  readonly bases: readonly string[];
  readonly type?: Type;
  readonly signature?: Signature;
}

/** Every symbol that the package exports, and the members of each. */
export async function publicApi(): Promise<Entry[]> {
  const command = new Deno.Command(Deno.execPath(), {
    args: ["doc", "--json", ...Object.values(config.exports)],
    cwd: new URL("../../", import.meta.url),
  });
  const { success, stdout, stderr } = await command.output();
  const decoder = new TextDecoder();
  assert.ok(success, decoder.decode(stderr));
  const { nodes }: Documentation = JSON.parse(decoder.decode(stdout));
  const entries: Entry[] = [];
  for (const [file, { module_doc, symbols }] of Object.entries(nodes)) {
    entries.push({
      name: file,
      doc: module_doc ?? {},
      kind: "module",
      bases: [],
    });
    for (const { name, declarations } of symbols) {
      for (const declaration of declarations) {
        entries.push(...entriesOf(name, declaration));
      }
    }
  }
  return entries;
}

function entriesOf(name: string, { kind, jsDoc, def }: Declaration): Entry[] {
  // What a module exports again is looked at where it comes from.
  if (kind === "reference") return [];
  const { constructors = [], methods = [], properties = [], tsType } = def;
  const signature = def.params === undefined
    ? tsType?.kind === "fnOrConstructor" && tsType.value as Signature
    : def as Signature;
  const members = [...constructors, ...methods, ...properties]
    .filter(({ accessibility }) => accessibility !== "private")
    // A setter has the docstring of its getter.
    .filter(({ kind }) => kind !== "setter")
    .map((member): Entry => ({
      name: `${name}.${member.name}`,
      doc: member.jsDoc ?? {},
      bases: [],
      kind: member.name === "constructor"
        ? "constructor"
        : member.kind ?? "property",
      ...member.tsType && { type: member.tsType },
      ...(member.functionDef ?? member.params) &&
        { signature: member.functionDef ?? member as Signature },
    }));
  const bases = [def.extends ?? []].flat()
    .map((base) => typeof base === "string" ? base : base.repr!);
  return [
    { name, doc: jsDoc ?? {}, kind, bases, ...signature && { signature } },
    ...members,
  ];
}

/** The name of a parameter; one that is taken apart has none. */
export function nameOf(parameter: Parameter): string | undefined {
  const { kind, name, left, arg } = parameter;
  if (kind === "assign") return nameOf(left!);
  if (kind === "rest") return nameOf(arg!);
  return name;
}
