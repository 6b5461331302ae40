// Reads a licence as docs/reference/guard-protocol.md says, steps 2 and 3. For .NET Core 3.1 or newer, with no package.
using System;
using System.Collections.Generic;
using System.Globalization;
using System.Linq;
using System.Security.Cryptography;
using System.Text;
using System.Text.Json;
using System.Text.RegularExpressions;

/// <summary>What the API knows of itself. InstallationHash is null where no licence is bound.</summary>
public sealed class Place
{
    public string Vendor, Product, Tenant, Built, InstallationHash;
    public HashSet<string> ReadOnlyScopes = new HashSet<string>();

    public static string Hash(string installation)
    {
        return Base64Url.Encode(Sha256("licet installation\0" + installation));
    }

    public long BuiltAt
    {
        get
        {
            var style = DateTimeStyles.AssumeUniversal | DateTimeStyles.AdjustToUniversal;
            var day = DateTime.ParseExact(Built, "yyyy-MM-dd", CultureInfo.InvariantCulture, style);
            return new DateTimeOffset(day).ToUnixTimeSeconds();
        }
    }

    internal static byte[] Sha256(string text)
    {
        using (var hash = SHA256.Create())
            return hash.ComputeHash(Encoding.UTF8.GetBytes(text));
    }
}

/// <summary>What a licence gives a pool; also what several give it together, where Seats is the sum.</summary>
public sealed class Terms
{
    public long Seats, Hold, AccessTtlMax;
    public HashSet<string> Scopes, Duplicates;
}

public sealed class Licence
{
    public string Id, Vendor, Product, Tenant, Installation, UpdatesUntil;
    public long Serial, IssuedAt, BeginsAt, OverAt;   // OverAt: long.MaxValue for a perpetual one
    public Dictionary<string, Terms> Pools = new Dictionary<string, Terms>();
    public bool IsReadable = true;
}

/// <summary>Why a licence does not count: Reason is null if it does. An unverified one has no Licence.</summary>
public sealed class Verdict
{
    public Licence Licence;
    public string Reason;
}

/// <summary>Step 2: verifies one licence.</summary>
public sealed class Verifier
{
    const long SecondsMax = 253370764799;
    static readonly string[] Known =
        ("iss product tenant licence serial iat nbf exp grace installation customer updates_until features must"
        + " pools").Split(' ');
    static readonly string[] PoolMembers = "seats scopes overdraft hold access_ttl_max duplicates".Split(' ');
    const string Character =
        @"(?:[\ud800-\udbff][\udc00-\udfff]|[^\u0000-\u001f\u007f-\u009f\u2028\u2029\ud800-\udfff])";
    const string Text = "(?! )" + Character + "{1,100}(?<! )";
    const string Name = "[A-Za-z0-9][A-Za-z0-9_.-]{0,63}";
    const string Word = @"[\x21\x23-\x5b\x5d-\x7e]{1,64}";

    readonly Dictionary<string, ECDsa> keys = new Dictionary<string, ECDsa>();
    readonly Place place;

    /// <summary>vendor is vendor.json, which is compiled into the API.</summary>
    public Verifier(JsonElement vendor, Place place)
    {
        this.place = place;
        foreach (var key in vendor.GetProperty("keys").EnumerateArray())
        {
            var at = new ECPoint { X = Base64Url.Decode(key.GetProperty("x").GetString()),
                                   Y = Base64Url.Decode(key.GetProperty("y").GetString()) };
            keys[key.GetProperty("kid").GetString()] =
                ECDsa.Create(new ECParameters { Curve = ECCurve.NamedCurves.nistP256, Q = at });
        }
    }

    public Verdict Judge(string text)
    {
        Licence found;
        try
        {
            found = Read(Verified(text));
        }
        catch (FormatException)
        {
            return new Verdict { Reason = "unknown_vendor" };
        }
        return new Verdict { Licence = found, Reason = WhyNot(found) };
    }

