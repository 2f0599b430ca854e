"""`python -m orchestrator` is `orchestrate`."""

from __future__ import annotations

from orchestrator.cli.start import main

if __name__ == "__main__":
    main()
