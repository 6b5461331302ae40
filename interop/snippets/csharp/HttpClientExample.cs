// Adds a job to a licensed API for each line of standard input. Copy LicetSession and what follows it: that
// needs no package. TENANT_URL, API_URL, CLIENT_ID and CLIENT_SECRET come from the environment.
using System;
using System.Collections.Generic;
using System.Diagnostics;
using System.Net;
using System.Net.Http;
using System.Net.Http.Headers;
using System.Runtime.Serialization;
using System.Runtime.Serialization.Json;
using System.Text;
using System.Threading;
using System.Threading.Tasks;
using System.Web;

public static class HttpClientExample
{
    public static int Main()
    {
        return Run().GetAwaiter().GetResult();   // since C# 7.1 Main itself may be async
    }

    static async Task<int> Run()
    {
        var api = Environment.GetEnvironmentVariable("API_URL");
        var http = new HttpClient();   // one for the whole program
        var session = new LicetSession(
            http,
            Environment.GetEnvironmentVariable("TENANT_URL"),
            Environment.GetEnvironmentVariable("CLIENT_ID"),
            Environment.GetEnvironmentVariable("CLIENT_SECRET"));
        Console.CancelKeyPress += (sender, stop) => session.LogOff().Wait();   // Ctrl-C comes to no "finally"
        try
        {
            for (string line; (line = Console.ReadLine()) != null;)
            {
                var job = "{\"title\":" + HttpUtility.JavaScriptStringEncode(line, true) + "}";
                using (var response = await session.Send(() => new HttpRequestMessage(HttpMethod.Post, api)
                {
                    Content = new StringContent(job, Encoding.UTF8, "application/json"),
                }))
                {
                    var body = await response.Content.ReadAsStringAsync();
                    Console.WriteLine((int)response.StatusCode + " " + body);
                }
            }
            return 0;
        }
        catch (OAuthException refused)
        {
            Console.Error.WriteLine(refused.Message);
            return 1;
        }
        finally
        {
            await session.LogOff();
        }
    }
}

/// <summary>One session of one program, for all threads: a token renewed in time, and a seat.</summary>
public sealed class LicetSession
{
    static readonly TimeSpan Patience = TimeSpan.FromMinutes(5);   // how long to wait for a seat

    readonly HttpClient http;
    readonly string tenant, clientId, secret;
    readonly SemaphoreSlim turn = new SemaphoreSlim(1, 1);   // one asks for a token, the others wait for it
    Answer token;
    Stopwatch age;

    public LicetSession(HttpClient http, string tenant, string clientId, string secret)
    {
        this.http = http;
        this.tenant = tenant;
        this.clientId = clientId;
        this.secret = secret;
    }

    /// <summary>Sends a request with the token, and once more with a new one if the API refuses it.</summary>
    public async Task<HttpResponseMessage> Send(Func<HttpRequestMessage> make)
    {
        var first = await AccessToken(null);
        var response = await Send(make(), first);
        if (response.StatusCode != HttpStatusCode.Unauthorized) return response;
        response.Dispose();
        return await Send(make(), await AccessToken(first));
    }

    /// <summary>Gives the seat back, which is else taken for 20 minutes more.</summary>
    public async Task LogOff()
    {
        if (token == null) return;
        var request = new HttpRequestMessage(HttpMethod.Post, tenant + "/logoff");
        if (token.RefreshToken != null)   // works also when the access token has expired
            request.Content = Form("refresh_token", token.RefreshToken);
        else
            request.Headers.Authorization = new AuthenticationHeaderValue("Bearer", token.AccessToken);
        token = null;
        using (var response = await http.SendAsync(request))
            if (!response.IsSuccessStatusCode) Console.Error.WriteLine("The seat may still be taken.");
    }

    async Task<HttpResponseMessage> Send(HttpRequestMessage request, string accessToken)
    {
        request.Headers.Authorization = new AuthenticationHeaderValue("Bearer", accessToken);
        return await http.SendAsync(request);
    }

    async Task<string> AccessToken(string refused)
    {
        await turn.WaitAsync();
        try
        {
            var good = token != null && token.AccessToken != refused
                && age.Elapsed.TotalSeconds < 0.9 * token.ExpiresIn;
            if (!good) await Renew();
            return token.AccessToken;
        }
        finally
        {
            turn.Release();
        }
    }

    async Task Renew()
    {
        var refreshToken = token?.RefreshToken;
        if (refreshToken != null)
        {
            try
            {
                await Ask("grant_type", "refresh_token", "refresh_token", refreshToken);
                return;
            }
            catch (OAuthException refused) when (refused.Answer.Error == "invalid_grant")
            {
                token = null;   // the session has ended: begin another
            }
        }
        await Ask("grant_type", "client_credentials", "scope", "all");
    }

    async Task Ask(params string[] fields)
    {
        for (var waited = TimeSpan.Zero; ;)
        {
            var asked = Stopwatch.StartNew();   // the token's life is counted from here
            TimeSpan? wait;
            using (var response = await http.PostAsync(tenant + "/token", Form(fields)))
            {
                var answer = await Answer.Read(response);
                if (response.IsSuccessStatusCode)
                {
                    token = answer;
                    age = asked;
                    return;
                }
                // No seat (400, 429 or 503), or a busy server (503).
                wait = response.Headers.RetryAfter?.Delta;
                if (wait == null || waited + wait > Patience) throw new OAuthException(answer);
            }
            await Task.Delay(wait.Value);
            waited += wait.Value;
        }
    }

    FormUrlEncodedContent Form(params string[] fields)
    {
        var form = new Dictionary<string, string> { ["client_id"] = clientId, ["client_secret"] = secret };
        for (var at = 0; at < fields.Length; at += 2) form[fields[at]] = fields[at + 1];
        return new FormUrlEncodedContent(form);
    }
}

/// <summary>What the token endpoint says: tokens, or why not.</summary>
[DataContract]
public sealed class Answer
{
    [DataMember(Name = "access_token")] public string AccessToken { get; set; }
    [DataMember(Name = "refresh_token")] public string RefreshToken { get; set; }
    [DataMember(Name = "expires_in")] public int ExpiresIn { get; set; }   // seconds
    [DataMember(Name = "error")] public string Error { get; set; }
    [DataMember(Name = "error_description")] public string Description { get; set; }
    [DataMember(Name = "reason")] public string Reason { get; set; }   // of "temporarily_unavailable"
    [DataMember(Name = "retry_after")] public int? RetryAfter { get; set; }   // seconds

    public static async Task<Answer> Read(HttpResponseMessage response)
    {
        try
        {
            using (var body = await response.Content.ReadAsStreamAsync())
                return (Answer)new DataContractJsonSerializer(typeof(Answer)).ReadObject(body);
        }
        catch (SerializationException)   // of a proxy, say
        {
            return new Answer { Error = "HTTP " + (int)response.StatusCode };
        }
    }
}

/// <summary>The token endpoint refused; Answer has its reasons.</summary>
public sealed class OAuthException : Exception
{
    public readonly Answer Answer;

    public OAuthException(Answer answer)
        : base(string.Join(" ", answer.Error, answer.Reason, answer.Description))
    {
        Answer = answer;
    }
}
