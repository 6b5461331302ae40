import com.nimbusds.jose.jwk.JWK;
import java.time.Clock;
import java.time.Duration;
import java.time.Instant;
import java.time.ZoneOffset;
import java.util.Map;
import org.springframework.http.HttpMethod;
import org.springframework.security.authentication.UsernamePasswordAuthenticationToken;
import org.springframework.security.oauth2.client.AuthorizedClientServiceOAuth2AuthorizedClientManager;
import org.springframework.security.oauth2.client.ClientCredentialsOAuth2AuthorizedClientProvider;
import org.springframework.security.oauth2.client.InMemoryOAuth2AuthorizedClientService;
import org.springframework.security.oauth2.client.OAuth2AuthorizeRequest;
import org.springframework.security.oauth2.client.OAuth2AuthorizedClientService;
import org.springframework.security.oauth2.client.endpoint.NimbusJwtClientAuthenticationParametersConverter;
import org.springframework.security.oauth2.client.endpoint.OAuth2ClientCredentialsGrantRequest;
import org.springframework.security.oauth2.client.endpoint.RestClientClientCredentialsTokenResponseClient;
import org.springframework.security.oauth2.client.registration.ClientRegistration;
import org.springframework.security.oauth2.client.registration.ClientRegistrations;
import org.springframework.security.oauth2.client.registration.InMemoryClientRegistrationRepository;
import org.springframework.security.oauth2.client.web.client.OAuth2ClientHttpRequestInterceptor;
import org.springframework.security.oauth2.core.AuthorizationGrantType;
import org.springframework.security.oauth2.core.ClientAuthenticationMethod;
import org.springframework.security.oauth2.core.OAuth2AuthorizationException;
import org.springframework.web.client.RestClient;
import org.springframework.web.client.RestClientResponseException;
import tools.jackson.databind.JsonNode;

/** Spring Security's OAuth 2.0 client, with its manager and the interceptor of RestClient. */
public final class Spring implements Line.Client {
    private static final String ID = "licet";
    private static final Map<String, ClientAuthenticationMethod> METHODS = Map.of(
        "basic", ClientAuthenticationMethod.CLIENT_SECRET_BASIC,
        "body", ClientAuthenticationMethod.CLIENT_SECRET_POST,
        "private_key_jwt", ClientAuthenticationMethod.PRIVATE_KEY_JWT);

    private JsonNode setup;
    private String principal;
    private Duration aged;
    private OAuth2AuthorizedClientService held;
    private AuthorizedClientServiceOAuth2AuthorizedClientManager manager;
    private RestClient http;

    public static void main(String[] args) throws Exception {
        Line.serve(new Spring());
    }

    @Override
    public Map<String, Object> answer(String what, JsonNode request) {
        return switch (what) {
            case "hello" -> Line.hello("Spring Security, `oauth2-client`", ClientRegistration.class);
            case "open" -> {
                setup = request;
                principal = request.get("client_id").asString();
                use(registration(request.get("token_url").asString()));
                yield Map.of();
            }
            case "token" -> token();
            case "age" -> {
                aged = aged.plusSeconds(request.get("seconds").asLong());
                yield Map.of();
            }
            case "call" -> Map.of("status", status(HttpMethod.GET, "api_url"));
            case "logoff" -> Map.of("status", status(HttpMethod.POST, "logoff_url"));
            case "discover" -> discover();
            default -> throw new Line.Unsupported("has no " + what);
        };
    }

    @Override
    public void seen(Exception error, Map<String, Object> answer) {
        if (error instanceof OAuth2AuthorizationException refused) {
            var code = refused.getError().getErrorCode();
            if (!code.equals("invalid_token_response")) answer.put("code", code); // that one is Spring's own
        }
        for (Throwable cause = error; cause != null; cause = cause.getCause()) {
            if (cause instanceof RestClientResponseException response) {
                answer.put("status", response.getStatusCode().value());
                Line.ofBody(response.getResponseBodyAsString(), answer);
            }
        }
    }

    private ClientRegistration registration(String tokenUri) {
        var made = ClientRegistration.withRegistrationId(ID)
            .authorizationGrantType(AuthorizationGrantType.CLIENT_CREDENTIALS)
            .tokenUri(tokenUri)
            .clientId(setup.get("client_id").asString());
        if (setup.hasNonNull("client_secret")) made.clientSecret(setup.get("client_secret").asString());
        if (setup.hasNonNull("scope")) made.scope(setup.get("scope").asString());
        var method = METHODS.get(setup.get("auth").asString());
        if (method != null) made.clientAuthenticationMethod(method);
        return made.build();
    }

    private void use(ClientRegistration registration) {
        aged = Duration.ZERO;
        var known = new InMemoryClientRegistrationRepository(registration);
        held = new InMemoryOAuth2AuthorizedClientService(known);
        var provider = new ClientCredentialsOAuth2AuthorizedClientProvider();
        provider.setClock(new Moved());
        if (setup.hasNonNull("private_key")) provider.setAccessTokenResponseClient(signing());
        manager = new AuthorizedClientServiceOAuth2AuthorizedClientManager(known, held);
        manager.setAuthorizedClientProvider(provider);
        var interceptor = new OAuth2ClientHttpRequestInterceptor(manager);
        interceptor.setClientRegistrationIdResolver(request -> ID);
        interceptor.setPrincipalResolver(request -> principal());
        interceptor.setAuthorizationFailureHandler(
            OAuth2ClientHttpRequestInterceptor.authorizationFailureHandler(held));
        http = RestClient.builder().requestInterceptor(interceptor).build();
    }

    private RestClientClientCredentialsTokenResponseClient signing() {
        var client = new RestClientClientCredentialsTokenResponseClient();
        client.addParametersConverter(
            new NimbusJwtClientAuthenticationParametersConverter<OAuth2ClientCredentialsGrantRequest>(
                registration -> key()));
        return client;
    }

    private JWK key() {
        try {
            return JWK.parse(setup.get("private_key").toString());
        } catch (java.text.ParseException bad) {
            throw new IllegalArgumentException(bad);
        }
    }

    private Map<String, Object> token() {
        held.removeAuthorizedClient(ID, principal);
        var asked = OAuth2AuthorizeRequest.withClientRegistrationId(ID).principal(principal()).build();
        var token = manager.authorize(asked).getAccessToken();
        var life = Duration.between(token.getIssuedAt(), token.getExpiresAt());
        return Map.of(
            "access_token", token.getTokenValue(),
            "expires_in", life.toSeconds(),
            "scope", String.join(" ", token.getScopes()));
    }

    private int status(HttpMethod method, String url) {
        return http.method(method).uri(setup.get(url).asString())
            .exchange((request, response) -> response.getStatusCode().value());
    }

    private Map<String, Object> discover() {
        var found = ClientRegistrations.fromIssuerLocation(setup.get("issuer").asString())
            .authorizationGrantType(AuthorizationGrantType.CLIENT_CREDENTIALS)
            .clientId(principal)
            .build().getProviderDetails().getTokenUri();
        use(registration(found));
        return Map.of("token_endpoint", found);
    }

    private UsernamePasswordAuthenticationToken principal() {
        return new UsernamePasswordAuthenticationToken(principal, null);
    }

    /** The clock of the machine, moved on by what the suite says. */
    private final class Moved extends Clock {
        @Override
        public Instant instant() {
            return Instant.now().plus(aged);
        }

        @Override
        public ZoneOffset getZone() {
            return ZoneOffset.UTC;
        }

        @Override
        public Clock withZone(java.time.ZoneId zone) {
            return this;
        }
    }
}
