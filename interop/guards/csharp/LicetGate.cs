// Protects an API: introspects tokens (RFC 7662), fetches the licences and answers, as docs/reference/guard-protocol.md
// says, steps 1 and 7. It knows nothing of the framework that serves the API.
using System;
using System.Collections.Generic;
using System.Diagnostics;
using System.Linq;
using System.Net.Http;
using System.Net.Http.Headers;
using System.Text;
using System.Text.Json;
using System.Threading.Tasks;

public sealed class LicetGate
{
    /// <summary>Headers that override the method: a request with one of them may change something.</summary>
    public static readonly string[] Overrides = { "X-HTTP-Method-Override", "X-HTTP-Method", "X-Method-Override" };

    readonly Uri tenant;
    readonly HttpClient http;
    readonly SeatGuard guard;
    readonly LicenceSource source;

    /// <summary>tenantUrl has no slash at its end. The client is one that may introspect.</summary>
    public LicetGate(
        string tenantUrl, string clientId, string clientSecret, Place place, Verifier verifier, ISeatMemory memory)
    {
        tenant = new Uri(tenantUrl + "/");
        http = new HttpClient(new HttpClientHandler { AllowAutoRedirect = false })
        {
            BaseAddress = tenant, Timeout = TimeSpan.FromSeconds(5), MaxResponseContentBufferSize = 262144,
        };
        // RFC 6749 2.3.1: both are encoded as in a form before they are put together.
        var pair = Uri.EscapeDataString(clientId) + ":" + Uri.EscapeDataString(clientSecret);
        http.DefaultRequestHeaders.Authorization =
            new AuthenticationHeaderValue("Basic", Convert.ToBase64String(Encoding.ASCII.GetBytes(pair)));
        guard = new SeatGuard(place, memory);
        source = new LicenceSource(http, place, verifier, guard);
    }

    /// <summary>Decides about a request. authorization: its headers of that name; needs: required scopes.</summary>
    public async Task<Answer> Check(string method, IReadOnlyList<string> authorization, params string[] needs)
    {
        if (authorization.Count == 0) return new Answer { Status = 401 };
        var token = TokenOf(authorization);
        if (token == null) return new Answer { Status = 400, Error = "invalid_request" };
        JsonElement claims;
        try
        {
            claims = await Introspected(token);
        }
        catch (Exception fault) when (IsOutOfReach(fault))
        {
            return SeatGuard.Later(2);   // log fault.GetType(); no token stands in a log
        }
        if (!IsActive(claims)) return SeatGuard.NoToken;
        var scopes = (SeatGuard.Text(claims, "scope") ?? "").Split(' ');
        if (needs.Except(scopes).Any() || (IsReadOnly(claims) && !SeatGuard.IsSafe(method)))
            return new Answer { Status = 403, Error = "insufficient_scope" };
        return await Counted(claims, method, needs);
    }

    async Task<Answer> Counted(JsonElement claims, string method, string[] needs)
    {
        source.RenewBeside();
        try
        {
            var answer = guard.Check(claims, method, needs, LicenceSource.Now);
            var isWorthALook = answer.Status == 403 || (answer.Status == 503 && guard.Coverage == null);
            if (isWorthALook && await source.LookAgain())   // an upgrade counts at once
                answer = guard.Check(claims, method, needs, LicenceSource.Now);
            return answer;
        }
        catch (Exception fault) when (!(fault is OutOfMemoryException))
        {
            return SeatGuard.Later(2);   // the memory cannot be asked, whatever its driver throws
        }
    }

    // Asked at every request. An answer may be kept for its cache_for seconds: see docs/reference/token.md.
    async Task<JsonElement> Introspected(string token)
    {
        var form = new FormUrlEncodedContent(new Dictionary<string, string> { { "token", token } });
        using (var response = await http.PostAsync("introspect", form).ConfigureAwait(false))
        {
            response.EnsureSuccessStatusCode();
            using (var document = JsonDocument.Parse(await response.Content.ReadAsByteArrayAsync()))
                return document.RootElement.Clone();
        }
    }

    static string TokenOf(IReadOnlyList<string> authorization)
    {
        var isOne = AuthenticationHeaderValue.TryParse(authorization[0], out var header) && authorization.Count == 1;
        return isOne && "Bearer".Equals(header.Scheme, StringComparison.OrdinalIgnoreCase) ? header.Parameter : null;
    }

    static bool IsReadOnly(JsonElement claims)
    {
        return !claims.TryGetProperty("read_only", out var said) || said.ValueKind != JsonValueKind.False;
    }

