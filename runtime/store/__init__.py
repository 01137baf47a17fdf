"""Where runs are kept: the port in `base`, adapters beside it."""
