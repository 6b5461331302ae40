// Adds a job to a licensed API for each line of standard input, with RestClient and Spring Security. Copy
// LicetSession and what follows it. TENANT_URL, API_URL, CLIENT_ID and CLIENT_SECRET come from the environment.
import java.io.BufferedReader;
import java.io.IOException;
import java.io.InputStreamReader;
import java.net.URI;
import java.nio.charset.StandardCharsets;
import java.time.Duration;
import java.time.Instant;
import java.util.Map;
import java.util.concurrent.locks.LockSupport;
import java.util.function.Supplier;
import org.springframework.http.HttpMethod;
import org.springframework.http.HttpRequest;
import org.springframework.http.HttpStatus;
import org.springframework.http.client.ClientHttpRequestExecution;
import org.springframework.http.client.ClientHttpRequestInterceptor;
import org.springframework.http.client.ClientHttpResponse;
import org.springframework.http.converter.FormHttpMessageConverter;
import org.springframework.security.oauth2.client.endpoint.OAuth2ClientCredentialsGrantRequest;
import org.springframework.security.oauth2.client.endpoint.OAuth2RefreshTokenGrantRequest;
import org.springframework.security.oauth2.client.endpoint.RestClientClientCredentialsTokenResponseClient;
import org.springframework.security.oauth2.client.endpoint.RestClientRefreshTokenTokenResponseClient;
import org.springframework.security.oauth2.client.http.OAuth2ErrorResponseErrorHandler;
import org.springframework.security.oauth2.client.registration.ClientRegistration;
import org.springframework.security.oauth2.core.AuthorizationGrantType;
import org.springframework.security.oauth2.core.OAuth2AuthorizationException;
import org.springframework.security.oauth2.core.endpoint.OAuth2AccessTokenResponse;
import org.springframework.security.oauth2.core.http.converter.OAuth2AccessTokenResponseHttpMessageConverter;
import org.springframework.util.LinkedMultiValueMap;
import org.springframework.web.client.ResponseErrorHandler;
import org.springframework.web.client.RestClient;

public final class Jobs {
    public static void main(String[] args) throws IOException {
        var env = System.getenv();
        var session = new LicetSession(env.get("TENANT_URL"), env.get("CLIENT_ID"), env.get("CLIENT_SECRET"));
        // At the end of main, at Ctrl-C and at SIGTERM; in an application of Spring, @PreDestroy.
        Runtime.getRuntime().addShutdownHook(new Thread(session::logOff));
        var http = RestClient.builder().requestInterceptor(session).build();
        try (var lines = new BufferedReader(new InputStreamReader(System.in, StandardCharsets.UTF_8))) {
            for (String line; (line = lines.readLine()) != null; ) {
                var job = http.post().uri(env.get("API_URL")).body(Map.of("title", line));
                var answer = job.retrieve().toEntity(String.class);
                System.out.println(answer.getStatusCode().value() + " " + answer.getBody());
            }
        } catch (OAuth2AuthorizationException | TryAgain refused) {
            System.err.println(refused.getMessage());
            System.exit(1);
        }
    }
}

/**
 * One session of one program, for all its threads: a token that is renewed in time, and a seat.
 *
 * <p>ClientCredentialsOAuth2AuthorizedClientProvider drops the refresh token and begins a session at each
 * renewal, and a logoff then leaves the others on the seat. Here both of Spring's token clients are used.
 */
final class LicetSession implements ClientHttpRequestInterceptor {
    private static final Duration PATIENCE = Duration.ofMinutes(5); // how long to wait for a seat
    private static final Duration EARLY = Duration.ofSeconds(10);

    private final RestClientClientCredentialsTokenResponseClient grants =
        new RestClientClientCredentialsTokenResponseClient();
    private final RestClientRefreshTokenTokenResponseClient refreshes =
        new RestClientRefreshTokenTokenResponseClient();
    private final ClientRegistration registration;
    private final RestClient http;
    private final String tenant;
    private OAuth2AccessTokenResponse token;

