// Counts the seats of a licence at the API as docs/reference/guard-protocol.md says, steps 4 to 6.
using System;
using System.Collections.Generic;
using System.Data.Common;
using System.Globalization;
using System.Linq;
using System.Text;
using System.Text.Json;

/// <summary>What a request gets. Scopes are those that the handler sees.</summary>
public sealed class Answer
{
    public int Status;
    public string Error, Reason;   // Reason: of licence_refused
    public long RetryAfter;   // of 503, in seconds
    public string[] Scopes = new string[0];

    /// <summary>The header WWW-Authenticate (RFC 6750 3); null if there is none.</summary>
    public string Challenge
    {
        get
        {
            if (Status == 200 || Status == 503 || Error == "licence_refused") return null;
            return "Bearer realm=\"api\"" + (Error == null ? "" : $", error=\"{Error}\"");
        }
    }

    /// <summary>The JSON of a refusal.</summary>
    public string Body
    {
        get
        {
            var reason = Reason == null ? "" : $", \"reason\": \"{Reason}\"";
            return $"{{\"error\": \"{Error ?? "invalid_request"}\"{reason}}}";
        }
    }
}

/// <summary>Who stands in the way: the newest iat of the seat, and how long its holder must be silent still.</summary>
public sealed class Kept
{
    public long IssuedAt;
    public double Left;
}

public interface ISeatMemory
{
    /// <summary>Lets the holder in and keeps that: null; or what stands in its way. Throws: it is 503.</summary>
    Kept Take(string seat, string who, long issuedAt, long hold);
}

/// <summary>Decides about one request.</summary>
public sealed class SeatGuard
{
    const long Clocks = 300;   // seconds by which clocks may differ
    internal static readonly Answer NoToken = new Answer { Status = 401, Error = "invalid_token" };
    readonly Place place;
    readonly ISeatMemory memory;

    public SeatGuard(Place place, ISeatMemory memory)
    {
        this.place = place;
        this.memory = memory;
    }

    /// <summary>The licences that were fetched last; null before there are any.</summary>
    public volatile Coverage Coverage;

    /// <summary>Whether a method only reads (RFC 9110 9.2.1). A header that overrides it makes it another.</summary>
    public static bool IsSafe(string method)
    {
        return method == "GET" || method == "HEAD" || method == "OPTIONS";
    }

    /// <summary>Whether a request needs a seat.</summary>
    public bool NeedsSeat(string method, IEnumerable<string> needs)
    {
        return !IsSafe(method) || !place.ReadOnlyScopes.IsSupersetOf(needs);
    }

    /// <summary>Steps 4 to 6, for a token that is active and has the needed scopes. now: seconds since 1970.</summary>
    public Answer Check(JsonElement claims, string method, string[] needs, long now)
    {
        var coverage = Coverage;
        var pool = Text(claims, "pool");
        string reason = null;
        var terms = coverage?.Signed(pool, now, out reason);
        var isSeat =
            ReadSeat(claims, out var number, out var countedFor, out var who, out var issuedAt, out var expiresAt);
        var has = (Text(claims, "scope") ?? "").Split(new[] { ' ' }, StringSplitOptions.RemoveEmptyEntries);
        var isSigned = isSeat && terms != null;
        var scopes = has.Where(
            it => place.ReadOnlyScopes.Contains(it) || (isSigned && terms.Scopes.Contains(it))).ToArray();
        var passes = new Answer { Status = 200, Scopes = scopes };
        if (!NeedsSeat(method, needs)) return passes;
        if (!isSeat) return NoToken;
        if (coverage == null || issuedAt - now > Clocks || now - expiresAt > Clocks) return Later(2);
        if (terms == null) return Refused(reason);
        if (now - issuedAt - terms.AccessTtlMax > Clocks) return NoToken;
        if (needs.Except(scopes).Any() || place.ReadOnlyScopes.IsSupersetOf(scopes)) return Refused("wrong_pool");
        if (!terms.Duplicates.Contains(countedFor)) return Refused("counted_otherwise");
        if (number < 1 || number > terms.Seats) return Refused("beyond_licence");
        var seat = $"{place.Product}/{place.Tenant}/{pool}/{number.ToString(CultureInfo.InvariantCulture)}";
        var kept = memory.Take(seat, who, issuedAt, terms.Hold);
        if (kept == null) return passes;
        return issuedAt < kept.IssuedAt ? NoToken : Later(Math.Max(1, (long)Math.Ceiling(kept.Left)));
    }

