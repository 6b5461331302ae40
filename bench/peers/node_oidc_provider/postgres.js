// A durable adapter: each token is a row, written and committed before it is answered.
import pg from 'pg';

const TABLE = `CREATE TABLE IF NOT EXISTS token (
  model text NOT NULL, id text NOT NULL, payload jsonb NOT NULL, grant_id text, uid text, user_code text,
  expires_at timestamptz, PRIMARY KEY (model, id));
CREATE INDEX ON token (grant_id) WHERE grant_id IS NOT NULL;
CREATE INDEX ON token (uid) WHERE uid IS NOT NULL;
CREATE INDEX ON token (user_code) WHERE user_code IS NOT NULL;`;

export async function prepare(url) {
  const client = new pg.Client(url);
  await client.connect();
  await client.query(TABLE);
  await client.end();
}

export function postgresAdapter(url, connections) {
  const pool = new pg.Pool({ connectionString: url, max: connections, idleTimeoutMillis: 0 });
  // A statement with a name is prepared once for each connection.
  const ask = (name, text, values) => pool.query({ name, text, values });

  return class PostgresAdapter {
    constructor(model) {
      this.model = model;
    }

    async upsert(id, payload, expiresIn) {
      await ask(
        'upsert',
        `INSERT INTO token VALUES ($1, $2, $3, $4, $5, $6, now() + $7 * interval '1 second')
         ON CONFLICT (model, id) DO UPDATE SET payload = excluded.payload, expires_at = excluded.expires_at`,
        [this.model, id, payload, payload.grantId, payload.uid, payload.userCode, expiresIn],
      );
    }

    async find(id) {
      return this.#findBy('id', id);
    }

    async findByUid(uid) {
      return this.#findBy('uid', uid);
    }

    async findByUserCode(userCode) {
      return this.#findBy('user_code', userCode);
    }

    async consume(id) {
      await ask(
        'consume',
        `UPDATE token
         SET payload = payload || jsonb_build_object('consumed', floor(extract(epoch FROM now())))
         WHERE model = $1 AND id = $2`,
        [this.model, id],
      );
    }

    async destroy(id) {
      await ask('destroy', 'DELETE FROM token WHERE model = $1 AND id = $2', [this.model, id]);
    }

    async revokeByGrantId(grantId) {
      await ask('revoke', 'DELETE FROM token WHERE grant_id = $1', [grantId]);
    }

    async #findBy(column, value) {
      const { rows: [row] } = await ask(
        `find-${column}`,
        `SELECT payload FROM token
         WHERE model = $1 AND ${column} = $2 AND (expires_at IS NULL OR expires_at > now())`,
        [this.model, value],
      );
      return row?.payload;
    }
  };
}
