"""Values and errors on their way into records and back."""
