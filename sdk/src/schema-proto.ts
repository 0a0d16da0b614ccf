import {
  create,
  createFileRegistry,
  toBinary,
  type DescMethod,
  type DescService,
  type FileRegistry,
} from "@bufbuild/protobuf";
import {
  DescriptorProtoSchema,
  EnumDescriptorProtoSchema,
  FieldDescriptorProto_Label as Label,
  FieldDescriptorProto_Type as FieldType,
  FieldDescriptorProtoSchema,
  FileDescriptorProtoSchema,
  FileDescriptorSetSchema,
  MethodDescriptorProtoSchema,
  ServiceDescriptorProtoSchema,
  type DescriptorProto,
  type EnumDescriptorProto,
  type FieldDescriptorProto,
  type FileDescriptorSet,
  type ServiceDescriptorProto,
} from "@bufbuild/protobuf/wkt";
import protobuf from "protobufjs";

import { printable } from "./complaint.ts";
import { ExitStatus, SuretyError } from "./errors.ts";
import { MessageType } from "./schema-message.ts";

/** Name of the file with a job schema's services and messages, where nothing else is said. */
export const SCHEMA_PROTO_FILE = "job_schema.proto";
/** Most bytes of that file. */
export const MAX_SCHEMA_PROTO_BYTES = 64 * 1024;
/** Most messages and enumerations, and most fields or values of one. */
const MAX_TYPES = 512;
const MAX_MEMBERS = 512;

/** What does the work, and what judges it. */
export type SchemaRole = "worker" | "evaluator";

/** The services that a job schema has, by role. */
export const SCHEMA_SERVICES: Readonly<Record<SchemaRole, string>> = { worker: "Worker", evaluator: "Evaluator" };

/** One call of one of a job schema's programs. */
export interface SchemaCall {
  role: SchemaRole;
  /** Full name of the service: `Worker`, `chess.Worker`. */
  service: string;
  /** Name of its only rpc: `CalculateRoot`. */
  method: string;
  /** Takes. */
  input: MessageType;
  /** Gives. */
  output: MessageType;
}

/** A user's own proto3, read. */
export interface SchemaProto {
  /** As it was written. */
  text: string;
  worker: SchemaCall;
  evaluator: SchemaCall;
  /** All of it as a serialised `FileDescriptorSet`, which every language's protobuf loads without a compiler. */
  descriptors: Uint8Array;
  /** All of its messages and enumerations. */
  registry: FileRegistry;
}

