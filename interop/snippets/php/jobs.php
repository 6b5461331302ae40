<?php
// Adds a job to a licensed API for each line of standard input. Copy the classes: they need the extension
// curl. TENANT_URL, API_URL, CLIENT_ID and CLIENT_SECRET come from the environment.
declare(strict_types=1);

final class OAuthException extends RuntimeException
{
    /** @param array<string, mixed> $answer what the token endpoint says */
    public function __construct(public readonly array $answer)
    {
        $parts = array_intersect_key($answer, array_flip(['error', 'reason', 'error_description']));
        parent::__construct(implode(' ', $parts));
    }
}

/** One session of one program: a token that is renewed in time, and a seat. */
final class LicetSession
{
    private const PATIENCE_S = 300;   // how long to wait for a seat
    private ?array $token = null;
    private float $goodUntilS = 0.0;

    public function __construct(
        private readonly string $tenant,
        private readonly string $clientId,
        #[SensitiveParameter] private readonly string $secret,
    ) {
    }

    /** Posts to the API, and once more with a new token if it refuses the first. Returns status and body. */
    public function post(string $url, string $type, string $body): array
    {
        $first = $this->accessToken(null);
        $answer = self::send($url, $body, ["Authorization: Bearer $first", "Content-Type: $type"]);
        if ($answer['status'] === 401) {
            $second = $this->accessToken($first);
            $answer = self::send($url, $body, ["Authorization: Bearer $second", "Content-Type: $type"]);
        }
        return $answer;
    }

    /** Gives the seat back, which is else taken for 20 minutes more. */
    public function logOff(): void
    {
        [$last, $this->token] = [$this->token, null];
        if ($last === null) {
            return;
        }
        $answer = isset($last['refresh_token'])   // works also when the access token has expired
            ? $this->ask('logoff', ['refresh_token' => $last['refresh_token']])
            : self::send("$this->tenant/logoff", '', ["Authorization: Bearer {$last['access_token']}"]);
        if ($answer['status'] !== 200) {
            fwrite(STDERR, "The seat may still be taken.\n");
        }
    }

    private function accessToken(?string $refused): string
    {
        $held = $this->token['access_token'] ?? null;
        if ($held === null || $held === $refused || hrtime(true) / 1e9 >= $this->goodUntilS) {
            $this->renew();
        }
        return $this->token['access_token'];
    }

    private function renew(): void
    {
        if (isset($this->token['refresh_token'])) {
            try {
                $refreshToken = $this->token['refresh_token'];
                $this->get(['grant_type' => 'refresh_token', 'refresh_token' => $refreshToken]);
                return;
            } catch (OAuthException $refused) {
                if ($refused->answer['error'] !== 'invalid_grant') {
                    throw $refused;
                }
                $this->token = null;   // the session has ended: begin another
            }
        }
        $this->get(['grant_type' => 'client_credentials', 'scope' => 'all']);
    }

    private function get(array $fields): void
    {
        for ($waitedS = 0; ; $waitedS += $waitS) {
            $askedS = hrtime(true) / 1e9;   // the token's life is counted from here
            $answer = $this->ask('token', $fields);
            $content = json_decode($answer['body'], true) ?? ['error' => "HTTP {$answer['status']}"];
            if ($answer['status'] === 200) {
                $this->token = $content;
                $this->goodUntilS = $askedS + 0.9 * $content['expires_in'];
                return;
            }
            $waitS = $answer['retry_after'];   // no seat (400, 429 or 503), or a busy server (503)
            if ($waitS === null || $waitedS + $waitS > self::PATIENCE_S) {
                throw new OAuthException($content);
            }
            sleep($waitS);
        }
    }

    private function ask(string $endpoint, array $fields): array
    {
        $credentials = ['client_id' => $this->clientId, 'client_secret' => $this->secret];
        return self::send("$this->tenant/$endpoint", http_build_query($credentials + $fields, '', '&'), []);
    }

    private static function send(string $url, string $body, array $headers): array
    {
        $retryAfter = null;
        $curl = curl_init($url);
        curl_setopt_array($curl, [
            CURLOPT_POST => true,
            CURLOPT_POSTFIELDS => $body,
            CURLOPT_HTTPHEADER => $headers,
            CURLOPT_RETURNTRANSFER => true,
            CURLOPT_TIMEOUT => 10,
            CURLOPT_HEADERFUNCTION => function ($curl, string $line) use (&$retryAfter): int {
                if (preg_match('/^retry-after:\s*(\d+)/i', $line, $found)) {
                    $retryAfter = (int) $found[1];
                }
                return strlen($line);
            },
        ]);
        $content = curl_exec($curl);
        if ($content === false) {
            throw new RuntimeException(curl_error($curl));
        }
        $status = curl_getinfo($curl, CURLINFO_RESPONSE_CODE);
        return ['status' => $status, 'body' => $content, 'retry_after' => $retryAfter];
    }
}

$session = new LicetSession(getenv('TENANT_URL'), getenv('CLIENT_ID'), getenv('CLIENT_SECRET'));
register_shutdown_function($session->logOff(...));   // at the end, after an error as well
if (function_exists('pcntl_async_signals')) {
    pcntl_async_signals(true);
    pcntl_signal(SIGINT, fn () => exit(1));
    pcntl_signal(SIGTERM, fn () => exit(1));
}
try {
    while (($line = fgets(STDIN)) !== false) {
        $job = json_encode(['title' => rtrim($line, "\n")], JSON_THROW_ON_ERROR);
        $answer = $session->post(getenv('API_URL'), 'application/json', $job);
        echo $answer['status'], ' ', $answer['body'], "\n";
    }
} catch (OAuthException $refused) {
    fwrite(STDERR, $refused->getMessage() . "\n");
    exit(1);
}
