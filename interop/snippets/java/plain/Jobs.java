// Adds a job to a licensed API for each line of standard input. Copy LicetSession and what follows it: that
// needs Java 17, and Jackson to read JSON. TENANT_URL, API_URL, CLIENT_ID and CLIENT_SECRET come from the
// environment.
import com.fasterxml.jackson.core.JsonProcessingException;
import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import java.io.BufferedReader;
import java.io.IOException;
import java.io.InputStreamReader;
import java.net.URI;
import java.net.URLEncoder;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpRequest.BodyPublishers;
import java.net.http.HttpResponse;
import java.net.http.HttpResponse.BodyHandlers;
import java.nio.charset.StandardCharsets;
import java.time.Duration;
import java.util.Map;
import java.util.TreeMap;
import java.util.concurrent.TimeUnit;
import java.util.stream.Collectors;

public final class Jobs {
    public static void main(String[] args) throws Exception {
        var env = System.getenv();
        var api = URI.create(env.get("API_URL"));
        var session = new LicetSession(env.get("TENANT_URL"), env.get("CLIENT_ID"), env.get("CLIENT_SECRET"));
        // At the end of main, at Ctrl-C and at SIGTERM.
        Runtime.getRuntime().addShutdownHook(new Thread(session::logOff));
        try (var lines = new BufferedReader(new InputStreamReader(System.in, StandardCharsets.UTF_8))) {
            for (String line; (line = lines.readLine()) != null; ) {
                var job = new ObjectMapper().createObjectNode().put("title", line).toString();
                var answer = session.send(HttpRequest.newBuilder(api)
                    .header("Content-Type", "application/json")
                    .POST(BodyPublishers.ofString(job)));
                System.out.println(answer.statusCode() + " " + answer.body());
            }
        } catch (OAuthException refused) {
            System.err.println(refused.getMessage());
            System.exit(1);
        }
    }
}

/** One session of one program, for all its threads: a token that is renewed in time, and a seat. */
final class LicetSession {
    private static final Duration PATIENCE = Duration.ofMinutes(5); // how long to wait for a seat
    private static final ObjectMapper JSON = new ObjectMapper();

    private final HttpClient http = HttpClient.newHttpClient();
    private final String tenant;
    private final Map<String, String> credentials;
    private JsonNode token;
    private long goodUntilNs;

    LicetSession(String tenant, String clientId, String secret) {
        this.tenant = tenant;
        this.credentials = Map.of("client_id", clientId, "client_secret", secret);
    }

    /** Sends a request with the token, and once more with a new one if the API refuses it. */
    HttpResponse<String> send(HttpRequest.Builder request) throws IOException, InterruptedException {
        var first = accessToken(null);
        var answer = http.send(with(first, request), BodyHandlers.ofString());
        if (answer.statusCode() != 401) return answer;
        return http.send(with(accessToken(first), request), BodyHandlers.ofString());
    }

    /** Gives the seat back, which is else taken for 20 minutes more. */
    synchronized void logOff() {
        if (token == null) return;
        try {
            var bearer = HttpRequest.newBuilder(URI.create(tenant + "/logoff")).POST(BodyPublishers.noBody());
            var answer = token.has("refresh_token") // works also when the access token has expired
                ? post("/logoff", Map.of("refresh_token", text("refresh_token")))
                : http.send(with(text("access_token"), bearer), BodyHandlers.ofString());
            if (answer.statusCode() != 200) System.err.println("The seat may still be taken.");
        } catch (IOException | InterruptedException fault) {
            System.err.println("The seat may still be taken: " + fault);
        }
        token = null;
    }

    private static HttpRequest with(String accessToken, HttpRequest.Builder request) {
        return request.setHeader("Authorization", "Bearer " + accessToken).build();
    }

    /** One thread asks for a token, the others wait for it. */
    private synchronized String accessToken(String refused) throws IOException, InterruptedException {
        var isGood = token != null
            && !text("access_token").equals(refused)
            && System.nanoTime() - goodUntilNs < 0;
        if (!isGood) renew();
        return text("access_token");
    }

    private void renew() throws IOException, InterruptedException {
        if (token != null && token.has("refresh_token")) {
            try {
                ask(Map.of("grant_type", "refresh_token", "refresh_token", text("refresh_token")));
                return;
            } catch (OAuthException refused) {
                if (!refused.answer.path("error").asText().equals("invalid_grant")) throw refused;
                token = null; // the session has ended: begin another
            }
        }
        ask(Map.of("grant_type", "client_credentials", "scope", "all"));
    }

    private void ask(Map<String, String> fields) throws IOException, InterruptedException {
        for (var waited = Duration.ZERO; ; ) {
            var askedNs = System.nanoTime(); // the token's life is counted from here
            var answer = post("/token", fields);
            if (answer.statusCode() == 200) {
                token = JSON.readTree(answer.body());
                goodUntilNs = askedNs + TimeUnit.SECONDS.toNanos(token.get("expires_in").asLong()) / 10 * 9;
                return;
            }
            // No seat (400, 429 or 503), or a busy server (503).
            var after = answer.headers().firstValueAsLong("Retry-After");
            if (after.isEmpty() || waited.plusSeconds(after.getAsLong()).compareTo(PATIENCE) > 0) {
                throw new OAuthException(reasons(answer));
            }
            TimeUnit.SECONDS.sleep(after.getAsLong());
            waited = waited.plusSeconds(after.getAsLong());
        }
    }

    private HttpResponse<String> post(String path, Map<String, String> fields)
            throws IOException, InterruptedException {
        var all = new TreeMap<>(credentials);
        all.putAll(fields);
        var form = all.entrySet().stream()
            .map(field -> field.getKey() + "=" + URLEncoder.encode(field.getValue(), StandardCharsets.UTF_8))
            .collect(Collectors.joining("&"));
        var request = HttpRequest.newBuilder(URI.create(tenant + path))
            .header("Content-Type", "application/x-www-form-urlencoded")
            .timeout(Duration.ofSeconds(10))
            .POST(BodyPublishers.ofString(form));
        return http.send(request.build(), BodyHandlers.ofString());
    }

    private String text(String field) {
        return token.get(field).asText();
    }

    private static JsonNode reasons(HttpResponse<String> answer) {
        try {
            return JSON.readTree(answer.body());
        } catch (JsonProcessingException ofAProxySay) {
            return JSON.createObjectNode().put("error", "HTTP " + answer.statusCode());
        }
    }
}

/** The token endpoint refused; the answer has its reasons. */
final class OAuthException extends IOException {
    final transient JsonNode answer;

    OAuthException(JsonNode answer) {
        super(String.join(
            " ",
            answer.path("error").asText(),
            answer.path("reason").asText(),
            answer.path("error_description").asText()));
        this.answer = answer;
    }
}
