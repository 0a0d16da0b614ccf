import { expect } from "chai";
import fc from "fast-check";
import { fromBinary } from "@bufbuild/protobuf";
import { FileDescriptorSetSchema } from "@bufbuild/protobuf/wkt";
import protobuf from "protobufjs";
import { MAX_MESSAGE_BYTES } from "#sdk/schema-message.ts";
import { MAX_SCHEMA_PROTO_BYTES, parseSchemaProto } from "#sdk/schema-proto.ts";
import { SuretyError } from "#sdk/errors.ts";
import { code } from "../support/error-code.ts";
import { everyProto, rootProto, rootSchema } from "../support/schema-proto.ts";

/** What a call throws. */
function thrown(act: () => unknown): SuretyError {
  try {
    act();
  } catch (error) {
    if (error instanceof SuretyError) return error;
    throw error;
  }
  throw new Error("nothing thrown");
}

describe("a schema's proto", () => {
  it("is found by the names of its services, in a package or not", () => {
    const { worker, evaluator } = rootSchema();
    expect([worker.service, worker.method, worker.input.name, worker.output.name]).to.deep.equal([
      ...["Worker", "CalculateRoot", "Request", "WorkerReply"],
    ]);
    expect([evaluator.service, evaluator.method]).to.deep.equal(["Evaluator", "EvaluateRoot"]);
    expect(parseSchemaProto(everyProto).worker.service).to.equal("every.kind.Worker");
  });

  it("is described as protobuf itself describes it", () => {
    const { file } = fromBinary(FileDescriptorSetSchema, parseSchemaProto(everyProto).descriptors);
    expect(file).to.have.length(1);
    expect(file[0]!.messageType.map(({ name }) => name)).to.deep.equal(["All", "Result", "Judging", "Judged"]);
    const all = file[0]!.messageType[0]!;
    expect(all.field.find(({ name }) => name === "u")).to.include({ proto3Optional: true });
    expect(all.oneofDecl[0]!.name).to.equal("either");
  });

  const refused: [what: string, text: string, code: string][] = [
    ["no syntax", rootProto.replace(/^.*\n/, ""), "SCHEMA_PROTO_INVALID"],
    ["proto2", rootProto.replace("proto3", "proto2"), "SCHEMA_PROTO_INVALID"],
    ["a syntax in a comment", `// syntax = "proto3";\n${rootProto.replace(/^.*\n/, "")}`, "SCHEMA_PROTO_INVALID"],
    ["two messages for one rpc", rootProto.replace("(Evaluation)", "(Request, Workers)"), "SCHEMA_PROTO_INVALID"],
    ["a missing brace", rootProto.replace("string report = 3; }", "string report = 3;"), "SCHEMA_PROTO_INVALID"],
    ["a field without a type", rootProto.replace("repeated string node", "repeated node"), "SCHEMA_PROTO_INVALID"],
    ["an unknown type", rootProto.replace("float y", "Nothing y"), "SCHEMA_PROTO_INVALID"],
    ["an import", `${rootProto}import "other.proto";`, "SCHEMA_PROTO_INVALID"],
    ["a required field", rootProto.replace("float y", "required float y"), "SCHEMA_PROTO_INVALID"],
    ["a group", rootProto.replace("float y = 1;", "optional group G = 1 { int32 z = 2; }"), "SCHEMA_PROTO_INVALID"],
    ["an extension", `${rootProto}extend Request { int32 z = 100; }`, "SCHEMA_PROTO_INVALID"],
    ["another name in JSON", rootProto.replace("y = 1;", 'y = 1 [json_name = "z"];'), "SCHEMA_PROTO_INVALID"],
    [
      "a list that is not packed",
      rootProto.replace("score = 2;", "score = 2 [packed = false];"),
      "SCHEMA_PROTO_INVALID",
    ],
    ["a number twice", rootProto.replace("float y = 1;", "float y = 1; float z = 1;"), "SCHEMA_PROTO_INVALID"],
    ["a reserved number", rootProto.replace("float y = 1;", "float y = 19500;"), "SCHEMA_PROTO_INVALID"],
    ["an enumeration that does not begin at 0", `${rootProto}enum E { A = 1; }`, "SCHEMA_PROTO_INVALID"],
    ["a name of JavaScript's own", rootProto.replace("float y", "float constructor"), "SCHEMA_PROTO_INVALID"],
    ["a prototype", `${rootProto}message __proto__ { float y = 1; }`, "SCHEMA_PROTO_INVALID"],
    ["too much", `${rootProto}//${"x".repeat(MAX_SCHEMA_PROTO_BYTES)}`, "SCHEMA_PROTO_INVALID"],
    ["a service with the name of a message", `${rootProto}message Worker { }`, "SCHEMA_PROTO_INVALID"],
    ["no worker", rootProto.replace("service Worker", "service Helper"), "SCHEMA_SERVICE_MISSING"],
    ["no evaluator", rootProto.replace("service Evaluator", "service Judge"), "SCHEMA_SERVICE_MISSING"],
    ["no rpc", rootProto.replace(/rpc CalculateRoot .*?\{\} /, ""), "SCHEMA_SERVICE_INVALID"],
    [
      "two rpcs",
      rootProto.replace("rpc CalculateRoot", "rpc Other (Request) returns (WorkerReply) {} rpc CalculateRoot"),
      "SCHEMA_SERVICE_INVALID",
    ],
    ["a stream", rootProto.replace("returns (WorkerReply)", "returns (stream WorkerReply)"), "SCHEMA_SERVICE_INVALID"],
  ];
  for (const [what, text, expected] of refused) {
    it(`with ${what} is refused`, () => expect(code(() => parseSchemaProto(text))).to.equal(expected));
  }

  it("may say of a field that it is deprecated, and of a list that it is packed", () => {
    const noted = rootProto
      .replace("y = 1;", "y = 1 [deprecated = true];")
      .replace("score = 2;", "score = 2 [packed = true];");
    expect(parseSchemaProto(noted).worker.method).to.equal("CalculateRoot");
  });

  it("says what to do about the seed's own slips", () => {
    const twice = rootProto.replace("(Evaluation)", "(Request, Workers)");
    expect(thrown(() => parseSchemaProto(twice)).fix).to.contain("one message");
    const named = rootProto.replaceAll("WorkerResult", "Worker");
    expect(thrown(() => parseSchemaProto(named)).fix).to.contain("WorkerResult");
  });

  it("is refused or read, whatever is done to its text", () => {
    const places = fc.nat({ max: rootProto.length });
    const bits = fc.constantFrom(
      "{",
      "}",
      ";",
      "=",
      "(",
      '"',
      "/*",
      "option",
      "message A {",
      "-1",
      "\u0000",
      "stream ",
      ".",
    );
    fc.assert(
      fc.property(places, places, bits, (start, end, bit) => {
        const text = rootProto.slice(0, start) + bit + rootProto.slice(Math.max(start, end));
        expect(code(() => parseSchemaProto(text))).to.be.oneOf([
          ...["nothing thrown", "SCHEMA_PROTO_INVALID", "SCHEMA_SERVICE_MISSING", "SCHEMA_SERVICE_INVALID"],
        ]);
      }),
      { numRuns: 500 },
    );
  });

  it("changes nothing outside of itself", () => {
    for (const option of ["__proto__.polluted", "constructor.prototype.polluted", "(a).__proto__.polluted"]) {
      code(() => parseSchemaProto(rootProto.replace("float y = 1;", `float y = 1; option ${option} = "yes";`)));
    }
    expect(({} as Record<string, unknown>)["polluted"]).to.equal(undefined);
  });
});

