package bench;

import java.util.Map;
import java.util.concurrent.ConcurrentHashMap;
import org.springframework.security.oauth2.server.authorization.client.RegisteredClient;
import org.springframework.security.oauth2.server.authorization.client.RegisteredClientRepository;

/**
 * Clients of another repository, kept in memory once they were read.
 *
 * <p>It saves a query for each request. And the JDBC store of tokens, while it reads a row, asks for the
 * client on a second connection: without this, requests that hold the whole pool wait for one another.
 */
class CachedClients implements RegisteredClientRepository {
    private final RegisteredClientRepository all;
    private final Map<String, RegisteredClient> byId = new ConcurrentHashMap<>();
    private final Map<String, RegisteredClient> byClientId = new ConcurrentHashMap<>();

    CachedClients(RegisteredClientRepository all) {
        this.all = all;
    }

    @Override
    public void save(RegisteredClient client) {
        all.save(client);
        keep(client);
    }

    @Override
    public RegisteredClient findById(String id) {
        RegisteredClient kept = byId.get(id);
        return kept != null ? kept : keep(all.findById(id));
    }

    @Override
    public RegisteredClient findByClientId(String clientId) {
        RegisteredClient kept = byClientId.get(clientId);
        return kept != null ? kept : keep(all.findByClientId(clientId));
    }

    private RegisteredClient keep(RegisteredClient client) {
        if (client != null) {
            byId.put(client.getId(), client);
            byClientId.put(client.getClientId(), client);
        }
        return client;
    }
}
