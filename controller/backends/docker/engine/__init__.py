"""The Docker Engine API: client, thread pools with timeouts, circuit breaker, events."""
