"""Documents that describe the API: discovery and OpenAPI."""
