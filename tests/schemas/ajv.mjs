// usage: node ajv.mjs FOLDER-OF-AJV: every schema is one of JSON Schema 2020-12, without a keyword but the standard's and
// ours, and takes the sample of its type and of no other; with unknown fields, and not with a wrong type.
import { createRequire } from "node:module";
import { readFileSync, readdirSync } from "node:fs";

const { Ajv2020 } = createRequire(`${process.argv[2]}/package.json`)("ajv/dist/2020");
const ajv = new Ajv2020({ strict: true, strictRequired: false, allowUnionTypes: true });
ajv.addVocabulary(["x-personal-data"]);
const read = (path) => JSON.parse(readFileSync(path, "utf8"));
const types = readdirSync("schemas/samples").map((name) => name.replace(/\.json$/, ""));
const problems = [];
for (const type of types) {
  const holds = ajv.compile(read(`schemas/${type}.json`));
  for (const other of types) {
    if (holds(read(`schemas/samples/${other}.json`)) !== (other === type)) {
      problems.push(`${type}.json and the sample of ${other}: ${ajv.errorsText(holds.errors)}`);
    }
  }
  const sample = read(`schemas/samples/${type}.json`);
  const [own] = Object.keys(sample).filter((name) => name !== "event");
  const more = { ...sample, new_field: 1, [own]: { ...sample[own], new_field: {} } };
  if (!holds(more)) problems.push(`${type}.json is closed to unknown fields`);
  if (holds({ ...sample, [own]: "text" })) problems.push(`${type}.json takes a text as ${own}`);
}
if (types.length < 14) problems.push(`only ${types.length} samples`);
if (problems.length > 0) {
  console.error(problems.join("\n"));
  process.exit(1);
}