    string WhyNot(Licence found)
    {
        if (found.Vendor != place.Vendor) return "unknown_vendor";
        if (!found.IsReadable) return "licence_unreadable";
        if (found.Product != place.Product) return "not_this_product";
        if (found.Tenant != place.Tenant) return "not_this_tenant";
        if (found.Installation != null && found.Installation != place.InstallationHash) return "not_this_installation";
        if (found.UpdatesUntil != null && string.CompareOrdinal(place.Built, found.UpdatesUntil) > 0)
            return "updates_ended";
        return null;
    }

    JsonElement Verified(string text)
    {
        var parts = text.Split('.');
        if (text.Length > 16384 || parts.Length != 3) throw new FormatException("not three parts");
        var header = StrictJson.Object(Base64Url.Decode(parts[0]));
        if (header.EnumerateObject().Count() != 3 || TextOf(header, "alg") != "ES256"
            || TextOf(header, "typ") != "licet-licence+jws" || !keys.TryGetValue(TextOf(header, "kid"), out var key))
            throw new FormatException("another header");
        var signature = Base64Url.Decode(parts[2]);
        var signed = Encoding.ASCII.GetBytes(parts[0] + "." + parts[1]);
        lock (key)
            if (signature.Length != 64 || !key.VerifyData(signed, signature, HashAlgorithmName.SHA256))
                throw new FormatException("not signed");
        return StrictJson.Object(Base64Url.Decode(parts[1]));
    }

    static Licence Read(JsonElement claims)
    {
        var found = new Licence
        {
            Id = TextOf(claims, "licence", "[A-Za-z0-9._-]{1,64}"), Vendor = TextOf(claims, "iss"),
            Product = TextOf(claims, "product"), Tenant = TextOf(claims, "tenant", Name),
            Serial = Number(claims, "serial", 1, int.MaxValue), IssuedAt = Number(claims, "iat", 0, SecondsMax),
            Installation = Has(claims, "installation") ? TextOf(claims, "installation", "[A-Za-z0-9_-]{43}") : null,
            UpdatesUntil = Has(claims, "updates_until") ? Day(TextOf(claims, "updates_until")) : null,
        };
        if (Has(claims, "customer")) TextOf(claims, "customer");
        Words(claims, "features", 0, 64);
        found.BeginsAt = Number(claims, "nbf", 0, SecondsMax, found.IssuedAt);
        var grace = Number(claims, "grace", 0, 90 * 86400, 0);
        found.OverAt = Has(claims, "exp") ? Number(claims, "exp", 0, SecondsMax) + grace : long.MaxValue;
        if (found.OverAt - grace <= found.BeginsAt || (grace > 0 && !Has(claims, "exp")))
            throw new FormatException("claims that do not fit together");
        foreach (var name in Words(claims, "must", 0, 64))
        {
            found.IsReadable &= Known.Contains(name);
            if (Known.Contains(name) && !Has(claims, name)) throw new FormatException("must names what is not there");
        }
        var pools = Member(claims, "pools", JsonValueKind.Object).EnumerateObject().ToList();
        if (pools.Count < 1 || pools.Count > 64) throw new FormatException("pools");
        foreach (var pool in pools)
        {
            Matching(pool.Name, Name);
            var limits = Member(claims.GetProperty("pools"), pool.Name, JsonValueKind.Object);
            found.IsReadable &= limits.EnumerateObject().All(member => PoolMembers.Contains(member.Name));
            found.Pools[pool.Name] = ReadPool(limits);
        }
        return found;
    }

