/** Writes `sdk/job-file.schema.json`. Run it after a change of the job file's schema. */
import { writeFileSync } from "node:fs";

import { jobFileJsonSchema } from "../src/job-file-schema.ts";

const file = new URL("../job-file.schema.json", import.meta.url);
writeFileSync(file, `${JSON.stringify(jobFileJsonSchema(), undefined, 2)}\n`);
