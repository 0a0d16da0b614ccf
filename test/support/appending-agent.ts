// Appends blocks with events, and notes each, until it is killed, and says on standard output which are acknowledged.
import { writeSync } from "node:fs";
import type { SuretyError } from "#sdk/errors.ts";
import { Journal } from "../../agents/journal/journal.ts";
import { blockOn, eventIn } from "./events.ts";

try {
  const journal = Journal.open({ home: process.argv[2] as string, lockDirectory: process.argv[2] as string });
  const { events } = journal;
  for (let number = (events.newest()?.number ?? 0) + 1; ; number += 1) {
    const block = blockOn(1, number);
    const logs = Array.from({ length: 20 }, (_, index) => eventIn(block, index));
    events.append(block, logs, number - 10);
    journal.putSoon("appended", "last", number);
    writeSync(1, `${number}\n`);
  }
} catch (error) {
  writeSync(1, `${(error as SuretyError).code}\n`);
}