const NAME = /^[A-Za-z_][A-Za-z0-9_]{0,127}$/;
/** Names that mean something to JavaScript objects, whoever handles the messages. */
const FORBIDDEN_NAMES = new Set(["__proto__", "constructor", "prototype", "hasOwnProperty", "toString", "valueOf"]);
/** Options of fields that change nothing about messages; the second is the parser's own for `optional`. */
const FIELD_OPTIONS = new Set(["deprecated", "proto3_optional"]);
/** The first statement of a file, after comments. */
const SYNTAX = /^(?:\s|\/\/[^\n]*(?:\n|$)|\/\*(?:[^*]|\*(?!\/))*\*\/)*syntax\s*=\s*(["'])([^"'\n]*)\1\s*;/;

const SCALARS: Readonly<Record<string, FieldType>> = {
  double: FieldType.DOUBLE,
  float: FieldType.FLOAT,
  int32: FieldType.INT32,
  int64: FieldType.INT64,
  uint32: FieldType.UINT32,
  uint64: FieldType.UINT64,
  sint32: FieldType.SINT32,
  sint64: FieldType.SINT64,
  fixed32: FieldType.FIXED32,
  fixed64: FieldType.FIXED64,
  sfixed32: FieldType.SFIXED32,
  sfixed64: FieldType.SFIXED64,
  bool: FieldType.BOOL,
  string: FieldType.STRING,
  bytes: FieldType.BYTES,
};

/**
 * Reads a job schema's proto3: a service `Worker` and a service `Evaluator`, each with one rpc, and their messages. The
 * text may be a stranger's. Nothing is generated from it or evaluated; it imports nothing, and has no extensions,
 * groups or streams.
 *
 * @throws SuretyError `SCHEMA_PROTO_INVALID` for what is no proto3 or more than is taken; `SCHEMA_SERVICE_MISSING`,
 * `SCHEMA_SERVICE_INVALID` for its services
 *
 * @example
 * ```ts
 * const proto = parseSchemaProto(`syntax = "proto3";
 *   service Worker { rpc CalculateRoot (Request) returns (WorkerReply) {} }
 *   service Evaluator { rpc EvaluateRoot (Evaluation) returns (EvaluationResult) {} }
 *   …`);
 * proto.worker.input.fromJson({ y: 4 }); // Uint8Array
 * ```
 */
export function parseSchemaProto(text: string): SchemaProto {
  const bytes = new TextEncoder().encode(text).length;
  if (bytes > MAX_SCHEMA_PROTO_BYTES) throw refuse(`it has ${bytes} bytes, expected at most ${MAX_SCHEMA_PROTO_BYTES}`);
  const syntax = SYNTAX.exec(text)?.[2];
  if (syntax !== "proto3") {
    const found = syntax === undefined ? "it does not say which syntax it is in" : `it is in ${printable(syntax)}`;
    throw refuse(found, { fix: 'Begin it with: syntax = "proto3";' });
  }
  // The parser passes over it in silence.
  if (text.includes("__proto__")) throw refuse("it has the name __proto__ in it");
  const set = descriptorsOf(text);
  let registry: FileRegistry;
  try {
    registry = createFileRegistry(set);
  } catch (cause) {
    throw refuse(reasonOf(cause), { cause });
  }
  const calls = { worker: callOf("worker", registry), evaluator: callOf("evaluator", registry) };
  return { text, ...calls, descriptors: toBinary(FileDescriptorSetSchema, set), registry };
}

function descriptorsOf(text: string): FileDescriptorSet {
  let parsed: protobuf.IParserResult;
  try {
    parsed = protobuf.parse(text, new protobuf.Root(), { keepCase: true });
    parsed.root.resolveAll();
  } catch (cause) {
    const reason = reasonOf(cause);
    throw refuse(reason, { cause, fix: hintFor(reason) });
  }
  const imports = [...(parsed.imports ?? []), ...(parsed.weakImports ?? [])];
  if (imports.length > 0) {
    throw refuse(`it imports ${printable(imports[0]!)}`, { fix: "Put every message it needs into the one file." });
  }
  const pkg = parsed.package ?? "";
  const space = pkg === "" ? parsed.root : parsed.root.lookup(pkg);
  if (!(space instanceof protobuf.Namespace)) throw refuse(`its package ${printable(pkg)} is also something else`);
  for (const part of pkg === "" ? [] : pkg.split(".")) checkName(part, "package");
  const reader = new DescriptorReader();
  const members = reader.members(space);
  const file = create(FileDescriptorProtoSchema, {
    name: SCHEMA_PROTO_FILE,
    package: pkg,
    syntax: "proto3",
    messageType: members.messages,
    enumType: members.enums,
    service: members.services,
  });
  return create(FileDescriptorSetSchema, { file: [file] });
}

/** Turns what the parser read into protobuf's own description of it, and refuses the rest. */
class DescriptorReader {
  #types = 0;

  members(space: protobuf.NamespaceBase) {
    const messages: DescriptorProto[] = [];
    const enums: EnumDescriptorProto[] = [];
    const services: ServiceDescriptorProto[] = [];
    for (const member of space.nestedArray) {
      checkName(member.name, "type");
      if (++this.#types > MAX_TYPES) throw refuse(`it has more than ${MAX_TYPES} types`);
      if (member instanceof protobuf.Type) messages.push(this.#message(member));
      else if (member instanceof protobuf.Enum) enums.push(enumeration(member));
      else if (member instanceof protobuf.Service) services.push(service(member));
      else throw refuse(`it has ${printable(member.name)}, which is neither message, enumeration nor service`);
    }
    return { messages, enums, services };
  }

  #message(type: protobuf.Type): DescriptorProto {
    if ((type as { group?: boolean }).group) throw refuse(`${type.name} is a group`);
    if (type.extensions !== undefined && type.extensions.length > 0) throw refuse(`${type.name} has extensions`);
    if (type.fieldsArray.length > MAX_MEMBERS) throw refuse(`${type.name} has more than ${MAX_MEMBERS} fields`);
    const { messages, enums, services } = this.members(type);
    if (services.length > 0) throw refuse(`${type.name} has a service in it`);
    // Those made for a lone optional field come last.
    const groups = [...type.oneofsArray].sort((a, b) => Number(a.isProto3Optional) - Number(b.isProto3Optional));
    const message = create(DescriptorProtoSchema, {
      name: type.name,
      nestedType: messages,
      enumType: enums,
      oneofDecl: groups.map((oneof) => ({ name: checkName(oneof.name, "oneof") })),
    });
    for (const field of type.fieldsArray) {
      const descriptor = this.#field(type, field, message);
      if (field.partOf) descriptor.oneofIndex = groups.indexOf(field.partOf);
      descriptor.proto3Optional = field.partOf?.isProto3Optional === true;
      message.field.push(descriptor);
    }
    return message;
  }

  #field(type: protobuf.Type, field: protobuf.Field, parent: DescriptorProto): FieldDescriptorProto {
    const name = checkName(field.name, "field");
    const where = `${type.name}.${name}`;
    if (field.required) throw refuse(`${where} is required, which proto3 does not have`);
    if (field.id < 1 || field.id > 536_870_911 || (field.id >= 19_000 && field.id <= 19_999)) {
      throw refuse(`${where} has the number ${field.id}`);
    }
    const descriptor = create(FieldDescriptorProtoSchema, {
      name,
      number: field.id,
      jsonName: jsonName(name),
      label: field.repeated || field instanceof protobuf.MapField ? Label.REPEATED : Label.OPTIONAL,
      ...typeOf(field, where),
    });
    const { packed, ...options } = (field.options ?? {}) as Record<string, unknown>;
    const option = Object.keys(options).find((each) => !FIELD_OPTIONS.has(each));
    if (option !== undefined || packed === false) {
      throw refuse(`${where} has the option ${printable(option ?? "packed")}`, { fix: "Leave the option out." });
    }
    if (!(field instanceof protobuf.MapField)) return descriptor;
    // On the wire a map is a list of entries.
    const entry = `${pascal(name)}Entry`;
    const keyType = SCALARS[field.keyType];
    if (keyType === undefined) throw refuse(`${where} has keys of the type ${printable(field.keyType)}`);
    parent.nestedType.push(
      create(DescriptorProtoSchema, {
        name: entry,
        field: [
          { name: "key", number: 1, jsonName: "key", label: Label.OPTIONAL, type: keyType },
          { name: "value", number: 2, jsonName: "value", label: Label.OPTIONAL, ...typeOf(field, where) },
        ],
        options: { mapEntry: true },
      }),
    );
    descriptor.type = FieldType.MESSAGE;
    descriptor.typeName = `${type.fullName}.${entry}`;
    return descriptor;
  }
}

function typeOf(field: protobuf.Field, where: string): { type: FieldType; typeName?: string } {
  const { resolvedType } = field;
  if (resolvedType instanceof protobuf.Enum) return { type: FieldType.ENUM, typeName: resolvedType.fullName };
  if (resolvedType) return { type: FieldType.MESSAGE, typeName: resolvedType.fullName };
  const type = SCALARS[field.type];
  if (type === undefined) throw refuse(`${where} is of the type ${printable(field.type)}`);
  return { type };
}

function enumeration(type: protobuf.Enum): EnumDescriptorProto {
  const values = Object.entries(type.values);
  if (values.length > MAX_MEMBERS) throw refuse(`${type.name} has more than ${MAX_MEMBERS} values`);
  if (values[0]?.[1] !== 0) throw refuse(`the first value of ${type.name} is not 0`);
  return create(EnumDescriptorProtoSchema, {
    name: type.name,
    value: values.map(([name, number]) => ({ name: checkName(name, "value"), number })),
    ...(type.options?.["allow_alias"] === true ? { options: { allowAlias: true } } : {}),
  });
}

function service(type: protobuf.Service): ServiceDescriptorProto {
  return create(ServiceDescriptorProtoSchema, {
    name: type.name,
    method: type.methodsArray.map((method) =>
      create(MethodDescriptorProtoSchema, {
        name: checkName(method.name, "rpc"),
        inputType: method.resolvedRequestType!.fullName,
        outputType: method.resolvedResponseType!.fullName,
        clientStreaming: method.requestStream === true,
        serverStreaming: method.responseStream === true,
      }),
    ),
  });
}

function callOf(role: SchemaRole, registry: FileRegistry): SchemaCall {
  const name = SCHEMA_SERVICES[role];
  const services = [...registry].filter((desc): desc is DescService => desc.kind === "service" && desc.name === name);
  const [found] = services;
  if (found === undefined) {
    throw new SuretyError("SCHEMA_SERVICE_MISSING", `the proto has no service ${name}`, {
      details: { service: name },
      fix: `Add service ${name} { rpc … (…) returns (…) {} }.`,
      exit: ExitStatus.badInput,
    });
  }
  const [method, ...more] = found.methods as (DescMethod | undefined)[];
  if (method === undefined || more.length > 0) {
    throw invalidService(name, `has ${found.methods.length} rpcs, expected one`);
  }
  if (method.methodKind !== "unary") throw invalidService(name, `streams in ${method.name}, expected single messages`);
  const { input, output } = method;
  return {
    role,
    service: found.typeName,
    method: method.name,
    input: new MessageType(input),
    output: new MessageType(output),
  };
}

function invalidService(service: string, what: string): SuretyError {
  return new SuretyError("SCHEMA_SERVICE_INVALID", `the service ${service} ${what}`, {
    details: { service },
    fix: "Large data is passed by content id, in fields whose names end in _cid.",
    exit: ExitStatus.badInput,
  });
}

function checkName(name: string, kind: string): string {
  if (NAME.test(name) && !FORBIDDEN_NAMES.has(name)) return name;
  throw refuse(`it has a ${kind} with the name ${printable(name.slice(0, 140))}`);
}

/** As protobuf's compiler makes them. */
function jsonName(name: string): string {
  return name.replace(/_+([A-Za-z0-9]?)/g, (_, next: string) => next.toUpperCase());
}

function pascal(name: string): string {
  const camel = jsonName(name);
  return camel.slice(0, 1).toUpperCase() + camel.slice(1);
}

/** What helps with mistakes that are easily made. */
function hintFor(reason: string): string | undefined {
  if (/illegal token ','/.test(reason)) {
    return "An rpc takes one message: wrap several in one, as message Evaluation { Request request = 1; Workers workers = 2; }.";
  }
  if (/duplicate name '(?:Worker|Evaluator)'/.test(reason)) {
    return "A message cannot have the name of a service: call it WorkerResult.";
  }
  return undefined;
}

function reasonOf(cause: unknown): string {
  return printable((cause instanceof Error ? cause.message : String(cause)).slice(0, 300));
}

function refuse(reason: string, { fix, cause }: { fix?: string; cause?: unknown } = {}): SuretyError {
  return new SuretyError("SCHEMA_PROTO_INVALID", `the proto cannot be used: ${reason}`, {
    details: { reason },
    fix: fix ?? "Write it in proto3, with nothing but messages, enumerations and the two services.",
    exit: ExitStatus.badInput,
    cause,
  });
}
