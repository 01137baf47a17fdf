"""``python -m everact.runtime`` is the command `everact`."""

from everact.runtime.cli.main import main

if __name__ == "__main__":
    main()
