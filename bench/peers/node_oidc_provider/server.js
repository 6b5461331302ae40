// node-oidc-provider for client_credentials, set up by the environment:
//   PORT      where it listens, on loopback
//   CLIENTS   how many clients there are: client0, client1, ... with the secret SECRET
//   DATABASE  the URL of a PostgreSQL database; without one, tokens are in memory, in the adapter that comes
//             with the library
//   WORKERS   how many processes answer (one, if tokens are in memory)
import cluster from 'node:cluster';
import { generateKeyPairSync } from 'node:crypto';

import Provider from 'oidc-provider';

import { postgresAdapter, prepare } from './postgres.js';

const { PORT, CLIENTS, DATABASE, SECRET, WORKERS = '1' } = process.env;

function clients() {
  return Array.from({ length: Number(CLIENTS) }, (_, number) => ({
    client_id: `client${number}`,
    client_secret: SECRET,
    grant_types: ['client_credentials'],
    redirect_uris: [],
    response_types: [],
  }));
}

function serve() {
  const { privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' }); // opaque tokens need none
  const provider = new Provider(`http://127.0.0.1:${PORT}`, {
    adapter: DATABASE ? postgresAdapter(DATABASE, Math.ceil(20 / Number(WORKERS))) : undefined,
    clientDefaults: { id_token_signed_response_alg: 'ES256' }, // the only key is of that kind
    clients: clients(),
    cookies: { keys: [SECRET] },
    features: {
      clientCredentials: { enabled: true },
      devInteractions: { enabled: false },
      introspection: { enabled: true, allowedPolicy: () => true }, // any client may ask about any token
    },
    jwks: { keys: [privateKey.export({ format: 'jwk' })] },
    ttl: { ClientCredentials: 1200 },
  });
  provider.on('server_error', (_, error) => console.error(error));
  provider.listen(Number(PORT), '127.0.0.1');
}

if (!cluster.isPrimary) {
  serve();
} else {
  if (DATABASE) await prepare(DATABASE);
  if (WORKERS === '1') serve();
  else for (let worker = 0; worker < Number(WORKERS); worker += 1) cluster.fork();
}
