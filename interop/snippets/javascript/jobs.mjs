// Adds a job to a licensed API for each line of standard input. Copy LicetSession and OAuthError: they need
// no package. TENANT_URL, API_URL, CLIENT_ID and CLIENT_SECRET come from the environment.
import { createInterface } from "node:readline";
import { setTimeout as pause } from "node:timers/promises";

const { TENANT_URL, API_URL, CLIENT_ID, CLIENT_SECRET } = process.env;

async function main() {
  const session = new LicetSession(TENANT_URL, CLIENT_ID, CLIENT_SECRET);
  for (const signal of ["SIGINT", "SIGTERM"]) {
    process.once(signal, () => session.logOff().finally(() => process.exit(1)));
  }
  try {
    for await (const line of createInterface({ input: process.stdin })) {
      const answer = await session.fetch(API_URL, {
        method: "POST",
        headers: { "Content-Type": "application/json" },
        body: JSON.stringify({ title: line }),
      });
      console.log(answer.status, await answer.text());
    }
  } finally {
    await session.logOff();
  }
}

/** One session of one program: a token that is renewed in time, and a seat. */
class LicetSession {
  static patience = 300; // seconds to wait for a seat
  #tenant;
  #credentials;
  #token;
  #goodUntil; // milliseconds, by a clock that nobody sets
  #renewal; // one asks for a token, the others wait for it

  constructor(tenant, clientId, secret) {
    this.#tenant = tenant;
    this.#credentials = { client_id: clientId, client_secret: secret };
  }

  /** Sends a request with the token, and once more with a new one if the API refuses it. */
  async fetch(url, options = {}) {
    const first = await this.#accessToken();
    const answer = await send(first);
    return answer.status === 401 ? send(await this.#accessToken(first)) : answer;

    function send(token) {
      const headers = new Headers(options.headers);
      headers.set("Authorization", `Bearer ${token}`);
      return fetch(url, { ...options, headers });
    }
  }

  /** Gives the seat back, which is else taken for 20 minutes more. */
  async logOff() {
    const last = this.#token;
    this.#token = undefined;
    if (last === undefined) return;
    const answer = last.refresh_token // works also when the access token has expired
      ? await this.#post("logoff", { refresh_token: last.refresh_token })
      : await fetch(`${this.#tenant}/logoff`, {
          method: "POST",
          headers: { Authorization: `Bearer ${last.access_token}` },
        });
    if (!answer.ok) console.error("The seat may still be taken.");
  }

  async #accessToken(refused) {
    const held = this.#token?.access_token;
    if (held === undefined || held === refused || performance.now() >= this.#goodUntil) {
      this.#renewal ??= this.#renew().finally(() => (this.#renewal = undefined));
      await this.#renewal;
    }
    return this.#token.access_token;
  }

  async #renew() {
    if (this.#token?.refresh_token) {
      try {
        return await this.#ask({ grant_type: "refresh_token", refresh_token: this.#token.refresh_token });
      } catch (refused) {
        if (refused.answer?.error !== "invalid_grant") throw refused;
        this.#token = undefined; // the session has ended: begin another
      }
    }
    await this.#ask({ grant_type: "client_credentials", scope: "all" });
  }

  async #ask(fields) {
    for (let waited = 0; ; ) {
      const asked = performance.now(); // the token's life is counted from here
      const answer = await this.#post("token", fields);
      if (answer.ok) {
        this.#token = await answer.json();
        this.#goodUntil = asked + 900 * this.#token.expires_in;
        return;
      }
      // No seat (400, 429 or 503), or a busy server (503).
      const wait = Number(answer.headers.get("Retry-After") ?? Infinity);
      if (waited + wait > LicetSession.patience) throw await OAuthError.of(answer);
      await pause(1000 * wait);
      waited += wait;
    }
  }

  #post(endpoint, fields) {
    const body = new URLSearchParams({ ...this.#credentials, ...fields });
    return fetch(`${this.#tenant}/${endpoint}`, { method: "POST", body });
  }
}

/** The token endpoint refused; `answer` has its reasons. */
class OAuthError extends Error {
  static async of(response) {
    const text = await response.text();
    let answer = { error: `HTTP ${response.status}` }; // of a proxy, say
    try {
      answer = JSON.parse(text);
    } catch {}
    const { error, reason, error_description } = answer;
    return Object.assign(new OAuthError([error, reason, error_description].join(" ")), { answer });
  }
}

main().catch((refused) => {
  console.error(refused.message);
  process.exitCode = 1;
});
