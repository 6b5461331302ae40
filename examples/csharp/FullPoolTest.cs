// A test of what a program does when no seat is free. With xUnit, each method is a [Fact] and Main goes.
using System;
using System.Collections.Generic;
using System.Net.Http;
using System.Text.Json;
using System.Threading.Tasks;

public sealed class FullPoolTest : IDisposable
{
    readonly LicetDemo licet = new LicetDemo(Environment.GetEnvironmentVariable("LICET") ?? "licet");
    readonly HttpClient http = new HttpClient();

    public void Dispose() => licet.Dispose();

    public async Task A_second_client_learns_when_to_try_again()
    {
        licet.Run("pool", "set", "full", "--seats", "1");
        Equal("", await Token("Client1", "error"));
        Equal("all_in_use", await Token("Client2", "reason"));
        Equal("True", (int.Parse(await Token("Client2", "retry_after")) <= 1200).ToString());
    }

    public async Task A_seat_is_free_when_an_administrator_ends_its_session()
    {
        licet.Run("pool", "set", "full", "--seats", "1");
        Equal("", await Token("Client1", "error"));
        licet.Run("session", "end", "--client", "Client1", "--yes");
        Equal("", await Token("Client2", "error"));
    }

    async Task<string> Token(string client, string field)
    {
        var form = new Dictionary<string, string>
        {
            ["grant_type"] = "client_credentials", ["client_id"] = client, ["client_secret"] = "password",
        };
        using (var response = await http.PostAsync(licet.TenantUrl + "/token", new FormUrlEncodedContent(form)))
            return Text(JsonDocument.Parse(await response.Content.ReadAsStringAsync()).RootElement, field);
    }

    static string Text(JsonElement answer, string name) =>
        answer.TryGetProperty(name, out var value) ? value.ToString() : "";

    static void Equal(string expected, string found)
    {
        if (expected != found) throw new Exception($"expected {expected}, found {found}");
    }

    public static void Main() => Run().GetAwaiter().GetResult();

    static async Task Run()
    {
        using (var test = new FullPoolTest()) await test.A_second_client_learns_when_to_try_again();
        using (var test = new FullPoolTest()) await test.A_seat_is_free_when_an_administrator_ends_its_session();
        Console.WriteLine("2 passed");
    }
}
