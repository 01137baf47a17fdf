"""The client: the same verbs on an engine in this process or elsewhere."""
