// A JavaScript client's side of the suite's protocol: JSON lines (interop/README.md).
//
// A client is an object of functions named as the `do` of the request; each is given the request and returns
// what the answer has beside `"ok": true`. One that is not there is a function that the library does not have.

import { readFileSync } from "node:fs";
import { createInterface } from "node:readline";

/** The library has no function for what is asked, or cannot be made to do it so. */
export class Unsupported extends Error {}

/** The answer to `hello`. */
export function hello(name) {
  const manifest = new URL(`node_modules/${name}/package.json`, import.meta.url);
  return { library: name, version: JSON.parse(readFileSync(manifest)).version, runtime: `Node ${process.versions.node}` };
}

/** What an answer has of a token, which the library shows as an object. */
export function ofToken({ access_token, refresh_token, expires_in, scope }) {
  return { access_token, refresh_token, expires_in, scope };
}

/** Answer until standard input ends; `seen` is what a caller can read from an error. */
export async function serve(client, seen) {
  for await (const line of createInterface({ input: process.stdin })) {
    const answer = await answerTo(client, JSON.parse(line), seen);
    process.stdout.write(`${JSON.stringify(answer)}\n`);
  }
}

async function answerTo(client, request, seen) {
  const method = client[request.do];
  if (method === undefined) return { ok: false, unsupported: `has no ${request.do}` };
  try {
    return { ok: true, ...(await method(request)) };
  } catch (error) {
    if (error instanceof Unsupported) return { ok: false, unsupported: error.message };
    return { ok: false, raised: error.name, text: error.message, ...(await seen(error)) };
  }
}
