"""The modules whose names are public: what users import and the reference documents.

Whatever stands in no ``__all__`` of these may change with any version.
"""

MODULES = (
    "everact.runtime",
    "everact.runtime.blocking",
    "everact.runtime.control",
    "everact.runtime.converters",
    "everact.runtime.errors",
    "everact.runtime.events",
    "everact.runtime.functions",
    "everact.runtime.interceptors",
    "everact.runtime.runs",
    "everact.runtime.schedules",
    "everact.runtime.search",
    "everact.runtime.settings",
    "everact.runtime.statuses",
    "everact.runtime.testing",
    "everact.runtime.updates",
    "everact.runtime.versions",
    "everact.runtime.workflows",
)
