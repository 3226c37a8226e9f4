// usage: node asyncapi.mjs FOLDER-OF-THE-PARSER: schemas/asyncapi.yaml holds by the official parser, errors and warnings
// alike, and every message of a type has that type's payload.
import { createRequire } from "node:module";
import { readFileSync } from "node:fs";

const { Parser } = createRequire(`${process.argv[2]}/package.json`)("@asyncapi/parser");
const path = "schemas/asyncapi.yaml";
const { document, diagnostics } = await new Parser().parse(readFileSync(path, "utf8"), { source: path });
// 0: error, 1: warning; below: hints of taste.
const problems = diagnostics
  .filter(({ severity }) => severity <= 1)
  .map(({ message, path, range }) => `line ${range.start.line + 1}: ${path.join(".")}: ${message}`);
if (!document) {
  problems.push("the parser makes no document of it");
} else {
  for (const message of document.components().messages().all()) {
    const name = message.name();
    const event = message.payload()?.json()?.properties?.event?.const;
    if (event !== undefined && event !== name) problems.push(`message ${name} has the payload of ${event}`);
    const isAnything = ["unrecognized", "dead_letter"].includes(name);
    if (event === undefined && !isAnything) problems.push(`message ${name} has no payload of a type`);
    if (!message.headers()?.json()?.properties?.ce_id) problems.push(`message ${name} has no headers`);
  }
  if (document.channels().all().length < 15) problems.push("channels are missing");
}
if (problems.length > 0) {
  console.error(problems.join("\n"));
  process.exit(1);
}
