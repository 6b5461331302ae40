import com.nimbusds.jose.JWSAlgorithm;
import com.nimbusds.jose.jwk.ECKey;
import com.nimbusds.oauth2.sdk.AccessTokenResponse;
import com.nimbusds.oauth2.sdk.AuthorizationGrant;
import com.nimbusds.oauth2.sdk.ClientCredentialsGrant;
import com.nimbusds.oauth2.sdk.ErrorObject;
import com.nimbusds.oauth2.sdk.RefreshTokenGrant;
import com.nimbusds.oauth2.sdk.Scope;
import com.nimbusds.oauth2.sdk.TokenIntrospectionRequest;
import com.nimbusds.oauth2.sdk.TokenIntrospectionResponse;
import com.nimbusds.oauth2.sdk.TokenRequest;
import com.nimbusds.oauth2.sdk.TokenResponse;
import com.nimbusds.oauth2.sdk.TokenRevocationRequest;
import com.nimbusds.oauth2.sdk.as.AuthorizationServerMetadata;
import com.nimbusds.oauth2.sdk.auth.ClientAuthentication;
import com.nimbusds.oauth2.sdk.auth.ClientSecretBasic;
import com.nimbusds.oauth2.sdk.auth.ClientSecretPost;
import com.nimbusds.oauth2.sdk.auth.PrivateKeyJWT;
import com.nimbusds.oauth2.sdk.auth.Secret;
import com.nimbusds.oauth2.sdk.http.HTTPRequest;
import com.nimbusds.oauth2.sdk.id.ClientID;
import com.nimbusds.oauth2.sdk.id.Issuer;
import java.net.URI;
import java.util.LinkedHashMap;
import java.util.Map;
import tools.jackson.databind.JsonNode;

/** Nimbus' OAuth 2.0 SDK: messages of the protocol as objects. */
public final class Nimbus implements Line.Client {
    /** The library hands errors out as values. */
    private static final class Refused extends Exception {
        final transient ErrorObject error;

        Refused(ErrorObject error) {
            super(String.valueOf(error.getDescription()));
            this.error = error;
        }
    }

    private JsonNode setup;
    private URI tokenUri;
    private AccessTokenResponse token;

    public static void main(String[] args) throws Exception {
        Line.serve(new Nimbus());
    }

    @Override
    public Map<String, Object> answer(String what, JsonNode request) throws Exception {
        return switch (what) {
            case "hello" -> Line.hello("Nimbus OAuth 2.0 SDK", TokenRequest.class);
            case "open" -> {
                setup = request;
                tokenUri = url("token_url");
                yield Map.of();
            }
            case "token" -> ask(new ClientCredentialsGrant());
            case "refresh" -> ask(new RefreshTokenGrant(token.getTokens().getRefreshToken()));
            case "age" -> throw new Line.Unsupported("keeps no time");
            case "call" -> Map.of("status", status(HTTPRequest.Method.GET, "api_url"));
            case "logoff" -> Map.of("status", status(HTTPRequest.Method.POST, "logoff_url"));
            case "revoke" -> revoke();
            case "introspect" -> introspect();
            case "discover" -> {
                var issuer = new Issuer(setup.get("issuer").asString());
                tokenUri = AuthorizationServerMetadata.resolve(issuer).getTokenEndpointURI();
                yield Map.of("token_endpoint", tokenUri.toString());
            }
            default -> throw new Line.Unsupported("has no " + what);
        };
    }

    @Override
    public void seen(Exception error, Map<String, Object> answer) {
        if (!(error instanceof Refused refused)) return;
        answer.put("raised", refused.error.getClass().getSimpleName());
        answer.put("code", refused.error.getCode());
        answer.put("status", refused.error.getHTTPStatusCode());
        for (var name : new String[] {"reason", "retry_after"}) {
            var value = refused.error.getCustomParams().get(name);
            if (value != null) answer.put(name, value);
        }
    }

    private ClientAuthentication credentials() throws Exception {
        var id = new ClientID(setup.get("client_id").asString());
        return switch (setup.get("auth").asString()) {
            case "private_key_jwt" -> {
                var key = ECKey.parse(setup.get("private_key").toString());
                var alg = JWSAlgorithm.ES256;
                yield new PrivateKeyJWT(id, tokenUri, alg, key.toPrivateKey(), key.getKeyID(), null);
            }
            case "body" -> new ClientSecretPost(id, secret());
            default -> new ClientSecretBasic(id, secret()); // the library leaves the choice to its caller
        };
    }

    private Secret secret() {
        return new Secret(setup.get("client_secret").asString());
    }

    private Map<String, Object> ask(AuthorizationGrant grant) throws Exception {
        var scope = setup.hasNonNull("scope") ? new Scope(setup.get("scope").asString()) : null;
        var request = new TokenRequest.Builder(tokenUri, credentials(), grant).scope(scope).build();
        var response = TokenResponse.parse(request.toHTTPRequest().send());
        if (!response.indicatesSuccess()) throw new Refused(response.toErrorResponse().getErrorObject());
        token = response.toSuccessResponse();
        var tokens = token.getTokens();
        var answer = new LinkedHashMap<String, Object>();
        answer.put("access_token", tokens.getAccessToken().getValue());
        answer.put("expires_in", tokens.getAccessToken().getLifetime());
        answer.put("scope", tokens.getAccessToken().getScope().toString());
        if (tokens.getRefreshToken() != null) answer.put("refresh_token", tokens.getRefreshToken().getValue());
        return answer;
    }

    private int status(HTTPRequest.Method method, String url) throws Exception {
        var request = new HTTPRequest(method, url(url));
        request.setAuthorization(token.getTokens().getAccessToken().toAuthorizationHeader());
        return request.send().getStatusCode();
    }

    private Map<String, Object> revoke() throws Exception {
        var access = token.getTokens().getAccessToken();
        var request = new TokenRevocationRequest(url("revoke_url"), credentials(), access);
        request.toHTTPRequest().send().ensureStatusCode(200);
        return Map.of();
    }

    private Map<String, Object> introspect() throws Exception {
        var access = token.getTokens().getAccessToken();
        var request = new TokenIntrospectionRequest(url("introspect_url"), credentials(), access);
        var response = TokenIntrospectionResponse.parse(request.toHTTPRequest().send());
        if (!response.indicatesSuccess()) throw new Refused(response.toErrorResponse().getErrorObject());
        return Map.of("active", response.toSuccessResponse().isActive());
    }

    private URI url(String name) {
        return URI.create(setup.get(name).asString());
    }
}
