// simple-oauth2, version 5.

import { ClientCredentials } from "simple-oauth2";
import { hello, ofToken, serve, Unsupported } from "./line.js";

let told, library, token;

const client = {
  hello: () => hello("simple-oauth2"),

  open(request) {
    told = request;
    token = undefined;
    if (told.auth === "private_key_jwt") throw new Unsupported("has no private_key_jwt");
    const { origin, pathname } = new URL(told.token_url);
    const options = { body: { authorizationMethod: "body" }, basic: { authorizationMethod: "header" } }[told.auth];
    library = () =>
      new ClientCredentials({
        client: { id: told.client_id, secret: told.client_secret },
        auth: { tokenHost: origin, tokenPath: pathname, revokePath: new URL(told.revoke_url).pathname },
        options,
      });
  },

  async token() {
    token = await library().getToken(told.scope ? { scope: told.scope } : {});
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

  // The library only gets tokens, and tells whether one has expired: its manual has these two lines.
  async call() {
    if (token.expired()) token = await token.refresh();
    return { status: (await fetch(told.api_url, { headers: bearer() })).status };
  },

  async logoff() {
    return { status: (await fetch(told.logoff_url, { method: "POST", headers: bearer() })).status };
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
