"""Processing of objects in requests and answers: admission, patches, managed fields, representations. No storage."""
