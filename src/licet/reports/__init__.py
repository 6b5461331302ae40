"""What an administrator asks: who is in, how full a pool was, how many seats would be enough."""
