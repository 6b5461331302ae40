import java.io.BufferedReader;
import java.io.IOException;
import java.io.InputStreamReader;
import java.io.PrintStream;
import java.nio.charset.StandardCharsets;
import java.util.LinkedHashMap;
import java.util.Map;
import tools.jackson.core.JacksonException;
import tools.jackson.databind.JsonNode;
import tools.jackson.databind.json.JsonMapper;

/** A Java client's side of the suite's protocol: JSON lines on standard input and output (interop/README.md). */
final class Line {
    static final JsonMapper JSON = new JsonMapper();

    /** A client: one request, and its answer beside "ok": true. */
    interface Client {
        Map<String, Object> answer(String what, JsonNode request) throws Exception;

        /** What a caller can read from an error. */
        void seen(Exception error, Map<String, Object> answer);
    }

    /** The library has no function for what is asked, or cannot be made to do it so. */
    static final class Unsupported extends RuntimeException {
        Unsupported(String why) {
            super(why);
        }
    }

    private Line() {}

    static void serve(Client client) throws IOException {
        var out = new PrintStream(System.out, true, StandardCharsets.UTF_8);
        var lines = new BufferedReader(new InputStreamReader(System.in, StandardCharsets.UTF_8));
        for (String line; (line = lines.readLine()) != null; ) {
            var request = JSON.readTree(line);
            out.println(JSON.writeValueAsString(answer(client, request)));
        }
    }

    /** The answer to `hello`. */
    static Map<String, Object> hello(String library, Class<?> of) {
        var jar = of.getProtectionDomain().getCodeSource().getLocation().getPath();
        var version = jar.replaceAll(".*-([\\d.]+)\\.jar", "$1");
        var runtime = "Java " + Runtime.version().feature();
        return Map.of("library", library, "version", version, "runtime", runtime);
    }

    /** What a caller reads from the body of a response that an error carries. */
    static void ofBody(String body, Map<String, Object> answer) {
        try {
            var content = JSON.readTree(body);
            Map.of("code", "error", "reason", "reason", "retry_after", "retry_after").forEach((name, member) -> {
                if (content.has(member)) answer.put(name, content.get(member));
            });
            answer.put("by_hand", true);
        } catch (JacksonException noJson) {
            return;
        }
    }

    private static Map<String, Object> answer(Client client, JsonNode request) {
        var answer = new LinkedHashMap<String, Object>();
        try {
            answer.put("ok", true);
            answer.putAll(client.answer(request.get("do").asString(), request));
        } catch (Unsupported why) {
            answer.put("ok", false);
            answer.put("unsupported", why.getMessage());
        } catch (Exception error) {
            answer.put("ok", false);
            answer.put("raised", error.getClass().getSimpleName());
            answer.put("text", String.valueOf(error.getMessage()));
            client.seen(error, answer);
        }
        return answer;
    }
}
