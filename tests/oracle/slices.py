"""Cuts single tests out of the tests that ship with CPython, and adapts them to MicroPython's syntax.

They are read where the running CPython has them (its `test` package) and never stored in this tree. A slice is one test
method with the classes, functions and names it needs. Adapted are: syntax that MicroPython lacks (f-strings with
conversions, unpacking in a list), plain lists that threads share (`shim.SafeList`), attributes that it lacks
(`__traceback__`); decorators and docstrings are left out. What a test asserts is not touched, but for EDITS.
"""

import ast
import importlib.util
from functools import cache
from pathlib import Path
from threading import Lock

PREAMBLE = """
import _thread
from _thread import start_new_thread
import queue
import threading
from threading import TIMEOUT_MAX
from shim import DeprecationWarning, ExceptionGroup, SafeList, mock, os_helper, random, run, support, sys, test
from shim import threading_helper, time, traceback, unittest
TestCase = unittest.TestCase
py_queue = queue
verbose = False
NUMTASKS = 10
thread = _thread
"""

# One assertion each that MicroPython can't meet, and why.
EDITS = {
    ("test_threading", "test_excepthook"): (
        "self.assertIn('  raise ValueError(\"run failed\")', stderr)",
        "its tracebacks show no source lines",
    ),
    ("test_threading", "test_excepthook_thread_None"): (
        "self.assertIn('  raise ValueError(\"bug\")', stderr)",
        "its tracebacks show no source lines",
    ),
}


def folder():
    """Where CPython's tests are, or None: some distributions package them apart."""
    found = importlib.util.find_spec("test")
    for place in (found.submodule_search_locations if found else None) or []:
        if (Path(place) / "lock_tests.py").exists():
            return Path(place)
    return None


_parsing = Lock()


def _parse(text):
    """`ast.parse`, one thread at a time: CPython 3.11 counts the depth of its recursion for all threads together."""
    with _parsing:
        return ast.parse(text)


@cache
def definitions(module):
    """{name: node} of everything at the top of a test module."""
    tree = _parse((folder() / f"{module}.py").read_text(encoding="utf-8"))
    found = {}
    for node in tree.body:
        if isinstance(node, (ast.ClassDef, ast.FunctionDef)):
            found[node.name] = node
        elif isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name):
            found[node.targets[0].id] = node
    return found


def tests_of(module, name):
    """The names of the tests of a class, inherited ones included."""
    node = definitions(module)[name]
    found = [one.name for one in node.body if isinstance(one, ast.FunctionDef) and one.name.startswith("test")]
    for base in node.bases:
        if isinstance(base, ast.Name) and base.id in definitions(module):
            found += [one for one in tests_of(module, base.id) if one not in found]
        elif isinstance(base, ast.Attribute) and base.value.id == "lock_tests":
            found += [one for one in tests_of("lock_tests", base.attr) if one not in found]
    return found


class _Adapter(ast.NodeTransformer):
    def visit_JoinedStr(self, node):
        template, values = "", []
        for part in node.values:
            if isinstance(part, ast.Constant):
                template += part.value.replace("{", "{{").replace("}", "}}")
            else:
                template += "{!r}" if part.conversion == ord("r") else "{}"
                values.append(self.visit(part.value))
        return ast.Call(ast.Attribute(ast.Constant(template), "format", ast.Load()), values, [])

    def visit_List(self, node):
        self.generic_visit(node)
        if not node.elts:
            return ast.Call(ast.Name("SafeList", ast.Load()), [], [])
        starred = [one for one in node.elts if isinstance(one, ast.Starred)]
        if not starred:
            return node
        first = ast.Call(ast.Name("list", ast.Load()), [starred[0].value], [])
        return ast.BinOp(first, ast.Add(), ast.List(node.elts[1:], ast.Load()))

    def visit_Assign(self, node):
        self.generic_visit(node)
        if ast.unparse(node.value) == "inputs.copy()":
            node.value = ast.Call(ast.Name("SafeList", ast.Load()), [ast.Name("inputs", ast.Load())], [])
        return node

    def visit_Attribute(self, node):
        self.generic_visit(node)
        if node.attr == "__traceback__":
            arguments = [node.value, ast.Constant("__traceback__"), ast.Constant(None)]
            return ast.Call(ast.Name("getattr", ast.Load()), arguments, [])
        if node.attr in {"_PySimpleQueue"}:
            node.attr = "SimpleQueue"
        return node

    def visit_FunctionDef(self, node):
        self.generic_visit(node)
        node.decorator_list = []
        node.returns = None
        return without_docstring(node)

    def visit_ClassDef(self, node):
        self.generic_visit(node)
        node.decorator_list = []
        return without_docstring(node)


