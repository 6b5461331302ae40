// An API behind the guard: GET needs no seat, and POST needs the scope "all", and so a seat.
//
// What a vendor compiles in comes as a line of JSON on standard input here, with the secret of the customer; the answer
// is the URL. ASP.NET Core calls LicetGate in a middleware: docs/how-to/protect-an-api-with-dotnet.md.
using System;
using System.Collections.Generic;
using System.Diagnostics;
using System.Linq;
using System.Net;
using System.Net.Sockets;
using System.Text;
using System.Text.Json;
using System.Threading.Tasks;

public static class Api
{
    public static int Serve()
    {
        var of = JsonDocument.Parse(Console.ReadLine()).RootElement;
        var vendor = of.GetProperty("vendor");
        var url = of.GetProperty("tenant_url").GetString();
        var place = new Place
        {
            Vendor = vendor.GetProperty("vendor").GetString(), Product = vendor.GetProperty("product").GetString(),
            Tenant = url.Split('/').Last(), Built = of.GetProperty("built").GetString(),
            InstallationHash = Place.Hash(of.GetProperty("installation").GetString()),
            ReadOnlyScopes = new HashSet<string> { "view" },
        };
        var clock = Stopwatch.StartNew();
        var memory = new OneProcess(() => clock.Elapsed.TotalSeconds);
        var gate = new LicetGate(
            url, of.GetProperty("client_id").GetString(), of.GetProperty("client_secret").GetString(), place,
            new Verifier(vendor, place), memory);
        var listener = Listen(out var address);
        Console.WriteLine($"{{\"url\": \"{address}\"}}");
        Accept(listener, gate);
        while (Console.ReadLine() != null) { }   // it ends when standard input does
        return 0;
    }

    static async void Accept(HttpListener listener, LicetGate gate)
    {
        while (true)
        {
            var context = await listener.GetContextAsync();
            _ = Task.Run(() => Handle(context, gate));
        }
    }

    static async Task Handle(HttpListenerContext context, LicetGate gate)
    {
        var request = context.Request;
        var method = LicetGate.Overrides.Any(it => request.Headers[it] != null) ? "POST" : request.HttpMethod;
        var headers = request.Headers.GetValues("Authorization") ?? new string[0];
        var answer = await gate.Check(method, headers, SeatGuard.IsSafe(method) ? new string[0] : new[] { "all" });
        var response = context.Response;
        response.StatusCode = answer.Status;
        response.ContentType = "application/json";
        if (answer.Challenge != null) response.AddHeader("WWW-Authenticate", answer.Challenge);
        if (answer.RetryAfter > 0) response.AddHeader("Retry-After", answer.RetryAfter.ToString());
        var scopes = string.Join(" ", answer.Scopes.OrderBy(it => it, StringComparer.Ordinal));
        var body = answer.Status == 200 ? JsonSerializer.Serialize(new { scopes }) : answer.Body;
        response.Close(Encoding.UTF8.GetBytes(body), true);
    }

    // HttpListener cannot choose a free port itself, and another program may take one that was found.
    static HttpListener Listen(out string address)
    {
        for (var tries = 1; ; tries++)
        {
            var finder = new TcpListener(IPAddress.Loopback, 0);
            finder.Start();
            address = $"http://127.0.0.1:{((IPEndPoint)finder.LocalEndpoint).Port}/";
            finder.Stop();
            var listener = new HttpListener();
            listener.Prefixes.Add(address);
            try
            {
                listener.Start();
                return listener;
            }
            catch (HttpListenerException) when (tries < 10)
            {
            }
        }
    }
}
