// An API in Express that asks about each token by introspection, with token-introspection.

import express from "express";
import introspection from "token-introspection";
import { serveLines } from "./line.js";

const SAFE = ["GET", "HEAD", "OPTIONS"];

function api({ introspect_url, client_id, client_secret }) {
  // It remembers nothing. If you do, then for as many seconds as `cache_for` of the answer says, and no more.
  const introspect = introspection({ endpoint: introspect_url, client_id, client_secret, fetch });
  const app = express();
  app.use(async (request, response, next) => {
    const [scheme, token] = (request.get("authorization") ?? "").split(" ");
    if (!/^bearer$/i.test(scheme) || !token) return response.set("WWW-Authenticate", "Bearer").sendStatus(401);
    try {
      request.token = await introspect(token, "access_token");
    } catch (error) {
      if (!(error instanceof introspection.errors.TokenNotActiveError)) return next(error);
      return response.set("WWW-Authenticate", 'Bearer error="invalid_token"').sendStatus(401);
    }
    if (request.token.token_type !== "Bearer") { // other servers call a refresh token active as well
      return response.set("WWW-Authenticate", 'Bearer error="invalid_token"').sendStatus(401);
    }
    if (!SAFE.includes(request.method) && request.token.read_only !== false) {
      return response.set("WWW-Authenticate", 'Bearer error="insufficient_scope"').sendStatus(403);
    }
    next();
  });
  app.use((request, response) => response.json({ client: request.token.client_id, user: request.token.username }));
  app.use((error, request, response, next) => response.sendStatus(503)); // whatever it was, nobody passes
  return app;
}

await serveLines("token-introspection", api);
