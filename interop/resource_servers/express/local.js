// An API in Express that checks JWT access tokens by itself, with express-oauth2-jwt-bearer.

import { auth } from "express-oauth2-jwt-bearer";
import express from "express";
import { serveLines } from "./line.js";

const SAFE = ["GET", "HEAD", "OPTIONS"];

function api({ issuer }) {
  const app = express();
  // Licet holds a seat for the life of a JWT and no longer, so nothing may be added to it.
  const checks = { issuerBaseURL: issuer, audience: issuer, tokenSigningAlg: "ES256", clockTolerance: 0 };
  app.use(auth(checks));
  app.use((request, response, next) => {
    if (!SAFE.includes(request.method) && request.auth.payload.read_only !== false) {
      return response.set("WWW-Authenticate", 'Bearer error="insufficient_scope"').sendStatus(403);
    }
    next();
  });
  app.use(({ auth: { payload } }, response) => response.json({ client: payload.client_id, user: payload.username }));
  app.use((error, request, response, next) => response.set(error.headers ?? {}).sendStatus(error.status ?? 503));
  return app;
}

await serveLines("express-oauth2-jwt-bearer", api);
