# Copies the store of Licet into a file for each day, and keeps those of a fortnight.
$licet = "C:\Program Files\Licet\Scripts\licet.exe"
$folder = "C:\ProgramData\Licet-backup"

$file = Join-Path $folder ("licet-{0:yyyy-MM-dd}.backup" -f (Get-Date))
& $licet backup --overwrite $file --data "C:\ProgramData\Licet"
if ($LASTEXITCODE -ne 0) { exit $LASTEXITCODE }

# Only after a copy that is whole.
Get-ChildItem $folder -Filter "licet-*.backup" |
    Where-Object { $_.LastWriteTime -lt (Get-Date).AddDays(-14) } |
    Remove-Item