    LicetSession(String tenant, String clientId, String secret) {
        this.tenant = tenant;
        registration = ClientRegistration.withRegistrationId("licet")
            .authorizationGrantType(AuthorizationGrantType.CLIENT_CREDENTIALS)
            .tokenUri(tenant + "/token")
            .clientId(clientId)
            .clientSecret(secret)
            .scope("all")
            .build();
        // As these clients come with it, and TryAgain before: Spring itself keeps no header of a refusal.
        http = RestClient.builder()
            .configureMessageConverters(converters -> converters
                .addCustomConverter(new FormHttpMessageConverter())
                .addCustomConverter(new OAuth2AccessTokenResponseHttpMessageConverter()))
            .defaultStatusHandler(new TryAgain.Handler())
            .defaultStatusHandler(new OAuth2ErrorResponseErrorHandler())
            .build();
        grants.setRestClient(http);
        refreshes.setRestClient(http);
    }

    /** Sends a request with the token, and once more with a new one if the API refuses it. */
    @Override
    public ClientHttpResponse intercept(HttpRequest request, byte[] body, ClientHttpRequestExecution next)
            throws IOException {
        var first = accessToken(null);
        request.getHeaders().setBearerAuth(first);
        var answer = next.execute(request, body);
        if (answer.getStatusCode() != HttpStatus.UNAUTHORIZED) return answer;
        answer.close();
        request.getHeaders().setBearerAuth(accessToken(first));
        return next.execute(request, body);
    }

    /** Gives the seat back, which is else taken for 20 minutes more. */
    synchronized void logOff() {
        if (token == null) return;
        var held = token.getRefreshToken() != null ? token.getRefreshToken() : token.getAccessToken();
        token = null;
        var form = new LinkedMultiValueMap<String, String>();
        form.add("client_id", registration.getClientId());
        form.add("client_secret", registration.getClientSecret());
        form.add("token", held.getTokenValue()); // RFC 7009: a revoked token ends its session
        http.post().uri(tenant + "/revoke").body(form).retrieve().toBodilessEntity();
    }

    /** One thread asks for a token, the others wait for it. */
    private synchronized String accessToken(String refused) {
        var isGood = token != null
            && !token.getAccessToken().getTokenValue().equals(refused)
            && Instant.now().plus(EARLY).isBefore(token.getAccessToken().getExpiresAt());
        if (!isGood) token = renewed();
        return token.getAccessToken().getTokenValue();
    }

    private OAuth2AccessTokenResponse renewed() {
        if (token != null && token.getRefreshToken() != null) {
            var refresh = new OAuth2RefreshTokenGrantRequest(
                registration, token.getAccessToken(), token.getRefreshToken());
            try {
                return patiently(() -> refreshes.getTokenResponse(refresh));
            } catch (OAuth2AuthorizationException refused) {
                if (!refused.getError().getErrorCode().equals("invalid_grant")) throw refused;
                token = null; // the session has ended: begin another
            }
        }
        var grant = new OAuth2ClientCredentialsGrantRequest(registration);
        return patiently(() -> grants.getTokenResponse(grant));
    }

    private static OAuth2AccessTokenResponse patiently(Supplier<OAuth2AccessTokenResponse> ask) {
        for (var waited = Duration.ZERO; ; ) {
            try {
                return ask.get();
            } catch (TryAgain busy) {
                if (waited.plus(busy.after).compareTo(PATIENCE) > 0) throw busy;
                LockSupport.parkNanos(busy.after.toNanos());
                waited = waited.plus(busy.after);
            }
        }
    }
}

/** No seat (400, 429 or 503), or a busy server (503); the message is the answer's JSON, with the reason. */
final class TryAgain extends RuntimeException {
    final transient Duration after;

    private TryAgain(ClientHttpResponse response) throws IOException {
        super(new String(response.getBody().readAllBytes(), StandardCharsets.UTF_8));
        after = Duration.ofSeconds(Long.parseLong(response.getHeaders().getFirst("Retry-After")));
    }

    static final class Handler implements ResponseErrorHandler {
        @Override
        public boolean hasError(ClientHttpResponse response) throws IOException {
            return response.getHeaders().containsHeader("Retry-After");
        }

        @Override
        public void handleError(URI url, HttpMethod method, ClientHttpResponse response) throws IOException {
            throw new TryAgain(response);
        }
    }
}
