module surety.example/carrier

go 1.25
