"""`init`: a first plan to start from."""

from __future__ import annotations

import json
import shlex
from importlib.resources import files
from pathlib import Path

from orchestrator.cli.printing import print_lines
from orchestrator.errors import UsageError


def write_example(name: str) -> None:
    """Write the example plan to `<name>.yaml`. Raises `UsageError` when the file exists or cannot be made."""
    path = Path(name if name.endswith((".yaml", ".yml")) else f"{name}.yaml")
    text = files("orchestrator.cli").joinpath("example_plan.yaml").read_text(encoding="utf-8")
    try:
        with path.open("x", encoding="utf-8") as file:
            # Quoted as JSON, which is YAML: any file name will do.
            file.write(text.replace("{name}", json.dumps(path.stem)).replace("{output}", json.dumps(f"{path.stem}.md")))
    except FileExistsError:
        raise UsageError(f"{path} exists; choose another name: `orchestrate init NAME`") from None
    except OSError as error:
        raise UsageError(f"{path} cannot be written: {error.strerror}") from None
    shown = shlex.quote(str(path))
    print_lines(
        [
            f"Wrote {path}. Next:",
            f"  orchestrate check {shown}                 what it would do and cost",
            f"  orchestrate {shown} --runner simulated    try it offline; nothing is paid",
            f"  orchestrate {shown}                       run it",
        ]
    )
