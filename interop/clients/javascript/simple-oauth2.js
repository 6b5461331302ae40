// simple-oauth2, version 5.

import { ClientCredentials } from "simple-oauth2";
import { hello, ofToken, serve, Unsupported } from "./line.js";

let setup, library, token;

const client = {
  hello: () => hello("simple-oauth2"),

  open(request) {
    setup = request;
    token = undefined;
    if (setup.auth === "private_key_jwt") throw new Unsupported("has no private_key_jwt");
    const { origin, pathname } = new URL(setup.token_url);
    const options = { body: { authorizationMethod: "body" }, basic: { authorizationMethod: "header" } }[setup.auth];
    library = () =>
      new ClientCredentials({
        client: { id: setup.client_id, secret: setup.client_secret },
        auth: { tokenHost: origin, tokenPath: pathname, revokePath: new URL(setup.revoke_url).pathname },
        options,
      });
  },

  async token() {
    token = await library().getToken(setup.scope ? { scope: setup.scope } : {});
    return ofToken(token.token);
  },

  async refresh() {
    token = await token.refresh();
    return ofToken(token.token);
  },

  age({ seconds }) {
    const now = Date.now;
    Date.now = () => now() + seconds * 1000;
  },

  // The library only gets tokens, and says whether one has expired: its manual has these two lines.
  async call() {
    if (token.expired()) token = await token.refresh();
    return { status: (await fetch(setup.api_url, { headers: bearer() })).status };
  },

  async logoff() {
    return { status: (await fetch(setup.logoff_url, { method: "POST", headers: bearer() })).status };
  },

  async revoke() {
    await token.revoke("access_token");
  },
};

function bearer() {
  return { authorization: `Bearer ${token.token.access_token}` };
}

// What a caller can read from an error: a Boom, with the parsed body in `data`.
function seen(error) {
  const { error: code, reason, retry_after } = error.data?.payload ?? {};
  if (!code) return {};
  return { code, status: error.output.statusCode, reason, retry_after };
}

await serve(client, seen);
