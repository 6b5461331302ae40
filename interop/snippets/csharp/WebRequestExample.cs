// Adds a job to a licensed API for each line of standard input. Copy LicetSession and what follows it: that
// needs no package. TENANT_URL, API_URL, CLIENT_ID and CLIENT_SECRET come from the environment.
using System;
using System.Diagnostics;
using System.IO;
using System.Linq;
using System.Net;
using System.Runtime.Serialization;
using System.Runtime.Serialization.Json;
using System.Text;
using System.Threading;
using System.Web;

public static class WebRequestExample
{
    public static int Main()
    {
        var api = Environment.GetEnvironmentVariable("API_URL");
        var session = new LicetSession(
            Environment.GetEnvironmentVariable("TENANT_URL"),
            Environment.GetEnvironmentVariable("CLIENT_ID"),
            Environment.GetEnvironmentVariable("CLIENT_SECRET"));
        Console.CancelKeyPress += (sender, stop) => session.LogOff();   // Ctrl-C comes to no "finally"
        try
        {
            for (string line; (line = Console.ReadLine()) != null;)
            {
                var job = "{\"title\":" + HttpUtility.JavaScriptStringEncode(line, true) + "}";
                Console.WriteLine(session.Post(api, "application/json", job));
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
            session.LogOff();
        }
    }
}

/// <summary>One session of one program, for all threads: a token renewed in time, and a seat.</summary>
public sealed class LicetSession
{
    static readonly TimeSpan Patience = TimeSpan.FromMinutes(5);   // how long to wait for a seat

    const string FormType = "application/x-www-form-urlencoded";

    readonly string tenant, basic;
    readonly object turn = new object();   // one asks for a token, the others wait for it
    Answer token;
    Stopwatch age;

    public LicetSession(string tenant, string clientId, string secret)
    {
        this.tenant = tenant;
        // RFC 6749 2.3.1: both are encoded, so that a colon or anything else may be in them.
        var pair = Uri.EscapeDataString(clientId) + ":" + Uri.EscapeDataString(secret);
        basic = "Basic " + Convert.ToBase64String(Encoding.ASCII.GetBytes(pair));
    }

    /// <summary>Posts to the API, and once more with a new token if it refuses the first.</summary>
    public string Post(string url, string contentType, string body)
    {
        var first = AccessToken(null);
        using (var response = Post(url, "Bearer " + first, contentType, body))
            if (response.StatusCode != HttpStatusCode.Unauthorized) return Shown(response);
        using (var response = Post(url, "Bearer " + AccessToken(first), contentType, body))
            return Shown(response);
    }

    /// <summary>Gives the seat back, which is else taken for 20 minutes more.</summary>
    public void LogOff()
    {
        if (token == null) return;
        // With the refresh token it works also when the access token has expired.
        var authorization = token.RefreshToken != null ? basic : "Bearer " + token.AccessToken;
        var form = token.RefreshToken != null ? Form("refresh_token", token.RefreshToken) : "";
        token = null;
        using (var response = Post(tenant + "/logoff", authorization, FormType, form))
        {
            if (response.StatusCode != HttpStatusCode.OK)
                Console.Error.WriteLine("The seat may still be taken.");
        }
    }

    string AccessToken(string refused)
    {
        lock (turn)
        {
            var good = token != null && token.AccessToken != refused
                && age.Elapsed.TotalSeconds < 0.9 * token.ExpiresIn;
            if (!good) Renew();
            return token.AccessToken;
        }
    }

    void Renew()
    {
        if (token != null && token.RefreshToken != null)
        {
            try
            {
                Ask("grant_type", "refresh_token", "refresh_token", token.RefreshToken);
                return;
            }
            catch (OAuthException refused) when (refused.Answer.Error == "invalid_grant")
            {
                token = null;   // the session has ended: begin another
            }
        }
        Ask("grant_type", "client_credentials", "scope", "all");
    }

    void Ask(params string[] fields)
    {
        for (var waited = TimeSpan.Zero; ;)
        {
            var asked = Stopwatch.StartNew();   // the token's life is counted from here
            TimeSpan wait;
            using (var response = Post(tenant + "/token", basic, FormType, Form(fields)))
            {
                var answer = Answer.Read(response);
                if (response.StatusCode == HttpStatusCode.OK)
                {
                    token = answer;
                    age = asked;
                    return;
                }
                // No seat (400, 429 or 503), or a busy server (503).
                int seconds;
                var isGiven = int.TryParse(response.Headers["Retry-After"], out seconds);
                wait = TimeSpan.FromSeconds(seconds);
                if (!isGiven || waited + wait > Patience) throw new OAuthException(answer);
            }
            Thread.Sleep(wait);
            waited += wait;
        }
    }

    static string Form(params string[] fields)
    {
        var pairs = Enumerable.Range(0, fields.Length / 2)
            .Select(at => fields[2 * at] + "=" + Uri.EscapeDataString(fields[2 * at + 1]));
        return string.Join("&", pairs);
    }

    static HttpWebResponse Post(string url, string authorization, string contentType, string body)
    {
        var request = (HttpWebRequest)WebRequest.Create(url);
        request.Method = "POST";
        request.ContentType = contentType;
        request.Headers["Authorization"] = authorization;
        try
        {
            var bytes = Encoding.UTF8.GetBytes(body);
            using (var stream = request.GetRequestStream()) stream.Write(bytes, 0, bytes.Length);
            return (HttpWebResponse)request.GetResponse();
        }
        catch (WebException fault) when (fault.Response != null)
        {
            return (HttpWebResponse)fault.Response;   // an answer all the same: 400 and 401 are thrown here
        }
    }

    static string Shown(HttpWebResponse response)
    {
        using (var reader = new StreamReader(response.GetResponseStream()))
            return (int)response.StatusCode + " " + reader.ReadToEnd();
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

    public static Answer Read(HttpWebResponse response)
    {
        try
        {
            using (var body = response.GetResponseStream())
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
