// Compares each answer of the guard with the test vectors.
using System;
using System.Collections.Generic;
using System.IO;
using System.Linq;
using System.Text.Json;

public static class Vectors
{
    static int count, wrong;

    public static int Compare(string file)
    {
        var all = JsonDocument.Parse(File.ReadAllText(file)).RootElement;
        var place = PlaceOf(all);
        var verifier = new Verifier(all.GetProperty("vendor"), place);
        var licences = all.GetProperty("licences");
        Func<JsonElement, Coverage> of = names => new Coverage(
            names.EnumerateArray().Select(it => verifier.Judge(licences.GetProperty(it.GetString()).GetString())),
            place.BuiltAt);

        Expect("installation", Text(all.GetProperty("place"), "installation_hash"), place.InstallationHash);
        foreach (var it in all.GetProperty("verdicts").EnumerateArray())
        {
            var name = Text(it, "licence");
            Expect(name, Text(it, "reason"), verifier.Judge(Text(licences, name)).Reason);
        }
        foreach (var it in all.GetProperty("signed").EnumerateArray())
        {
            var found = of(it.GetProperty("licences")).Signed(Text(it, "pool"), Long(it, "now"), out var reason);
            Expect($"{it.GetProperty("licences")} {Long(it, "now")}", Text(it, "reason"), reason);
            var terms = it.TryGetProperty("terms", out var given) ? Written(given) : null;
            Expect($"{it.GetProperty("licences")} {Long(it, "now")}", terms, Written(found));
        }
        foreach (var it in all.GetProperty("who").EnumerateArray())
        {
            var who = SeatGuard.WhoHas(Text(it, "counted_for"), Text(it, "client_id"), Text(it, "username"));
            Expect("who " + Text(it, "counted_for"), Text(it, "who"), who);
        }
        foreach (var scenario in all.GetProperty("scenarios").EnumerateArray())
        {
            long now = 0;
            var guard = new SeatGuard(place, new OneProcess(() => now));
            guard.Coverage = of(scenario.GetProperty("licences"));
            var number = 0;
            foreach (var it in scenario.GetProperty("requests").EnumerateArray())
            {
                now = Long(it, "now");
                var found = guard.Check(it.GetProperty("claims"), Text(it, "method"), List(it, "needs"), now);
                var expected = new Answer
                {
                    Status = (int)Long(it, "status"), Reason = Text(it, "reason"),
                    RetryAfter = Long(it, "retry_after"), Scopes = List(it, "scopes"),
                };
                Expect($"{Text(scenario, "name")}, request {++number}", Written(expected), Written(found));
            }
        }
        Console.WriteLine($"{count} answers, {wrong} wrong");
        return wrong > 0 ? 1 : 0;
    }

    static Place PlaceOf(JsonElement all)
    {
        var of = all.GetProperty("place");
        return new Place
        {
            Vendor = Text(all.GetProperty("vendor"), "vendor"), Product = Text(of, "product"),
            Tenant = Text(of, "tenant"), Built = Text(of, "built"),
            InstallationHash = Place.Hash(Text(of, "installation")),
            ReadOnlyScopes = new HashSet<string>(List(of, "read_only_scopes")),
        };
    }

    static void Expect(string what, string expected, string found)
    {
        count++;
        if (expected == found) return;
        wrong++;
        Console.WriteLine($"{what}: expected {expected ?? "nothing"}, found {found ?? "nothing"}");
    }

    static string Written(Answer of)
    {
        return $"{of.Status} {of.Reason} {of.RetryAfter} {Sorted(of.Scopes)}";
    }

    static string Written(Terms of)
    {
        if (of == null) return null;
        return $"{of.Seats} {Sorted(of.Scopes)} {Sorted(of.Duplicates)} {of.Hold} {of.AccessTtlMax}";
    }

    static string Written(JsonElement of)
    {
        return $"{Long(of, "signed")} {Sorted(List(of, "scopes"))} {Sorted(List(of, "duplicates"))} {Long(of, "hold")}"
            + $" {Long(of, "access_ttl_max")}";
    }

    static string Sorted(IEnumerable<string> of)
    {
        return string.Join(",", of.OrderBy(it => it, StringComparer.Ordinal));
    }

    static string Text(JsonElement of, string name)
    {
        var isText = of.TryGetProperty(name, out var found) && found.ValueKind == JsonValueKind.String;
        return isText ? found.GetString() : null;
    }

    static long Long(JsonElement of, string name)
    {
        return of.TryGetProperty(name, out var found) ? found.GetInt64() : 0;
    }

    static string[] List(JsonElement of, string name)
    {
        return of.TryGetProperty(name, out var found)
            ? found.EnumerateArray().Select(it => it.GetString()).ToArray() : new string[0];
    }
}
