"""Plans that are refused before anything starts: each is a text, and words of the reason."""

from __future__ import annotations


def _with(settings: str, *, prompt: str = "TASK") -> str:
    """A plan of one good chunk beside these settings."""
    return f"{settings}\nchunks:\n  - {{id: a, prompt: {prompt}}}\n"


def _prompt(text: str) -> str:
    """A plan whose one prompt is this template."""
    indented = text.replace("\n", "\n      ")
    return f"inputs: {{x: {{text: hello}}}}\nchunks:\n  - id: a\n    prompt: |\n      TASK {indented}\n"


def _chunk(settings: str) -> str:
    return f"chunks:\n  - {{id: a, prompt: TASK, {settings}}}\n"


def _input(value: str) -> str:
    return f"inputs:\n  x: {value}\nchunks:\n  - {{id: a, prompt: 'TASK {{{{ inputs.x }}}}'}}\n"


def _billion() -> str:
    """Nine lists of nine aliases each, and so on: a billion values in half a kilobyte."""
    lines = ["a: &a [x]"]
    for below, name in zip("abcdefgh", "bcdefghi", strict=True):
        lines.append(f"{name}: &{name} [{','.join([f'*{below}'] * 9)}]")
    return "\n".join(lines)


REFUSED: dict[str, tuple[str | bytes, str]] = {
    # YAML
    "yaml: a billion laughs": (_billion(), "an anchor"),
    "yaml: an alias": (_with("name: &n x\nrequest: *n"), "an anchor"),
    "yaml: a merge key": (_with("x: &x {a: 1}\ny: {<<: *x}"), "an anchor"),
    "yaml: 5,000 brackets": (_with("inputs: " + "[" * 5_000), "more than 32 levels"),
    "yaml: 30,000 brackets": ("[" * 30_000, "more than 32 levels"),
    "yaml: 10,000 levels of mappings": ("{a: " * 10_000, "more than 32 levels"),
    "yaml: a Python object": (_with('name: !!python/object/apply:os.system ["touch marks"]'), "a tag"),
    "yaml: a tag of its own": (_with("name: !run touch"), "a tag"),
    "yaml: binary": (_with("name: !!binary aGVsbG8="), "a tag"),
    "yaml: two documents": (_with("name: x") + "---\nchunks: []\n", "second document"),
    "yaml: a key twice": (_with("name: x\nname: y"), "twice"),
    "yaml: bytes that are no text": (b"name: \xff\xfe\nchunks: []\n", "UTF-8"),
    "yaml: a NUL": (_with('name: "a\\0b"'), "NUL"),
    "yaml: half a character": (_with('request: "\\ud800"'), "not YAML"),
    "yaml: 5 MB": ("# " + "x" * 5_000_000 + "\n" + _with("name: x"), "MB"),
    "yaml: a million values": ("inputs: {x: [" + "a," * 1_000_000 + "a]}\n", "too many values"),
    "yaml: nothing but a text": ("TASK\n", "a plan is a mapping"),
    # Files
    "input: an absolute path": (_input("{file: /etc/passwd}"), "not relative"),
    "input: an absolute path in short": (_input("/etc/passwd"), "not relative"),
    "input: the parent": (_input("../outside/secret.txt"), "leads out"),
    "input: a detour": (_input("deep/../../outside/secret.txt"), "leads out"),
    "input: the home folder": (_input("~/.ssh/id_rsa"), "not relative"),
    "input: a link": (_input("link.txt"), "leads out"),
    "input: through a link": (_input("linked/secret.txt"), "leads out"),
    "input: a device": (_input("/dev/zero"), "not relative"),
    "input: a link to a device": (_input("zero"), "leads out"),
    "input: a pipe": (_input("pipe"), "a pipe"),
    "input: a folder": (_input("deep"), "a folder"),
    "input: the environment": (_input("/proc/self/environ"), "not relative"),
    "input: a path with a NUL": (_input('"a\\0b"'), "NUL"),
    "input: a very long path": (_input("x" * 6_000), "cannot be read"),
    "files: the parent": (_input('{files: "../outside/**"}'), "leads out"),
    "files: an absolute pattern": (_input('{files: "/etc/*"}'), "not relative"),
    "files: through a link": (_input('{files: "linked/**"}'), "leads out"),
    "files: a pattern that finds a link": (_input('{files: "*.txt"}'), "leads out"),
    "files: what is ignored": (_input('{files: "ignored.txt"}'), ".gitignore"),
    "rows: outside": (_input("{rows: ../outside/rows.csv}"), "leads out"),
    "prompt: a file outside": ("chunks: [{id: a, prompt: {file: ../outside/secret.txt}}]", "leads out"),
    "context: a file outside": (_with("context: {file: /etc/passwd}"), "not relative"),
    "template: a file outside": (_with("stitch: {template: ../outside/template.jinja}"), "leads out"),
    "rubric: a file outside": (_with("review: {rubric: {file: ../outside/secret.txt}}"), "leads out"),
    # Where results go
    "output: the parent": (_with("stitch: {output: ../outside/new.md}"), "leads out"),
    "output: keys": (_with("stitch: {output: ~/.ssh/authorized_keys}"), "not relative"),
    "output: an absolute path": (_with("stitch: {output: /etc/cron.d/x}"), "not relative"),
    "output: a link": (_with("stitch: {output: link.txt}"), "leads out"),
    "output: through a link": (_with("stitch: {output: linked/new.md}"), "leads out"),
    "output: a pipe": (_with("stitch: {output: pipe}"), "not a file"),
    "output: a folder": (_with("stitch: {output: deep}"), "not a file"),
    "results: the parent": (
        'inputs: {x: {files: "*.txt"}}\nchunks: [{id: a, for_each: {input: x}, prompt: "TASK {{ item.text }}"}]\n'
        'stitch: {files: "../outside/{{ item.source }}"}\n',
        "leads out",
    ),
    # Tools
    "tools: Bash": (_chunk("tools: [Bash]"), "one of Read, Grep, Glob"),
    "tools: those that write": (_chunk("tools: [Write, Edit]"), "one of Read, Grep, Glob"),
    "tools: the network": (_chunk("tools: [WebFetch]"), "one of Read, Grep, Glob"),
    "tools: sub-agents": (_chunk("tools: [Task]"), "one of Read, Grep, Glob"),
    "tools: all": (_chunk('tools: ["*"]'), "one of Read, Grep, Glob"),
    "tools: a rule": (_chunk('tools: ["Read(//**)"]'), "one of Read, Grep, Glob"),
    "tools: a flag": (_chunk('tools: ["Read --dangerously-skip-permissions"]'), "one of Read, Grep, Glob"),
    "workdir: everything": (_chunk("tools: [Read], workdir: /"), "not relative"),
    "workdir: the parent": (_chunk("tools: [Read], workdir: .."), "leads out"),
    "workdir: a link": (_chunk("tools: [Read], workdir: linked"), "leads out"),
    "workdir: the home folder": (_chunk("tools: [Read], workdir: ~/.ssh"), "not relative"),
    "workdir: a pipe": (_chunk("tools: [Read], workdir: pipe"), "no folder"),
    "memory: of a link": (_chunk("project_memory: true, workdir: linked"), "leads out"),
    # Names and values
    "id: __proto__": ("chunks: [{id: __proto__, prompt: TASK}]", "must be a name"),
    "id: a path": ("chunks: [{id: ../../x, prompt: TASK}]", "must be a name"),
    "id: control characters": ('chunks: [{id: "a\\e[2J", prompt: TASK}]', "must be a name"),
    "id: text that runs backwards": ('chunks: [{id: "a\\u202Eb", prompt: TASK}]', "must be a name"),
    "id: a very long one": (f"chunks: [{{id: {'a' * 10_000}, prompt: TASK}}]", "must be a name"),
    "name: a path": (_with("name: ../../etc/x"), "`name`"),
    "name: control characters": (_with('name: "x\\e]52;c;eA==\\a"'), "`name`"),
    "model: a flag": (_with("model: --dangerously-skip-permissions"), "the name of a model"),
    "model: a command": (_with("fallback_model: $(touch x)"), "the name of a model"),
    "effort: a command": (_with("effort: '; touch x'"), "one of low"),
    "number: huge": (_with("limits: {max_concurrency: 99999999999999999999999999}"), "max_concurrency"),
    "number: 50,000 digits": (_with("max_attempts: " + "9" * 50_000), "max_attempts"),
    "number: no end": (_with("timeout_s: .inf"), "timeout_s"),
    "number: not a number": (_with("limits: {max_cost_usd: .nan}"), "max_cost_usd"),
    "keys: hooks": (_with("hooks: {Stop: [touch x]}"), "unknown key"),
    "keys: the environment": (_with("env: {LD_PRELOAD: x.so}"), "unknown key"),
    "keys: servers": (_with("mcp_servers: {x: {command: touch}}"), "unknown key"),
    "chunks: a circle": (
        'chunks: [{id: a, prompt: "{{ chunks.b }}"}, {id: b, prompt: "{{ chunks.a }}"}]', "need each other",
    ),
    "regex: no expression": (
        "inputs: {x: good.txt}\nchunks: [{id: a, for_each: {input: x, split: regex, pattern: '(', max_tokens: 9}, "
        "prompt: 'TASK {{ item.text }}'}]", "no regular expression",
    ),
    # Templates
    "template: classes": (_prompt("{{ ''.__class__.__mro__ }}"), "not available"),
    "template: classes of inputs": (_prompt("{{ inputs.__class__ }}"), "there is no input"),
    "template: globals": (_prompt("{{ cycler.__init__.__globals__.os.popen('touch x') }}"), "a call is not available"),
    "template: more globals": (_prompt("{{ lipsum.__globals__['os'].system('touch x') }}"), "a call is not available"),
    "template: itself": (_prompt("{{ self._TemplateReference__context }}"), "`self` is not known"),
    "template: attributes": (_prompt("{{ inputs.x | attr('__class__') }}"), "there is no filter"),
    "template: format": (_prompt("{{ '%s' | format(inputs.x) }}"), "must be constants"),
    "template: a call": (_prompt("{{ inputs.x.upper() }}"), "a call is not available"),
    "template: include": (_prompt("{% include '/etc/passwd' %}"), "not available"),
    "template: import": (_prompt("{% import '/etc/passwd' as x %}"), "not available"),
    "template: extends": (_prompt("{% extends '../outside/template.jinja' %}"), "not available"),
    "template: a long loop": (_prompt("{% for i in range(999999999) %}x{% endfor %}"), "a loop goes over an input"),
    "template: a long text": (_prompt("{{ 'a' * 999999999 }}"), "not available"),
    "template: macro": (_prompt("{% macro m() %}{{ m() }}{% endmacro %}{{ m() }}"), "not available"),
    "template: a thousand levels": (_prompt("{% if name %}" * 1_000), "nested too deeply"),
}  # fmt: skip
