"""The control endpoint: what an engine offers over HTTP, and what guards it."""
