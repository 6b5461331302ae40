module licet.example/guard

go 1.21
