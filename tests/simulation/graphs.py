"""Random plans: chunks that refer to each other in every way a plan allows, up to 50 of them."""

from __future__ import annotations

import random
from typing import Any

MAX_CHUNKS = 50

WORDS = ("amber", "birch", "cedar", "dune", "ember", "fjord", "grove", "heath", "inlet", "knoll")


def random_plan(chance: random.Random) -> dict[str, Any]:
    """A plan as a dict. Its ids tell what its chunks answer: `list…` a list, all others a line."""
    return _Builder(chance).build()


class _Builder:
    def __init__(self, chance: random.Random) -> None:
        self.chance = chance
        self.chunks: list[dict[str, Any]] = []
        self.singles: list[str] = []
        self.groups: list[str] = []
        self.lists: list[str] = []
        # Small graphs are more frequent: most defects need few chunks, and a hundred small ones cost as much as ten
        # large ones.
        self.left = 1 + int(MAX_CHUNKS * chance.random() ** 4)
        self.shape = chance.choice(["loose", "chain", "layers", "wide", "dense"])

    def build(self) -> dict[str, Any]:
        chance = self.chance
        while self.left > 0:
            self.add(f"{chance.choice(WORDS)}{len(self.chunks)}")
        plan: dict[str, Any] = {"name": "simulated", "chunks": self.chunks}
        plan["inputs"] = {"word": {"text": "moss"}}
        if chance.random() < 0.15:
            plan["mode"] = "sequence"
        if chance.random() < 0.3:
            plan["max_attempts"] = chance.randint(1, 5)
        plan["timeout_s"] = chance.choice([30, 120, 600])
        return plan

    def add(self, name: str) -> None:
        chance, roll = self.chance, self.chance.random()
        if roll < 0.08 and self.left > 3:
            self.add_group(name, {"for_each": [f"{word} {'text ' * 30}" for word in WORDS[: chance.randint(1, 6)]]})
        elif roll < 0.13 and self.lists and self.left > 5:
            self.add_group(name, {"for_each": {"chunk": chance.choice(self.lists)}}, size=5)
        elif roll < 0.17 and self.groups and self.left > 5:
            self.add_group(name, {"for_each": {"chunk": chance.choice(self.groups)}}, size=5)
        elif roll < 0.22 and self.groups and self.left > 3:
            over, tokens = chance.choice(self.groups), chance.choice([250, 500, 8000])
            self.put(
                {"id": name, "reduce": {"chunk": over, "max_tokens": tokens}, "prompt": f"{name}: {{{{ parts }}}}"}
            )
            self.singles.append(name)
            self.left -= 2
        elif roll < 0.28:
            self.single(f"list{name}")
            self.lists.append(f"list{name}")
        elif roll < 0.32:
            # Prompts that are equal only when rendered share one answer.
            self.put({"id": name, "prompt": chance.choice(["Say {{ inputs.word }}", "Say moss"])})
            self.singles.append(name)
            self.left -= 1
        else:
            self.single(name)

    def single(self, name: str) -> None:
        references = self.references()
        prompt = f"Write {name}" + "".join(f"\n{{{{ chunks.{each} }}}}" for each in references)
        chunk: dict[str, Any] = {"id": name, "prompt": prompt}
        others = [each for each in (*self.singles, *self.groups) if each not in references]
        if others and self.chance.random() < 0.1:
            chunk["depends_on"] = [self.chance.choice(others)]
        self.put(chunk)
        self.singles.append(name)
        self.left -= 1

    def add_group(self, name: str, over: dict[str, Any], size: int = 0) -> None:
        references = self.references()[:1] if self.chance.random() < 0.4 else []
        prompt = f"{name} of {{{{ item.text }}}}" + "".join(f"\n{{{{ chunks.{each} }}}}" for each in references)
        over_chunk = over["for_each"]["chunk"] if isinstance(over["for_each"], dict) else ""
        if over_chunk in references:
            prompt = f"{name} of {{{{ item.text }}}}"
        self.put({"id": name, "prompt": prompt, **over})
        self.groups.append(name)
        self.left -= size or len(over["for_each"])

    def put(self, chunk: dict[str, Any]) -> None:
        chance = self.chance
        if chance.random() < 0.15 and ("{{ chunks." in chunk["prompt"] or "depends_on" in chunk):
            chunk["on_missing"] = chance.choice(["gap", "skip"])
        if chance.random() < 0.05:
            chunk["reuse"] = chance.choice(["never", "24h"])
        if chance.random() < 0.1:
            chunk["max_attempts"] = chance.randint(1, 4)
        self.chunks.append(chunk)

    def references(self) -> list[str]:
        chance, known = self.chance, [*self.singles, *self.groups]
        if not known:
            return []
        match self.shape:
            case "chain":
                return known[-1:]
            case "layers":
                known = known[-5:]
                return chance.sample(known, min(len(known), chance.randint(1, 2)))
            case "wide":
                return chance.sample(known, 1) if chance.random() < 0.15 else []
            case "dense":
                return chance.sample(known, min(len(known), chance.randint(1, 5)))
            case _:
                return chance.sample(known, min(len(known), chance.choice([0, 0, 1, 1, 2, 3])))
