"""What can be asked of an engine: a request, an answer and a handler, declared once."""
