"""The dashboard in a real browser. A package: its fixtures end with this folder."""
