import { parseSchemaProto, type SchemaProto } from "#sdk/schema-proto.ts";

/** The seed's own sample, with what protobuf needs of it. */
export const rootProto = `syntax = "proto3";
service Worker { rpc CalculateRoot (Request) returns (WorkerReply) {} }
service Evaluator { rpc EvaluateRoot (Evaluation) returns (EvaluationResult) {} }
message Request { float y = 1; }
message WorkerReply { float x = 1; }
message WorkerResult { string node = 1; WorkerReply response = 3; }
message Workers { repeated WorkerResult workers = 1; }
message Evaluation { Request request = 1; Workers workers = 2; }
message EvaluationResult { repeated string node = 1; repeated double score = 2; string report = 3; }
`;

/** A proto with every kind of field there is, in a package. */
export const everyProto = `syntax = "proto3";
package every.kind;
service Worker { rpc Work (All) returns (All) {} }
service Evaluator { rpc Judge (Judging) returns (Judged) {} }
message All {
  double a = 1; float b = 2; int32 c = 3; int64 d = 4; uint32 e = 5; uint64 f = 6; sint32 g = 7; sint64 h = 8;
  fixed32 i = 9; fixed64 j = 10; sfixed32 k = 11; sfixed64 l = 12; bool m = 13; string n = 14; bytes o = 15;
  repeated sint32 p = 16; repeated string q = 17; repeated Inner r = 18; Inner s = 19; Kind t = 20;
  optional int32 u = 21;
  oneof either { string left = 22; Inner right = 23; }
  repeated double v = 24; repeated Kind w = 25;
  message Inner { uint64 number = 1; repeated bytes parts = 2; }
  enum Kind { NONE = 0; SOME = 1; FEWER = -1; }
}
message Result { string node = 1; All reply = 2; }
message Judging { All request = 1; repeated Result results = 2; }
message Judged { repeated string node = 1; }
`;

export function rootSchema(): SchemaProto {
  return parseSchemaProto(rootProto);
}