describe("a schema's messages", () => {
  const { worker } = rootSchema();
  const all = parseSchemaProto(everyProto).worker.input;

  const wrong: [what: string, json: unknown, named: string][] = [
    ["text for a number", { y: "four" }, "Request.y"],
    ["a field that is not there", { z: 1 }, '"z"'],
    ["a list for a number", { y: [4] }, "Request.y"],
    ["no message at all", 4, "Request"],
  ];
  for (const [what, json, named] of wrong) {
    it(`are refused for ${what}, by the field's name`, () => {
      const error = thrown(() => worker.input.fromJson(json));
      expect(error.code).to.equal("SCHEMA_MESSAGE_INVALID");
      expect(error.message).to.contain(named);
    });
  }

  it("are refused for duplicate keys in a text", () => {
    expect(code(() => worker.input.fromJson('{"y": 1, "y": 2}'))).to.equal("SCHEMA_MESSAGE_INVALID");
  });

  it("are refused for fields that the proto does not know, and for too much", () => {
    const unknown = Uint8Array.of(0x78, 1);
    expect(code(() => worker.input.check(unknown))).to.equal("SCHEMA_MESSAGE_INVALID");
    expect(code(() => all.check(Uint8Array.from([...all.fromJson({ s: {} }).slice(0, 2), 2, 0x78, 1])))).to.equal(
      "SCHEMA_MESSAGE_INVALID",
    );
    expect(code(() => worker.input.check(new Uint8Array(MAX_MESSAGE_BYTES + 1)))).to.equal("SCHEMA_MESSAGE_INVALID");
    expect(code(() => all.fromJson({ n: "x".repeat(MAX_MESSAGE_BYTES) }))).to.equal("SCHEMA_MESSAGE_INVALID");
  });

  it("are refused when they are nested without end", () => {
    const deep = parseSchemaProto(rootProto.replace("float y = 1;", "float y = 1; Request inner = 2;")).worker.input;
    let bytes = new Uint8Array(0);
    for (let level = 0; level < 100; level += 1) bytes = Uint8Array.from([0x12, bytes.length, ...bytes].slice(0, 120));
    expect(code(() => deep.check(bytes))).to.equal("SCHEMA_MESSAGE_INVALID");
    let json: unknown = {};
    for (let level = 0; level < 100; level += 1) json = { inner: json };
    expect(code(() => deep.fromJson(json))).to.equal("SCHEMA_MESSAGE_INVALID");
  });

  it("have one form, whoever wrote them", () => {
    const twice = Uint8Array.from([...worker.input.fromJson({ y: 1 }), ...worker.input.fromJson({ y: 4 })]);
    expect(worker.input.check(twice)).to.deep.equal(worker.input.fromJson({ y: 4 }));
  });

  const int64 = fc.bigInt({ min: -(2n ** 63n), max: 2n ** 63n - 1n }).map(String);
  const uint64 = fc.bigInt({ min: 0n, max: 2n ** 64n - 1n }).map(String);
  const text = fc.string({ unit: "binary" }).filter((value) => value.isWellFormed());
  const base64 = fc.uint8Array().map((bytes) => Buffer.from(bytes).toString("base64"));
  const inner = fc.record({ number: uint64, parts: fc.array(base64, { maxLength: 3 }) });
  const float = fc.float({ noNaN: true, noDefaultInfinity: true });
  const arbitrary = fc.record(
    {
      ...{ a: fc.double({ noNaN: true, noDefaultInfinity: true }), b: float, c: fc.integer(), d: int64 },
      ...{ e: fc.nat(), f: uint64, g: fc.integer(), h: int64, i: fc.nat(), j: uint64, k: fc.integer(), l: int64 },
      ...{ m: fc.boolean(), n: text, o: base64, p: fc.array(fc.integer()), q: fc.array(text), r: fc.array(inner) },
      ...{ s: inner, t: fc.constantFrom("NONE", "SOME", "FEWER"), u: fc.integer(), left: text },
      ...{
        v: fc.array(fc.double({ noNaN: true, noDefaultInfinity: true })),
        w: fc.array(fc.constantFrom("NONE", "SOME", "FEWER")),
      },
    },
    { requiredKeys: [] },
  );

  it("come back from bytes as they went in, and are what another protobuf reads", () => {
    const { root } = protobuf.parse(everyProto, new protobuf.Root(), { keepCase: true });
    const other = root.lookupType("every.kind.All");
    fc.assert(
      fc.property(arbitrary, (json) => {
        const bytes = all.fromJson(json);
        expect(all.fromJson(all.toJson(bytes))).to.deep.equal(bytes);
        expect(all.check(bytes)).to.deep.equal(bytes);
        // Written by another library, read by this one.
        expect(all.check(Uint8Array.from(other.encode(other.decode(bytes)).finish()))).to.deep.equal(bytes);
      }),
      { numRuns: 300 },
    );
  });

  it("are refused or have their one form, whatever the bytes", () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 200 }), (bytes) => {
        let form: Uint8Array;
        try {
          form = all.check(bytes);
        } catch (error) {
          expect((error as SuretyError).code).to.equal("SCHEMA_MESSAGE_INVALID");
          return;
        }
        expect(all.check(form)).to.deep.equal(form);
      }),
      { numRuns: 2000 },
    );
  });
});
