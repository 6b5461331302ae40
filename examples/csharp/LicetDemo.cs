// A Licet of its own for a test in C#: copy this file into the project of your tests.
using System;
using System.Diagnostics;
using System.IO;
using System.Linq;
using System.Threading.Tasks;

/// <summary>A real server with the set-up of `licet demo`, which is gone with its data when it is disposed.</summary>
public sealed class LicetDemo : IDisposable
{
    readonly string licet, data;
    readonly Process server;

    /// <summary>http://127.0.0.1:PORT/Jim_Test; every secret of its clients is "password".</summary>
    public readonly string TenantUrl;

    /// <param name="licet">The program, if it is not on the path: .venv/bin/licet</param>
    public LicetDemo(string licet = "licet")
    {
        this.licet = licet;
        data = Path.Combine(Path.GetTempPath(), "licet-test-" + Guid.NewGuid());
        server = Start("demo", "--port", "0", "--admin-port", "0", "--data", data);
        for (string line; (line = server.StandardOutput.ReadLine()) != null;)
        {
            if (!line.Trim().StartsWith("URL=")) continue;   // what it greets with
            TenantUrl = line.Trim().Substring("URL=".Length);
            Task.Run(() => server.StandardOutput.ReadToEnd());   // else it would wait for a reader
            return;
        }
        throw new InvalidOperationException("licet demo did not start; its log is on standard error");
    }

    /// <summary>Changes it as an administrator does: Run("pool", "set", "full", "--seats", "1").</summary>
    public string Run(params string[] arguments)
    {
        using (var verb = Start(arguments.Concat(new[] { "--data", data }).ToArray()))
        {
            var printed = verb.StandardOutput.ReadToEnd();
            verb.WaitForExit();
            if (verb.ExitCode != 0) throw new InvalidOperationException("licet " + string.Join(" ", arguments));
            return printed;
        }
    }

    public void Dispose()
    {
        server.Kill();
        server.WaitForExit();
        server.Dispose();
        try { Directory.Delete(data, true); }
        catch (IOException) { }   // on Windows a file may be in use for a moment more
    }

    Process Start(params string[] arguments)
    {
        var start = new ProcessStartInfo(licet) { RedirectStandardOutput = true, UseShellExecute = false };
        foreach (var argument in arguments) start.ArgumentList.Add(argument);
        return Process.Start(start);
    }
}
