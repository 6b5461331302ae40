// Takes a seat, renews it, and gives it back. TENANT_URL, CLIENT_ID and CLIENT_SECRET come from the environment.
using System;
using System.Collections.Generic;
using System.Net.Http;
using System.Text.Json;
using System.Threading.Tasks;

public static class SeatLife
{
    static readonly HttpClient Http = new HttpClient();   // one for the whole program
    static readonly string Tenant = Environment.GetEnvironmentVariable("TENANT_URL");

    public static int Main() => Run().GetAwaiter().GetResult();   // since C# 7.1 Main itself may be async

    static async Task<int> Run()
    {
        // A grant: the client takes a seat of the pool, if one is free.
        var token = await Post("token", "grant_type", "client_credentials", "scope", "all");
        if (Text(token, "error") != "")
        {
            Console.WriteLine("No token: " + Text(token, "error") + ", " + Text(token, "error_description"));
            Console.WriteLine("Try again in " + Text(token, "retry_after") + " s.");
            return 1;
        }
        Console.WriteLine("A seat is taken. The access token is good for " + Text(token, "expires_in") + " s.");

        // Your API gets the token in this header:
        //     Authorization: Bearer <access_token>

        // A renewal, shortly before the access token expires: the same session, and the same seat.
        var refresh = Text(token, "refresh_token");
        token = await Post("token", "grant_type", "refresh_token", "refresh_token", refresh);
        Console.WriteLine("Renewed. The seat is kept for " + Text(token, "refresh_expires_in") + " s more.");

        // The end: without it the seat stays taken until the session expires.
        var end = await Post("logoff", "refresh_token", refresh);
        Console.WriteLine("Logged off. The seat is free: " + Text(end, "seat_released") + ".");
        return 0;
    }

    /// <summary>The answer to a form, whatever its status: an error is JSON, too.</summary>
    static async Task<JsonElement> Post(string endpoint, params string[] fields)
    {
        var form = new Dictionary<string, string>
        {
            ["client_id"] = Environment.GetEnvironmentVariable("CLIENT_ID"),
            ["client_secret"] = Environment.GetEnvironmentVariable("CLIENT_SECRET"),
        };
        for (var at = 0; at < fields.Length; at += 2) form[fields[at]] = fields[at + 1];
        using (var response = await Http.PostAsync($"{Tenant}/{endpoint}", new FormUrlEncodedContent(form)))
            return JsonDocument.Parse(await response.Content.ReadAsStringAsync()).RootElement;
    }

    static string Text(JsonElement answer, string name) =>
        answer.TryGetProperty(name, out var value) ? value.ToString() : "";
}
