"""What the API tells of itself: discovery and OpenAPI."""
