// System.Net.Http.HttpClient and System.Net.WebRequest, as the examples of the token endpoint use them, over the
// suite's protocol (interop/README.md).
using System;
using System.Collections.Generic;
using System.IO;
using System.Linq;
using System.Net;
using System.Net.Http;
using System.Net.Http.Headers;
using System.Reflection;
using System.Text;
using System.Web.Script.Serialization;
using Members = System.Collections.Generic.Dictionary<string, object>;

/// <summary>An answer that was not 200.</summary>
sealed class Refused : Exception
{
    public readonly int Status;

    public Refused(int status, string body) : base(body)
    {
        Status = status;
    }
}

/// <summary>The library has no function for it.</summary>
sealed class Unsupported : Exception
{
    public Unsupported(string why) : base(why)
    {
    }
}

/// <summary>One of the two libraries: it sends a request, and shows status and body of the answer.</summary>
abstract class Library
{
    public abstract string Name { get; }
    public abstract string Auth { get; }   // what its example does
    public abstract string Send(string method, string url, string authorization, Members form, out int status);
}

sealed class ByHttpClient : Library
{
    static readonly HttpClient Http = new HttpClient();

    public override string Name => "System.Net.Http.HttpClient";
    public override string Auth => "body";

    public override string Send(string method, string url, string authorization, Members form, out int status)
    {
        var request = new HttpRequestMessage(new HttpMethod(method), url);
        if (authorization != null) request.Headers.Authorization = AuthenticationHeaderValue.Parse(authorization);
        if (form != null)
            request.Content = new FormUrlEncodedContent(form.ToDictionary(it => it.Key, it => (string)it.Value));
        using (var response = Http.SendAsync(request).Result)
        {
            status = (int)response.StatusCode;
            return response.Content.ReadAsStringAsync().Result;
        }
    }
}

sealed class ByWebRequest : Library
{
    public override string Name => "System.Net.WebRequest";
    public override string Auth => "basic";

    public override string Send(string method, string url, string authorization, Members form, out int status)
    {
        var request = (HttpWebRequest)WebRequest.Create(url);
        request.Method = method;
        if (authorization != null) request.Headers.Add("Authorization", authorization);
        if (form != null)
        {
            request.ContentType = "application/x-www-form-urlencoded";
            using (var writer = new StreamWriter(request.GetRequestStream()))
                writer.Write(string.Join("&", form.Select(it => it.Key + "=" + Escaped((string)it.Value))));
        }
        else if (method == "POST")
        {
            request.ContentLength = 0;
        }
        using (var response = Answered(request))
        using (var reader = new StreamReader(response.GetResponseStream()))
        {
            status = (int)response.StatusCode;
            return reader.ReadToEnd();
        }
    }

    static string Escaped(string value)
    {
        return Uri.EscapeDataString(value);
    }

    static HttpWebResponse Answered(HttpWebRequest request)
    {
        try
        {
            return (HttpWebResponse)request.GetResponse();
        }
        catch (WebException fault) when (fault.Response != null)
        {
            return (HttpWebResponse)fault.Response;
        }
    }
}

/// <summary>A client, with what "open" said.</summary>
sealed class Client
{
    static readonly JavaScriptSerializer Json = new JavaScriptSerializer();

    readonly Library library;
    Members setup, token;

    Client(Library library)
    {
        this.library = library;
    }

    public static void Main(string[] arguments)
    {
        var client = new Client(arguments[0] == "HttpClient" ? (Library)new ByHttpClient() : new ByWebRequest());
        var input = new StreamReader(Console.OpenStandardInput(), Encoding.UTF8);
        var output = new StreamWriter(Console.OpenStandardOutput(), new UTF8Encoding(false)) { AutoFlush = true };
        for (string line; (line = input.ReadLine()) != null;)
            output.WriteLine(Json.Serialize(client.Answer(Read(line))));
    }

