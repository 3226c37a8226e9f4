// Retell's Node SDK as an oracle: node sdk.mjs FOLDER-OF-THE-SDK < cases > results.
// In: a JSON list of {op: "sign", key, body} and {op: "verify", key, body, header}; bodies are UTF-8 in hexadecimal.
// Out: a JSON list of headers and verdicts, in the same order.
import { createRequire } from "node:module";
import { readFileSync } from "node:fs";

const { Retell } = createRequire(`${process.argv[2]}/package.json`)("retell-sdk");
const results = [];
for (const { op, key, body, header } of JSON.parse(readFileSync(0, "utf8"))) {
  const text = Buffer.from(body, "hex").toString("utf8");
  results.push(op === "sign" ? await Retell.sign(text, key) : await Retell.verify(text, key, header));
}
process.stdout.write(JSON.stringify(results));
