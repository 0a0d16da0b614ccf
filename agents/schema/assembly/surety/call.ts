/** One call of a worker or evaluator program: what it is given beside its message, and what it leaves. */
import { makeFolder, readFile, tryReadFile, writeFile } from "surety/files";
import { Random } from "surety/random";

export class Call {
  private unfinished: bool = false;

  /** 32 bytes: a worker's differ for every node, and are the same whenever it is run again. */
  get seed(): Uint8Array {
    return readFile("/in/seed");
  }

  /** Numbers that follow from the seed. */
  get random(): Random {
    return new Random(this.seed);
  }

  /** The state that the worker's last step left; null at its first. */
  get checkpoint(): Uint8Array | null {
    return tryReadFile("/in/checkpoint");
  }

  /** Ends this step of a worker with a state to go on from: it is called again with it, and what it returns is ignored. */
  continueFrom(state: Uint8Array): void {
    this.unfinished = true;
    writeFile("/out/checkpoint", state);
  }

  /** For the evaluator: the seed that a worker had. */
  seedOf(node: string): Uint8Array {
    return readFile("/in/seeds/" + node);
  }

  /** For the evaluator: a worker's checkpoint, numbered from 0; null where there is none. */
  checkpointOf(node: string, number: i32): Uint8Array | null {
    return tryReadFile("/in/checkpoints/" + node + "/" + number.toString());
  }

  /** A file of the stored directory that a field `…_cid` names. */
  content(cid: string, path: string): Uint8Array {
    return readFile("/in/content/" + cid + "/" + path);
  }

  /** The same, or null if there is no such file: for what strangers name. */
  tryContent(cid: string, path: string): Uint8Array | null {
    return tryReadFile("/in/content/" + cid + "/" + path);
  }

  /** A file of test data, which an evaluator has where the request has any. */
  testData(path: string): Uint8Array | null {
    return tryReadFile("/in/test-data/" + path);
  }

  /** Puts a file into the directory that the field of the reply will name, once the call has ended. */
  publish(field: string, path: string, content: Uint8Array): void {
    makeFolder("/out/content");
    makeFolder("/out/content/" + field);
    writeFile("/out/content/" + field + "/" + path, content);
  }

  /** The message. */
  request(): Uint8Array {
    return readFile("/in/request");
  }

  /** Leaves what the program returned, unless it goes on. */
  reply(message: Uint8Array): void {
    if (!this.unfinished) writeFile("/out/reply", message);
  }
}
