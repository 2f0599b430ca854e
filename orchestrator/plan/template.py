"""Prompts as templates: jinja2 reads the text into a tree, and the few kinds of node that are allowed become closures.

No code is generated and nothing of Python can be reached: a name is looked up in our own namespaces, a filter in our
own table. That leaves no sandbox to escape from, and costs a third of the time and memory of a compiled template.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import cache

from jinja2 import Environment, TemplateSyntaxError, nodes
from jinja2.sandbox import ImmutableSandboxedEnvironment

from orchestrator.plan.naming import (
    LITERAL_HINT,
    NOT_FOR_LOOPS,
    OTHER_EXPRESSION,
    REFUSED_EXPRESSIONS,
    TAG_NAMES,
    BadReferenceError,
    Member,
    Reference,
    Step,
    did_you_mean,
    place_of,
    read_member,
    read_reference,
)
from orchestrator.plan.rendering import (
    COMPARISONS,
    LOOP_FACTS,
    Expression,
    Part,
    Template,
    TemplateProblem,
    all_of,
    choice,
    literal_text,
    loop,
    show,
)
from orchestrator.plan.values import FILTERS, FilterError, Value, bind_filter, member

__all__ = ["Reference", "Template", "TemplateProblem", "compile_template", "read_template"]

_MARKS = [mark for mark in map(chr, range(0x0B, 0x3001)) if mark.isspace() and mark not in "\r "]

_MAX_TAGS = 50_000
"""Tags in one template, read in about 3 s; a result of 10,000 chunks names 10,000."""

_MAX_DEPTH = 40
"""Expressions and blocks inside each other; far more than a prompt needs, far less than the stack holds."""


_NOWHERE = Reference("chunks", "", "", 1)


def compile_template(source: str, *, literal: bool = False) -> Template:
    """The template of `source`; with `literal` one that renders as it stands. Raises the first `TemplateProblem`."""
    template, problems = read_template(source, literal=literal)
    if problems:
        raise problems[0]
    return template


def read_template(source: str, *, literal: bool = False) -> tuple[Template, tuple[TemplateProblem, ...]]:
    """The template and all that is wrong with it, in order. With problems, only its references are of use."""
    as_it_stands = Template(source, (), literal_text(source))
    nul = source.find("\0")
    if nul >= 0:
        line = source.count("\n", 0, nul) + 1
        column = nul - source.rfind("\n", 0, nul)
        return as_it_stands, (TemplateProblem("a NUL character", line=line, column=column, hint="remove it"),)
    tags = source.count("{{") + source.count("{%")
    if literal or not tags:
        return as_it_stands, ()
    mark = _carriage_return_mark(source)
    if not mark or tags > _MAX_TAGS:
        what = f"more than {_MAX_TAGS:,} tags" if mark else "CR beside every other kind of white space"
        return as_it_stands, (TemplateProblem(what, line=1, hint=LITERAL_HINT),)
    reader = _Reader(source, mark)
    try:
        part = reader.block(_environment().parse(source.replace("\r", mark)).body, 0)
    except TemplateSyntaxError as error:
        message = (error.message or "not a template").replace(mark, "").rstrip(".")
        column = place_of(source, error.lineno)
        problem = TemplateProblem(f"bad template: {message}", line=error.lineno, column=column, hint=LITERAL_HINT)
        return as_it_stands, (problem,)
    except RecursionError:
        return as_it_stands, (TemplateProblem("the template is nested too deeply", line=1, hint=LITERAL_HINT),)
    except ValueError:
        # The lexer turns digits into a number, and Python refuses to when there are thousands.
        return as_it_stands, (TemplateProblem("a number with too many digits", line=1, hint=LITERAL_HINT),)
    return Template(source, tuple(reader.references), part, tuple(reader.members)), tuple(reader.problems)


@cache
def _environment() -> Environment:
    # Comment marks cannot be switched off, but these hold a NUL, which no template does.
    return ImmutableSandboxedEnvironment(
        comment_start_string="{\0#", comment_end_string="#\0}", keep_trailing_newline=True, cache_size=0
    )


def _carriage_return_mark(source: str) -> str:
    """A character that stands for CR, which jinja2 would turn into LF: white space to it, and not in `source`.

    The empty text when every one of them is in `source`.
    """
    return next((mark for mark in _MARKS if mark not in source), "") if "\r" in source else "\r"


class _Reader:
    """Turns a tree into closures, and notes references and problems on the way."""

    def __init__(self, source: str, carriage_return: str) -> None:
        self.references: list[Reference] = []
        self.members: list[Member] = []
        self.problems: list[TemplateProblem] = []
        self._source = source
        self._mark = carriage_return
        self._variables: dict[str, Reference | None] = {}

    def _refuse(self, node: nodes.Node, message: str, hint: str = "", *needles: str) -> None:
        # The node of `{% autoescape %}` has no line of its own, only what is in it.
        line = node.lineno or next((each.lineno for each in node.find_all(nodes.Node) if each.lineno), 1)
        column = place_of(self._source, line, *needles)
        self.problems.append(TemplateProblem(message, line=line, column=column, hint=hint))

    def _text(self, text: str) -> str:
        return text.replace(self._mark, "\r")

    def block(self, body: Sequence[nodes.Node], depth: int) -> Part:
        if depth > _MAX_DEPTH:
            raise RecursionError
        return all_of([part for node in body for part in self._statement(node, depth + 1)])

    def _statement(self, node: nodes.Node, depth: int) -> list[Part]:
        if isinstance(node, nodes.Output):
            return [
                literal_text(self._text(each.data))
                if isinstance(each, nodes.TemplateData)
                else show(self._expression(each, depth))
                for each in node.nodes
            ]
        if isinstance(node, nodes.If):
            branches = [
                (self._expression(each.test, depth), self.block(each.body, depth)) for each in (node, *node.elif_)
            ]
            return [choice(branches, self.block(node.else_, depth))]
        if isinstance(node, nodes.For):
            return [self._loop(node, depth)]
        tag = TAG_NAMES.get(type(node).__name__, type(node).__name__.lower())
        self._refuse(node, f"`{{% {tag} %}}` is not available in a template", "there are `if` and `for`", tag)
        return []

    def _loop(self, node: nodes.For, depth: int) -> Part:
        hint = "write {% for each in inputs.NAME %} … {% endfor %}"
        if node.test is not None or node.recursive or not isinstance(node.target, nodes.Name):
            self._refuse(node, "a loop has one variable, and neither a condition nor `recursive`", hint)
            return literal_text("")
        before = len(self.references)
        over = self._reference(node.iter, as_list=True)
        if over is None:
            self._refuse(node, "a loop goes over an input that is a list, or over a group", hint)
            over = _constant("")
        variable = node.target.name
        if variable in NOT_FOR_LOOPS:
            self._refuse(node, f"`{variable}` cannot be the variable of a loop", "choose another name", variable)
        outer, root = self._variables, _chain(node.iter)[0]
        # Answers have parts, texts have none; of a reference that leads nowhere no more is said.
        answers = root is not None and root.name in ("chunks", "parts") and root.name not in outer
        looped = self.references[-1] if len(self.references) > before else _NOWHERE
        self._variables = {**outer, variable: looped if answers else None}
        body = self.block(node.body, depth)
        self._variables = outer
        return loop(variable, over, body, self.block(node.else_, depth))

    def _expression(self, node: nodes.Node, depth: int) -> Expression:
        if depth > _MAX_DEPTH:
            raise RecursionError
        found = self._reference(node)
        if found is not None:
            return found
        if isinstance(node, nodes.Const) and isinstance(node.value, str | int | float):
            return _constant(self._text(node.value) if isinstance(node.value, str) else node.value)
        if isinstance(node, nodes.Filter) and node.node is not None:
            return self._filter(node, node.node, depth + 1)
        if isinstance(node, nodes.Compare):
            return self._comparison(node, depth + 1)
        if isinstance(node, nodes.Not):
            inner = self._expression(node.node, depth + 1)
            return lambda frame: not inner(frame)
        if isinstance(node, nodes.And | nodes.Or):
            left, right = self._expression(node.left, depth + 1), self._expression(node.right, depth + 1)
            if isinstance(node, nodes.And):
                return lambda frame: left(frame) and right(frame)
            return lambda frame: left(frame) or right(frame)
        if isinstance(node, nodes.CondExpr):
            return self._either(node, depth + 1)
        what, hint = REFUSED_EXPRESSIONS.get(type(node).__name__, OTHER_EXPRESSION)
        root, steps = _chain(node.node) if isinstance(node, nodes.Call) else (None, [])
        needles = [".".join([root.name, *map(str, steps)])] if root else []
        self._refuse(node, f"{what} is not available in a template", hint, *needles)
        return _constant("")

    def _either(self, node: nodes.CondExpr, depth: int) -> Expression:
        test, then = self._expression(node.test, depth), self._expression(node.expr1, depth)
        otherwise = self._expression(node.expr2, depth) if node.expr2 is not None else _constant("")
        return lambda frame: then(frame) if test(frame) else otherwise(frame)

    def _reference(self, node: nodes.Node, *, as_list: bool = False) -> Expression | None:
        """The value that a chain such as `chunks.part[3]` stands for; None when `node` is no such chain."""
        root, steps = _chain(node)
        if root is None:
            return None
        if root.name in self._variables or (root.name == "loop" and self._variables):
            return self._variable(node, root.name, steps)
        try:
            reference = read_reference(root.name, steps, line=node.lineno)
        except BadReferenceError as error:
            self._refuse(node, str(error), error.hint, f"{root.name}.{steps[0]}" if steps else root.name, root.name)
            return _constant("")
        self.references.append(replace(reference, as_list=as_list))
        namespace, key = reference.namespace, reference.key
        return lambda frame: frame.look_up(namespace, key)

    def _variable(self, node: nodes.Node, name: str, steps: Sequence[Step]) -> Expression:
        full = ".".join([name, *map(str, steps)])
        if name == "loop" and full not in LOOP_FACTS:
            self._refuse(node, f"`{full}` is not known", f"there are {', '.join(LOOP_FACTS)}", full, name)
        if name == "loop" or not steps:
            return lambda frame: frame.variables[full]
        looped = self._variables[name]
        if looped is None:
            self._refuse(node, f"`{name}` is a text and has no parts", f"write {{{{ {name} }}}}", full, name)
            return _constant("")
        try:
            path = read_member(name, steps, line=node.lineno)
        except BadReferenceError as error:
            self._refuse(node, str(error), error.hint, full, name)
            return _constant("")
        if path[0] == "item" and looped.subscript is None:
            self.members.append(Member(name, path[1], looped.name, node.lineno))
        return lambda frame: member(frame.variables[name], path)

    def _filter(self, node: nodes.Filter, subject: nodes.Node, depth: int) -> Expression:
        before = len(self.references)
        over = self._reference(subject, as_list=True) if node.name == "join" else None
        inner = over or self._expression(subject, depth)
        try:
            given = [_value_of(argument) for argument in node.args]
            named = {str(each.key): _value_of(each.value) for each in node.kwargs}
            if node.dyn_args is not None or node.dyn_kwargs is not None:
                raise FilterError(f"the arguments of `{node.name}` must be constants")
            change = bind_filter(node.name, given, named)
        except FilterError as error:
            self._refuse(node, str(error), "", node.name)
            return inner
        except KeyError:
            near = did_you_mean(node.name, FILTERS) or f"there are {', '.join(FILTERS)}"
            self._refuse(node, f"there is no filter `{node.name}`", near, node.name)
            return inner
        if node.name in ("head", "tail") and len(self.references) == before + 1:
            tokens = [*given, *named.values()][0]
            self.references[-1] = replace(self.references[-1], max_tokens=tokens if isinstance(tokens, int) else None)
        return lambda frame: change(inner(frame))

    def _comparison(self, node: nodes.Compare, depth: int) -> Expression:
        operator, other = node.ops[0].op, node.ops[0].expr
        numbers = _is_number(node.expr), _is_number(other)
        if len(node.ops) > 1:
            self._refuse(node, "a chain of comparisons is not available in a template", "join them with `and`")
        elif operator in ("in", "notin") and any(numbers):
            self._refuse(node, "`in` looks for a text in a text or a list", "put the text in quotes", "in")
        elif operator in ("lt", "lteq", "gt", "gteq") and not all(numbers):
            self._refuse(node, "only numbers are greater or less", "compare `… | length` with a number")
        left, right = self._expression(node.expr, depth), self._expression(other, depth)
        compare = COMPARISONS[operator]
        return lambda frame: compare(left(frame), right(frame))


def _constant(value: Value) -> Expression:
    return lambda _: value


def _value_of(node: nodes.Node) -> object:
    """The value of a constant argument; raises `FilterError` for any other."""
    if isinstance(node, nodes.Neg) and isinstance(node.node, nodes.Const) and isinstance(node.node.value, int):
        return -node.node.value
    if not isinstance(node, nodes.Const):
        raise FilterError("the arguments of a filter must be constants")
    return node.value


def _chain(node: nodes.Node) -> tuple[nodes.Name | None, list[Step]]:
    """The name at the root of attributes and subscripts, and these in order; no name when the root is no name."""
    steps: list[Step] = []
    while not isinstance(node, nodes.Name):
        if isinstance(node, nodes.Getattr):
            steps.append(node.attr)
        elif isinstance(node, nodes.Getitem):
            value: object = node.arg.value if isinstance(node.arg, nodes.Const) else None
            steps.append(value if type(value) in (str, int) else None)  # pyright: ignore[reportArgumentType]
        else:
            return None, []
        node = node.node
    return node, steps[::-1]


def _is_number(node: nodes.Node) -> bool:
    if isinstance(node, nodes.Const):
        return isinstance(node.value, int | float)
    if isinstance(node, nodes.Filter):
        return node.name == "length"
    if not isinstance(node, nodes.Getattr) or not isinstance(node.node, nodes.Name):
        return False
    return node.node.name == "loop" or (node.node.name == "item" and node.attr in ("index", "count"))