def without_docstring(node):
    """The node without it, but never without a body."""
    if isinstance(node.body[0], ast.Expr) and isinstance(node.body[0].value, ast.Constant):
        node.body = node.body[1:] or [ast.Pass()]
    return node


def names_in(node):
    """Every name and attribute a node mentions."""
    found = {one.id for one in ast.walk(node) if isinstance(one, ast.Name)}
    return found | {one.attr for one in ast.walk(node) if isinstance(one, ast.Attribute)}


def copy_of(node):
    """A deep copy that may be changed."""
    return _parse(ast.unparse(node)).body[0]


class _Slice:
    def __init__(self, module):
        self.module = module
        self.done = {"TestCase", "unittest", "verbose", "NUMTASKS", "py_queue", "c_queue", "need_c_queue", "Py_DEBUG"}
        self.parts = []

    def add_name(self, name):
        """Add a helper from the top of the module, after what it needs."""
        node = definitions(self.module).get(name)
        if node is None or name in self.done:
            return
        self.done.add(name)
        if isinstance(node, ast.ClassDef):
            self.add_class(node, ())
            return
        for one in sorted(names_in(node)):
            self.add_name(one)
        self.parts.append(copy_of(node))

    def add_class(self, node, wanted, extra=()):
        """Add a class with the tests named in `wanted` (of itself and its bases), after what it needs."""
        self.done.add(node.name)
        original, node = node, copy_of(node)
        needed = set(wanted)
        for method in original.body:
            if isinstance(method, ast.FunctionDef) and (method.name in wanted or not method.name.startswith("test")):
                needed |= {one for one in names_in(method) if one.startswith("test_")}
        node.body = [
            one
            for one in node.body
            if not isinstance(one, ast.FunctionDef) or not one.name.startswith("test") or one.name in needed
        ]
        bases = []
        for base in original.bases:
            if isinstance(base, ast.Attribute) and base.attr == "TestCase":
                continue
            if isinstance(base, ast.Attribute) and base.value.id == "lock_tests":
                inner = _Slice("lock_tests")
                inner.done |= {node.name}
                inner_node = copy_of(definitions("lock_tests")[base.attr])
                inner.add_class(definitions("lock_tests")[base.attr], needed)
                for part in inner.parts:  # the same name on both sides: `class LockTests(lock_tests.LockTests)`
                    if getattr(part, "name", "") == inner_node.name:
                        part.name = f"Base{inner_node.name}"
                self.parts += inner.parts
                bases.append(ast.Name(f"Base{base.attr}", ast.Load()))
                continue
            if isinstance(base, ast.Name) and base.id in definitions(self.module) and base.id not in self.done:
                self.add_class(definitions(self.module)[base.id], needed)
            bases.append(base)
        is_case = any(name.startswith("assert") or name in {"setUp", "fail"} for name in names_in(node))
        if not bases and (is_case or wanted):
            bases = [ast.Name("TestCase", ast.Load())]
        node.bases = bases
        node.body = [*node.body, *extra] or [ast.Pass()]
        for one in sorted(names_in(node)):
            self.add_name(one)
        self.parts.append(node)


def cut(module, name, test, extra=""):
    """The source of one test; `extra` is a line for the class, as `locktype = staticmethod(threading.Lock)`."""
    whole = _Slice(module)
    whole.add_class(definitions(module)[name], {test}, _parse(extra).body)
    tree = _Adapter().visit(ast.Module(whole.parts, []))
    source = ast.unparse(ast.fix_missing_locations(tree))
    if (module, test) in EDITS:
        old, _ = EDITS[module, test]
        assert old in source, f"{module}.{test} has no line {old!r} any more"
        source = source.replace(old, "pass")
    return f"{PREAMBLE}\n{source}\n\nrun({name}, {test!r})\n"