    bool IsActive(JsonElement claims)
    {
        if (!claims.TryGetProperty("active", out var active) || active.ValueKind != JsonValueKind.True) return false;
        var type = SeatGuard.Text(claims, "token_type") ?? "Bearer";
        if (!type.Equals("Bearer", StringComparison.OrdinalIgnoreCase)) return false;   // a refresh token
        var issuer = SeatGuard.Text(claims, "iss");   // another tenant's token is none of this API's
        return issuer == null || issuer.TrimEnd('/').Split('/').Last() == tenant.Segments.Last().TrimEnd('/');
    }

    internal static bool IsOutOfReach(Exception fault)
    {
        var known = new[]
        {
            typeof(HttpRequestException), typeof(OperationCanceledException), typeof(JsonException),
            typeof(InvalidOperationException), typeof(KeyNotFoundException),   // JSON of another shape
        };
        return known.Any(it => it.IsInstanceOfType(fault));
    }
}

/// <summary>Step 1: fetches the licences, one fetch at a time for all who wait.</summary>
public sealed class LicenceSource
{
    const double Every = 300, Again = 10, AfterFailure = 2;   // seconds
    const int LicencesMax = 256, SerialsMax = 4096;
    const long Day = 86400;

    readonly Stopwatch clock = Stopwatch.StartNew();
    readonly HttpClient http;
    readonly Place place;
    readonly Verifier verifier;
    readonly SeatGuard guard;
    readonly Dictionary<string, Licence> serials = new Dictionary<string, Licence>();   // all that were ever seen
    double triedAt = double.NegativeInfinity;
    Task<bool> fetching = Task.FromResult(true);

    public LicenceSource(HttpClient http, Place place, Verifier verifier, SeatGuard guard)
    {
        this.http = http;
        this.place = place;
        this.verifier = verifier;
        this.guard = guard;
    }

    public static long Now
    {
        get { return DateTimeOffset.UtcNow.ToUnixTimeSeconds(); }
    }

    /// <summary>Fetches every five minutes, and lets nobody wait for it.</summary>
    public void RenewBeside()
    {
        if (guard.Coverage != null) Renew(Every);
    }

    /// <summary>Before a request is refused: whether there was another fetch, which it has waited for.</summary>
    public Task<bool> LookAgain()
    {
        return Renew(guard.Coverage == null ? AfterFailure : Again);
    }

    Task<bool> Renew(double every)
    {
        lock (clock)
        {
            if (!fetching.IsCompleted) return fetching;
            if (clock.Elapsed.TotalSeconds < triedAt + every) return Task.FromResult(false);
            triedAt = clock.Elapsed.TotalSeconds;
            return fetching = Fetch();
        }
    }

    async Task<bool> Fetch()
    {
        try
        {
            Take(await Fetched().ConfigureAwait(false));
        }
        catch (Exception fault) when (LicetGate.IsOutOfReach(fault))
        {
            // What was fetched before counts by its own times. Log fault.GetType().
        }
        return true;
    }

    async Task<List<string>> Fetched()
    {
        using (var response = await http.GetAsync("licences").ConfigureAwait(false))
        {
            response.EnsureSuccessStatusCode();
            using (var document = JsonDocument.Parse(await response.Content.ReadAsByteArrayAsync()))
            {
                var found = document.RootElement.GetProperty("licences").EnumerateArray().Select(it => it.GetString());
                var texts = found.Take(LicencesMax + 1).ToList();
                if (texts.Count > LicencesMax) throw new JsonException("too many licences");
                return texts;
            }
        }
    }

    void Take(List<string> texts)
    {
        if (texts.Count == 0 && guard.Coverage == null) return;   // nothing is installed yet
        var verdicts = texts.Select(verifier.Judge).ToList();
        foreach (var it in verdicts.Where(it => it.Reason == null && SerialsMax > serials.Count))
            serials[$"{it.Licence.Id}/{it.Licence.Serial}"] = it.Licence;
        var now = new Coverage(verdicts, place.BuiltAt).Time(Now);
        foreach (var it in verdicts.Where(it => it.Reason == null))
            if (serials.Values.Any(
                seen => seen.Id == it.Licence.Id && seen.Serial > it.Licence.Serial && now >= seen.BeginsAt + Day))
                it.Reason = "licence_over";   // a later serial has replaced it, also if the server hides that one
        guard.Coverage = new Coverage(verdicts, place.BuiltAt);
    }
}