    /// <summary>Who has a seat, without a name in it; null if that is unknown.</summary>
    public static string WhoHas(string countedFor, string client, string user)
    {
        var names = countedFor == "user" ? new[] { user } : new[] { client, user };
        if (names[0] == null) return null;
        var written = names.Where(it => it != null).Select(it => $"{Encoding.UTF8.GetByteCount(it)}:{it},");
        return Base64Url.Encode(Place.Sha256(countedFor + ":" + string.Concat(written)));
    }

    static bool ReadSeat(
        JsonElement claims, out long number, out string countedFor, out string who, out long issuedAt,
        out long expiresAt)
    {
        number = issuedAt = expiresAt = 0;
        countedFor = who = null;
        if (!claims.TryGetProperty("seat", out var seat) || seat.ValueKind != JsonValueKind.Object) return false;
        countedFor = Text(seat, "counted_for");
        if (countedFor != null) who = WhoHas(countedFor, Text(claims, "client_id"), Text(claims, "username"));
        return Whole(seat, "number", out number) && who != null && Whole(claims, "iat", out issuedAt)
            && Whole(claims, "exp", out expiresAt);
    }

    internal static string Text(JsonElement of, string name)
    {
        var isText = of.TryGetProperty(name, out var found) && found.ValueKind == JsonValueKind.String;
        return isText ? found.GetString() : null;
    }

    // 7, and neither 7.0 nor true. What no long has is beyond any number that is signed.
    static bool Whole(JsonElement of, string name, out long found)
    {
        found = 0;
        if (!of.TryGetProperty(name, out var value) || value.ValueKind != JsonValueKind.Number) return false;
        var written = value.GetRawText();
        var isLong = long.TryParse(written, NumberStyles.AllowLeadingSign, CultureInfo.InvariantCulture, out found);
        if (!isLong) found = long.MaxValue / 2;
        return isLong || written.All(it => it == '-' || (it >= '0' && it <= '9'));
    }

    static Answer Refused(string reason)
    {
        return new Answer { Status = 403, Error = "licence_refused", Reason = reason };
    }

    internal static Answer Later(long seconds)
    {
        return new Answer { Status = 503, Error = "temporarily_unavailable", RetryAfter = seconds };
    }
}

/// <summary>A dictionary, for an API that is one process. seconds: a clock that only goes forward.</summary>
public sealed class OneProcess : ISeatMemory
{
    sealed class Holder
    {
        public string Who;
        public long IssuedAt;
        public double Seen;
    }

    readonly Dictionary<string, Holder> holders = new Dictionary<string, Holder>();
    readonly Func<double> seconds;

    public OneProcess(Func<double> seconds)
    {
        this.seconds = seconds;
    }

    public Kept Take(string seat, string who, long issuedAt, long hold)
    {
        lock (holders)
        {
            var kept = InTheWay(seat, who, issuedAt, hold);
            if (kept == null) Keep(seat, who, issuedAt);
            return kept;
        }
    }

    internal Kept InTheWay(string seat, string who, long issuedAt, long hold)
    {
        lock (holders)
        {
            if (!holders.TryGetValue(seat, out var before)) return null;
            var left = before.Seen + hold - seconds();
            var passes = before.Who == who || issuedAt >= before.IssuedAt + hold || left <= 0;
            return passes ? null : new Kept { IssuedAt = before.IssuedAt, Left = left };
        }
    }