    static Terms ReadPool(JsonElement limits)
    {
        var both = new[] { "client", "user" };
        var duplicates = Has(limits, "duplicates") ? Words(limits, "duplicates", 1, 2) : both;
        if (duplicates.Except(both).Any()) throw new FormatException("duplicates");
        return new Terms
        {
            Seats = Number(limits, "seats", 0, 1000000) + Number(limits, "overdraft", 0, 1000000, 0),
            Hold = Number(limits, "hold", 1, 86400, 60),
            AccessTtlMax = Number(limits, "access_ttl_max", 60, 86400, 600),
            Scopes = new HashSet<string>(Words(limits, "scopes", 1, 32)),
            Duplicates = new HashSet<string>(duplicates),
        };
    }

    static bool Has(JsonElement of, string name)
    {
        return of.TryGetProperty(name, out _);
    }

    static JsonElement Member(JsonElement of, string name, JsonValueKind kind)
    {
        if (!of.TryGetProperty(name, out var found) || found.ValueKind != kind) throw new FormatException(name);
        return found;
    }

    static long Number(JsonElement of, string name, long least, long most, long? otherwise = null)
    {
        if (otherwise != null && !Has(of, name)) return otherwise.Value;
        var found = Member(of, name, JsonValueKind.Number).GetInt64();
        if (found < least || found > most) throw new FormatException(name);
        return found;
    }

    static string TextOf(JsonElement of, string name, string pattern = Text)
    {
        return Matching(Member(of, name, JsonValueKind.String).GetString(), pattern);
    }

    static string[] Words(JsonElement of, string name, int least, int most)
    {
        if (least == 0 && !Has(of, name)) return new string[0];
        var found = Member(of, name, JsonValueKind.Array).EnumerateArray().Select(
            word => word.ValueKind == JsonValueKind.String ? Matching(word.GetString(), Word)
                : throw new FormatException(name)).ToArray();
        if (found.Length < least || found.Length > most || found.Distinct().Count() != found.Length)
            throw new FormatException(name);
        return found;
    }

    static string Matching(string text, string pattern)
    {
        return Regex.IsMatch(text, @"\A" + pattern + @"\z") ? text : throw new FormatException(pattern);
    }

    static string Day(string text)
    {
        DateTime.ParseExact(text, "yyyy-MM-dd", CultureInfo.InvariantCulture);
        return text;
    }
}

/// <summary>Step 3: adds up what the licences of a tenant give.</summary>
public sealed class Coverage
{
    const long Day = 86400;
    static readonly string[] Order =
        { "not_this_installation", "updates_ended", "not_this_tenant", "not_this_product", "licence_unreadable",
          "unknown_vendor", "licence_over" };

    readonly List<Verdict> all;
    readonly List<Licence> good;
    readonly long builtAt;

    /// <summary>builtAt: the beginning of the day of the build, in seconds since 1970.</summary>
    public Coverage(IEnumerable<Verdict> verdicts, long builtAt)
    {
        all = verdicts.ToList();
        good = all.Where(it => it.Reason == null).Select(it => it.Licence).ToList();
        this.builtAt = builtAt;
    }

    /// <summary>Licence time: a clock that was set back makes no licence younger.</summary>
    public long Time(long now)
    {
        return good.Select(it => it.IssuedAt).Concat(new[] { now, builtAt }).Max();
    }

    /// <summary>What is signed for a pool now, a day around it; or null, and why nothing is.</summary>
    public Terms Signed(string pool, long now, out string reason)
    {
        reason = null;
        if (pool == null || !good.Any(it => it.Pools.ContainsKey(pool)))
        {
            reason = WhyNothing(pool);
            return null;
        }
        now = Time(now);
        var moments = good.SelectMany(it => new[] { it.BeginsAt, it.OverAt })
            .Where(it => now - Day <= it && it <= now + Day).Concat(new[] { now - Day, now + Day });
        Terms found = null;
        foreach (var given in moments.Select(it => Given(pool, it)).Where(it => it != null))
            found = found == null ? given : new Terms
            {
                Seats = Math.Max(found.Seats, given.Seats), Hold = Math.Min(found.Hold, given.Hold),
                AccessTtlMax = Math.Max(found.AccessTtlMax, given.AccessTtlMax),
                Scopes = new HashSet<string>(found.Scopes.Union(given.Scopes)),
                Duplicates = new HashSet<string>(found.Duplicates.Union(given.Duplicates)),
            };
        if (found == null) reason = "licence_over";
        return found;
    }

