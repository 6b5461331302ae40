<?php
// PHP's extension curl.
declare(strict_types=1);

require __DIR__ . '/line.php';

/** The server said no; curl shows the answer and its status. */
final class Refused extends Exception
{
    public function __construct(public readonly int $status, public readonly string $body)
    {
        parent::__construct($body);
    }
}

/** One caller, with what `open` said. */
final class Client
{
    private array $setup = [];
    private array $token = [];

    public function hello(): array
    {
        $runtime = 'PHP ' . PHP_MAJOR_VERSION . '.' . PHP_MINOR_VERSION;
        return ['library' => 'PHP, `curl`', 'version' => curl_version()['version'], 'runtime' => $runtime];
    }

    public function open(array $request): array
    {
        if ($request['auth'] === 'private_key_jwt') {
            throw new Unsupported('signs nothing');
        }
        [$this->setup, $this->token] = [$request, []];
        return [];
    }

    public function token(): array
    {
        $scope = array_filter(['scope' => $this->setup['scope']]);
        return $this->granted(['grant_type' => 'client_credentials'] + $scope);
    }

    public function refresh(): array
    {
        return $this->granted([
            'grant_type' => 'refresh_token',
            'refresh_token' => $this->token['refresh_token'],
        ]);
    }

    public function age(): array
    {
        throw new Unsupported('keeps no time');
    }

    public function call(): array
    {
        return ['status' => $this->sent($this->setup['api_url'], $this->bearer())[0]];
    }

    public function logoff(): array
    {
        return ['status' => $this->sent($this->setup['logoff_url'], [CURLOPT_POST => true] + $this->bearer())[0]];
    }

    public function revoke(): array
    {
        $this->posted($this->setup['revoke_url'], ['token' => $this->token['access_token']]);
        return [];
    }

    public function introspect(): array
    {
        $found = $this->posted($this->setup['introspect_url'], ['token' => $this->token['access_token']]);
        return ['active' => $found['active']];
    }

    public function discover(): array
    {
        $url = $this->setup['issuer'] . '/.well-known/oauth-authorization-server';
        $this->setup['token_url'] = $this->checked($url, [])['token_endpoint'];
        return ['token_endpoint' => $this->setup['token_url']];
    }

    /** What a caller can read from a refusal. */
    public function seen(Exception $error): array
    {
        if (!$error instanceof Refused) {
            return [];
        }
        $body = json_decode($error->body, true);
        $named = ['status' => $error->status, 'code' => $body['error'], 'by_hand' => true];
        return $named + array_intersect_key($body, ['reason' => 0, 'retry_after' => 0]);
    }

    private function granted(array $form): array
    {
        return $this->token = $this->posted($this->setup['token_url'], $form);
    }

    private function posted(string $url, array $form): array
    {
        [$id, $secret] = [$this->setup['client_id'], $this->setup['client_secret']];
        $basic = [];
        if ($this->setup['auth'] === 'body') {
            $form += ['client_id' => $id, 'client_secret' => $secret];
        } else {
            $basic = [CURLOPT_USERPWD => "$id:$secret"];
        }
        return $this->checked($url, $basic + [CURLOPT_POSTFIELDS => http_build_query($form, '', '&')]);
    }

    private function bearer(): array
    {
        return [CURLOPT_HTTPHEADER => ["Authorization: Bearer {$this->token['access_token']}"]];
    }

    private function checked(string $url, array $options): array
    {
        [$status, $body] = $this->sent($url, $options);
        if ($status !== 200) {
            throw new Refused($status, $body);
        }
        return json_decode($body, true) ?? [];
    }

    private function sent(string $url, array $options): array
    {
        $curl = curl_init($url);
        curl_setopt_array($curl, [CURLOPT_RETURNTRANSFER => true] + $options);
        $body = curl_exec($curl);
        if ($body === false) {
            throw new RuntimeException(curl_error($curl));
        }
        return [curl_getinfo($curl, CURLINFO_RESPONSE_CODE), $body];
    }
}

serve(new Client());