    Members Answer(Members request)
    {
        try
        {
            var answer = Do((string)request["do"], request);
            answer["ok"] = true;
            return answer;
        }
        catch (Unsupported why)
        {
            return new Members { ["ok"] = false, ["unsupported"] = why.Message };
        }
        catch (Exception error)
        {
            return Seen(error);
        }
    }

    /// <summary>What a caller can read from an error: the body is the caller's to parse.</summary>
    static Members Seen(Exception error)
    {
        var seen = new Members { ["ok"] = false, ["raised"] = error.GetType().Name, ["text"] = error.Message };
        var refused = error as Refused;
        if (refused == null) return seen;
        seen["status"] = refused.Status;
        var body = Read(refused.Message);
        foreach (var name in new[] { "reason", "retry_after" })
            if (body.ContainsKey(name)) seen[name] = body[name];
        seen["code"] = body["error"];
        seen["by_hand"] = true;
        return seen;
    }

    Members Do(string what, Members request)
    {
        switch (what)
        {
            case "hello":
                return new Members
                {
                    ["library"] = library.Name,
                    ["version"] = "Mono " + Runtime(),
                    ["runtime"] = "Mono",
                };
            case "open":
                if ((string)request["auth"] == "private_key_jwt") throw new Unsupported("signs nothing");
                setup = request;
                token = null;
                return new Members();
            case "token":
                var form = new Members { ["grant_type"] = "client_credentials" };
                if (setup["scope"] != null) form["scope"] = setup["scope"];
                return Granted(form);
            case "refresh":
                return Granted(new Members
                {
                    ["grant_type"] = "refresh_token",
                    ["refresh_token"] = token["refresh_token"],
                });
            case "age":
                throw new Unsupported("keeps no time");
            case "call":
                return new Members { ["status"] = Status("GET", "api_url") };
            case "logoff":
                return new Members { ["status"] = Status("POST", "logoff_url") };
            case "revoke":
                Posted("revoke_url", new Members { ["token"] = token["access_token"] });
                return new Members();
            case "introspect":
                var active = Posted("introspect_url", new Members { ["token"] = token["access_token"] })["active"];
                return new Members { ["active"] = active };
            case "discover":
                var url = setup["issuer"] + "/.well-known/oauth-authorization-server";
                setup["token_url"] = Checked("GET", url, null, null)["token_endpoint"];
                return new Members { ["token_endpoint"] = setup["token_url"] };
            default:
                throw new Unsupported("has no " + what);
        }
    }

    static string Runtime()
    {
        var name = Type.GetType("Mono.Runtime")
            .GetMethod("GetDisplayName", BindingFlags.NonPublic | BindingFlags.Static);
        return ((string)name.Invoke(null, null)).Split(' ')[0];
    }

    Members Granted(Members form)
    {
        token = Posted("token_url", form);
        return new Members(token);
    }

    Members Posted(string url, Members form)
    {
        var way = (string)setup["auth"] == "default" ? library.Auth : (string)setup["auth"];
        if (way == "basic") return Checked("POST", (string)setup[url], Basic(), form);
        form["client_id"] = setup["client_id"];
        form["client_secret"] = setup["client_secret"];
        return Checked("POST", (string)setup[url], null, form);
    }

    string Basic()
    {
        var pair = setup["client_id"] + ":" + setup["client_secret"];
        return "Basic " + Convert.ToBase64String(Encoding.UTF8.GetBytes(pair));
    }

    int Status(string method, string url)
    {
        int status;
        library.Send(method, (string)setup[url], "Bearer " + token["access_token"], null, out status);
        return status;
    }

    Members Checked(string method, string url, string authorization, Members form)
    {
        int status;
        var body = library.Send(method, url, authorization, form, out status);
        if (status != 200) throw new Refused(status, body);
        return body == "" ? new Members() : Read(body);
    }

    static Members Read(string json)
    {
        return Json.Deserialize<Members>(json);
    }
}