    Terms Given(string pool, long moment)
    {
        Terms found = null;
        foreach (var serials in good.Where(it => it.BeginsAt <= moment).GroupBy(it => it.Id))
        {
            var counts = serials.OrderByDescending(it => it.Serial).First();
            if (!counts.Pools.TryGetValue(pool, out var given) || given.Seats == 0 || moment >= counts.OverAt) continue;
            found = found == null ? given : new Terms
            {
                Seats = found.Seats + given.Seats, Hold = Math.Max(found.Hold, given.Hold),
                AccessTtlMax = Math.Min(found.AccessTtlMax, given.AccessTtlMax),
                Scopes = new HashSet<string>(found.Scopes.Intersect(given.Scopes)),
                Duplicates = new HashSet<string>(found.Duplicates.Intersect(given.Duplicates)),
            };
        }
        return found == null || found.Scopes.Count == 0 || found.Duplicates.Count == 0 ? null : found;
    }

    string WhyNothing(string pool)
    {
        var bad = all.Where(it => it.Reason != null).ToList();
        var meant = bad.Where(it => it.Licence != null && pool != null && it.Licence.Pools.ContainsKey(pool)).ToList();
        if (meant.Count == 0 && good.Count == 0) meant = bad;
        return Order.FirstOrDefault(reason => meant.Any(it => it.Reason == reason))
            ?? (good.Count > 0 ? "wrong_pool" : "licence_over");
    }
}

/// <summary>JSON without a duplicate member and with whole numbers only. JsonDocument takes the last of two.</summary>
public static class StrictJson
{
    const long NumberMax = (1L << 53) - 1;   // RFC 7493 2.2

    public static JsonElement Object(byte[] content)
    {
        try
        {
            using (var document = JsonDocument.Parse(content))
            {
                Check(document.RootElement);
                if (document.RootElement.ValueKind != JsonValueKind.Object) throw new FormatException("no object");
                return document.RootElement.Clone();
            }
        }
        catch (Exception fault) when (fault is JsonException || fault is InvalidOperationException)
        {
            throw new FormatException("not JSON", fault);   // InvalidOperationException: not UTF-8
        }
    }

    static void Check(JsonElement value)
    {
        switch (value.ValueKind)
        {
            case JsonValueKind.Object:
                var names = new HashSet<string>();
                foreach (var member in value.EnumerateObject())
                {
                    if (!names.Add(member.Name)) throw new FormatException("a duplicate member");
                    Check(member.Value);
                }
                break;
            case JsonValueKind.Array:
                foreach (var item in value.EnumerateArray()) Check(item);
                break;
            case JsonValueKind.String:
                value.GetString();
                break;
            case JsonValueKind.Number:
                if (!Regex.IsMatch(value.GetRawText(), @"\A(?!-0)-?[0-9]{1,16}\z")
                    || Math.Abs(value.GetInt64()) > NumberMax)
                    throw new FormatException("a number that is not whole");
                break;
        }
    }
}

/// <summary>Base64url without padding, in the only spelling that encoding gives again (RFC 7515 2).</summary>
public static class Base64Url
{
    public static string Encode(byte[] content)
    {
        return Convert.ToBase64String(content).TrimEnd('=').Replace('+', '-').Replace('/', '_');
    }

    public static byte[] Decode(string text)
    {
        var padded = text.Replace('-', '+').Replace('_', '/') + new string('=', (4 - text.Length % 4) % 4);
        var content = Convert.FromBase64String(padded);   // FormatException
        if (content.Length == 0 || Encode(content) != text) throw new FormatException("another spelling");
        return content;
    }
}
