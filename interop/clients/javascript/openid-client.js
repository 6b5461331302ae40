// openid-client, version 6.

import * as oauth from "openid-client";
import { hello, ofToken, serve, Unsupported } from "./line.js";

let setup, config, token;

const client = {
  hello: () => hello("openid-client"),

  async open(request) {
    setup = request;
    token = undefined;
    const server = {
      issuer: setup.issuer,
      token_endpoint: setup.token_url,
      revocation_endpoint: setup.revoke_url,
      introspection_endpoint: setup.introspect_url,
    };
    config = new oauth.Configuration(server, setup.client_id, setup.client_secret, await authentication());
    oauth.allowInsecureRequests(config); // http on 127.0.0.1
  },

  async token() {
    return held(await oauth.clientCredentialsGrant(config, setup.scope ? { scope: setup.scope } : {}));
  },

  async refresh() {
    return held(await oauth.refreshTokenGrant(config, token.refresh_token));
  },

  age({ seconds }) {
    const now = Date.now;
    Date.now = () => now() + seconds * 1000;
  },

  async call() {
    const url = new URL(setup.api_url);
    return seenOf(() => oauth.fetchProtectedResource(config, token.access_token, url, "GET"));
  },

  async logoff() {
    const url = new URL(setup.logoff_url);
    return seenOf(() => oauth.fetchProtectedResource(config, token.access_token, url, "POST"));
  },

  async revoke() {
    await oauth.tokenRevocation(config, token.access_token);
  },

  async introspect() {
    return { active: (await oauth.tokenIntrospection(config, token.access_token)).active };
  },

  async discover() {
    const found = await oauth.discovery(new URL(setup.issuer), setup.client_id, setup.client_secret, undefined, {
      algorithm: "oauth2",
      execute: [oauth.allowInsecureRequests],
    });
    config = found;
    return { token_endpoint: found.serverMetadata().token_endpoint };
  },
};

async function authentication() {
  switch (setup.auth) {
    case "default":
      return undefined;
    case "basic":
      return oauth.ClientSecretBasic(setup.client_secret);
    case "body":
      return oauth.ClientSecretPost(setup.client_secret);
    default: {
      const { alg, kid } = setup.private_key;
      const way = { name: "ECDSA", namedCurve: "P-256" };
      if (alg !== "ES256") throw new Unsupported(`knows ${alg}, and this program does not`);
      const key = await crypto.subtle.importKey("jwk", setup.private_key, way, false, ["sign"]);
      return oauth.PrivateKeyJwt({ key, kid });
    }
  }
}

function held(answer) {
  token = answer;
  return ofToken(answer);
}

// A 401 with a challenge is raised by the library as an error, which has the response.
async function seenOf(request) {
  try {
    return { status: (await request()).status };
  } catch (error) {
    if (error instanceof oauth.WWWAuthenticateChallengeError) return { status: error.status };
    throw error;
  }
}

// What a caller can read from an error: the body in `cause`, or the response, there or in `response`.
async function seen(error) {
  if (error instanceof oauth.ResponseBodyError) {
    const { reason, retry_after } = error.cause;
    return { code: error.error, status: error.status, reason, retry_after };
  }
  const response = error.response ?? error.cause;
  if (!(response instanceof Response)) return {};
  const { status } = response;
  if (response.bodyUsed) return { status };
  const { error: code, reason, retry_after } = await response.json();
  return { code, status, reason, retry_after, by_hand: true };
}

await serve(client, seen);