    internal void Keep(string seat, string who, long issuedAt)
    {
        lock (holders)
        {
            // It never falls, or two holders could alternate by old tokens.
            if (holders.TryGetValue(seat, out var before)) issuedAt = Math.Max(issuedAt, before.IssuedAt);
            holders[seat] = new Holder { Who = who, IssuedAt = issuedAt, Seen = seconds() };
        }
    }
}

/// <summary>A table of the API's own database, for all its processes, behind a dictionary of this one.</summary>
/// <remarks>As written for SQLite 3.35 or newer. PostgreSQL: greatest() for max(), and for Now
/// CAST(extract(epoch FROM clock_timestamp()) * 1000 AS bigint). A holder is asked about at each request here; what the
/// table has let in may be taken from the dictionary for 5 seconds, or a twelfth of hold if that is shorter.</remarks>
public sealed class SqlMemory : ISeatMemory
{
    public const string Schema =
        "CREATE TABLE IF NOT EXISTS licet_seat"
        + " (seat TEXT PRIMARY KEY, who TEXT NOT NULL, iat BIGINT NOT NULL, seen BIGINT NOT NULL)";
    const string Now = "CAST(round((julianday('now') - 2440587.5) * 86400000) AS INTEGER)";
    const string TakeSeat =
        "INSERT INTO licet_seat (seat, who, iat, seen) VALUES (@seat, @who, @iat, " + Now + ")"
        + " ON CONFLICT (seat) DO UPDATE"
        + " SET who = excluded.who, iat = max(licet_seat.iat, excluded.iat), seen = " + Now
        + " WHERE licet_seat.who = excluded.who OR excluded.iat >= licet_seat.iat + @hold"
        + " OR licet_seat.seen NOT BETWEEN " + Now + " - 1000 * @hold + 1 AND " + Now
        + " RETURNING iat";
    const string Look = "SELECT iat, seen + 1000 * @hold - " + Now + " FROM licet_seat WHERE seat = @seat";

    readonly object[] locks = Enumerable.Range(0, 16).Select(it => new object()).ToArray();
    readonly OneProcess before;
    readonly Func<DbConnection> open;   // from a pool, as ADO.NET's drivers do

    public SqlMemory(Func<DbConnection> open, Func<double> seconds)
    {
        this.open = open;
        before = new OneProcess(seconds);
    }

    public Kept Take(string seat, string who, long issuedAt, long hold)
    {
        lock (locks[(seat.GetHashCode() & int.MaxValue) % locks.Length])   // the dictionary learns of a seat in order
        {
            var kept = before.InTheWay(seat, who, issuedAt, hold);
            if (kept != null) return kept;
            using (var connection = open())
            {
                var newest = Ask(connection, TakeSeat, seat, who, issuedAt, hold, out _);
                if (newest == null)
                {
                    newest = Ask(connection, Look, seat, who, issuedAt, hold, out var left);
                    return new Kept { IssuedAt = newest ?? issuedAt, Left = newest == null ? 1 : left / 1000.0 };
                }
                before.Keep(seat, who, newest.Value);
                return null;
            }
        }
    }

    static long? Ask(
        DbConnection connection, string statement, string seat, string who, long issuedAt, long hold, out long left)
    {
        left = 0;
        using (var command = connection.CreateCommand())
        {
            command.CommandText = statement;
            var values = new Dictionary<string, object>
                { { "@seat", seat }, { "@who", who }, { "@iat", issuedAt }, { "@hold", hold } };
            foreach (var value in values)
            {
                var parameter = command.CreateParameter();
                parameter.ParameterName = value.Key;
                parameter.Value = value.Value;
                command.Parameters.Add(parameter);
            }
            using (var row = command.ExecuteReader())
            {
                if (!row.Read()) return null;
                if (row.FieldCount > 1) left = row.GetInt64(1);
                return row.GetInt64(0);
            }
        }
    }
}
