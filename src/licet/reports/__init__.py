"""Reports show administrators who holds seats, how full a pool was, and how many seats would be enough."""
