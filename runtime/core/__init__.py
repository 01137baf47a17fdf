"""The pure core: records, the state of a run, and the arithmetic between them."""
