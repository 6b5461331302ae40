// Runs what make interop asks for. An API needs Licence.cs and SeatGuard.cs, and nothing of this file.
//
//     dotnet guard.dll vectors ../../../docs/reference/guard-vectors.json
//     dotnet guard.dll memory FILE
//     dotnet guard.dll serve
using System;
using System.Data.Common;
using System.Diagnostics;

public static class Program
{
    public static int Main(string[] args)
    {
        switch (args[0])
        {
            case "vectors":
                return Vectors.Compare(args[1]);
            case "memory":
                return Memory(args[1]);
            default:
                return Api.Serve();
        }
    }

    // Answers each line of standard input, "seat who iat hold", with what SqlMemory says over a file of SQLite.
    static int Memory(string file)
    {
        // Another driver takes a line without this: () => new SqliteConnection("Data Source=" + file)
        var driver = Type.GetType("Mono.Data.Sqlite.SqliteConnection, Mono.Data.Sqlite", true);
        Func<DbConnection> open = () =>
        {
            var connection = (DbConnection)Activator.CreateInstance(driver, $"Data Source={file};Default Timeout=10");
            connection.Open();
            return connection;
        };
        using (var connection = open())
        using (var command = connection.CreateCommand())
        {
            command.CommandText = SqlMemory.Schema;
            command.ExecuteNonQuery();
        }
        var clock = Stopwatch.StartNew();
        var memory = new SqlMemory(open, () => clock.Elapsed.TotalSeconds);
        for (string line; (line = Console.ReadLine()) != null;)
        {
            var words = line.Split(' ');
            var kept = memory.Take(words[0], words[1], long.Parse(words[2]), long.Parse(words[3]));
            Console.WriteLine(kept == null ? "in" : $"{kept.IssuedAt} {Math.Ceiling(kept.Left)}");
        }
        return 0;
    }
}
