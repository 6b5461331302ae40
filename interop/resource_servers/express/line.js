// A resource server's side of the suite's protocol: JSON lines (interop/README.md).

import { readFileSync } from "node:fs";
import { createInterface } from "node:readline";

/** Answer until standard input ends; `api` makes an Express application of what `serve` said. */
export async function serveLines(library, api) {
  for await (const line of createInterface({ input: process.stdin })) {
    const request = JSON.parse(line);
    const answer = await { hello, serve, age }[request.do](request);
    process.stdout.write(`${JSON.stringify({ ok: true, ...answer })}\n`);
  }
  process.exit();

  function hello() {
    const manifest = new URL(`node_modules/${library}/package.json`, import.meta.url);
    const { version } = JSON.parse(readFileSync(manifest));
    return { library, version, runtime: `Node ${process.versions.node}` };
  }

  function serve(request) {
    return new Promise((resolve) => {
      const server = api(request).listen(0, "127.0.0.1", () => {
        resolve({ url: `http://127.0.0.1:${server.address().port}` });
      });
    });
  }
}

// Move the clock, also that of a `Date` made without arguments.
function age({ seconds }) {
  const Before = Date;
  const now = () => Before.now() + seconds * 1000;
  globalThis.Date = class extends Before {
    constructor(...of) {
      super(...(of.length ? of : [now()]));
    }
    static now() {
      return now();
    }
  };
}
