"""Every public name of ThingFlow 2.3 is there, or its absence is in the table of docs/migration.md."""

import ast
import importlib.util
import inspect
import os
import re
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PAGE = ROOT / "docs" / "migration.md"


def installed():
    """The folder of ThingFlow, without importing what imports a bus or a broker."""
    spec = importlib.util.find_spec("thingflow")
    if spec is None or not spec.submodule_search_locations:
        if os.environ.get("CI") == "true":
            pytest.fail("CI needs the oracle: thingflow is in the extra `dev`")
        pytest.skip("the oracle: pip install 'bourn[dev]'")
    return Path(next(iter(spec.submodule_search_locations)))


def parse(path):
    """The syntax tree; what was Python 3.4 (`asyncio.async`) is mended."""
    return ast.parse(path.read_text(encoding="utf-8").replace("asyncio.async(", "asyncio.ensure_future("))


def public_names(folder):
    """{"filters.map": {"map", "select"}, ...}: what each module defines, and `Class.method` for its classes."""
    found = {}
    for path in sorted(folder.rglob("*.py")):
        module = ".".join(path.relative_to(folder).with_suffix("").parts)
        if module.endswith("__init__") or module.startswith("internal"):
            continue
        names = found[module] = set()
        for node in parse(path).body:
            if isinstance(node, ast.FunctionDef):
                names.add(node.name)
                aliases = [kw.value for d in node.decorator_list if isinstance(d, ast.Call) for kw in d.keywords]
                names |= {alias.value for alias in aliases if isinstance(alias, ast.Constant)}
            elif isinstance(node, ast.ClassDef):
                names.add(node.name)
                methods = [one.name for one in node.body if isinstance(one, ast.FunctionDef)]
                names |= {f"{node.name}.{name}" for name in methods if not name.startswith("_")}
            elif isinstance(node, ast.Assign):
                names |= {target.id for target in node.targets if isinstance(target, ast.Name)}
        found[module] = {name for name in names if not name.startswith("_")}
    return found


def absent():
    """What the page says is not there: the code in the first column of its table "Not there"."""
    section = PAGE.read_text(encoding="utf-8").split("## Not there", 1)[1].split("\n## ")[0]
    return {
        name for row in re.findall(r"^\|([^|]+)\|", section, re.MULTILINE) for name in re.findall(r"`([^`]+)`", row)
    }


def has(module, name):
    """Whether `bourn.thingflow` has this name."""
    thing = module
    for part in name.split("."):
        if not hasattr(thing, part):
            # A port's methods may be made for the instance.
            return inspect.isclass(thing) and part.startswith("on_") and "." in name
        thing = getattr(thing, part)
    return True


def test_every_public_name_is_there_or_in_the_table():
    names, table = public_names(installed()), absent()
    assert sum(map(len, names.values())) > 200, "the inventory has lost most of ThingFlow"
    missing = []
    for module, wanted in names.items():
        if module in table:
            continue
        try:
            ours = importlib.import_module(f"bourn.thingflow.{module}")
        except ModuleNotFoundError:
            missing.append(f"the module {module}")
            continue
        missing += [
            f"{module}.{name}"
            for name in sorted(wanted)
            if not has(ours, name) and not {f"{module}.{name}", f"{module}.{name.split('.')[0]}"} & table
        ]
    assert not missing, "add it, or a row to the table in docs/migration.md"


def test_the_table_names_only_what_is_not_there():
    names = public_names(installed())
    for entry in absent():
        module, _, name = entry.rpartition(".")
        while module and module not in names:
            module, _, rest = module.rpartition(".")
            name = f"{rest}.{name}"
        if entry in names:
            assert importlib.util.find_spec("bourn.thingflow") is not None
            assert not (ROOT / "src/bourn/thingflow" / f"{entry.replace('.', '/')}.py").exists(), entry
        else:
            assert name in names[module], f"ThingFlow has no {entry}"
            assert not has(importlib.import_module(f"bourn.thingflow.{module}"), name), f"{entry} is there"


def test_constructors_take_the_same_arguments():
    installed()
    import thingflow.base as theirs

    import bourn.thingflow.base as ours

    for name, thing in vars(theirs).items():
        if inspect.isclass(thing) and thing.__module__ == "thingflow.base" and not name.startswith("_"):
            for method in ["__init__", *(m for m in vars(thing) if not m.startswith("_"))]:
                wanted = getattr(thing, method, None)
                if inspect.isfunction(wanted):
                    assert parameters(getattr(getattr(ours, name), method)) == parameters(wanted), f"{name}.{method}"


# Of AntEvents, `print_downstream` and `pp_subscribers` too, are methods of every OutputThing here.
RENAMED = {"l": "i", "publisher": "output_thing", "subscriber_sequence": "input_thing_sequence"}


def test_every_name_of_antevents_is_there_with_the_same_arguments():
    installed()
    import antevents.base as theirs

    import bourn.thingflow.antevents as ours

    checked, different = 0, []
    for name, thing in vars(theirs).items():
        if name.startswith("_") or getattr(thing, "__module__", None) != "antevents.base":
            continue
        assert hasattr(ours, name), name
        checked += 1
        members = [name] if inspect.isfunction(thing) else ["__init__", *(m for m in vars(thing) if m[0] != "_")]
        for member in members:
            one = thing if member == name else getattr(thing, member)
            other = getattr(ours, name) if member == name else getattr(getattr(ours, name), member)
            if inspect.isfunction(one):
                # ThingFlow has renamed arguments; by position they are the same.
                wanted = [(RENAMED.get(n, n), kind, default) for n, kind, default in parameters(one)]
                if parameters(other) != wanted:
                    different.append((f"{name}.{member}", parameters(other), wanted))
    assert not different
    assert checked > 20


def test_every_filter_of_antevents_is_there():
    installed()
    import antevents

    folder = Path(antevents.__file__).parent / "linq"
    for module, names in public_names(folder).items():
        ours = importlib.import_module(f"bourn.thingflow.filters.{module}")
        missing = [name for name in names if not has(ours, name) and not name.startswith("timeout_publisher")]
        assert not missing, (module, missing)


def parameters(function):
    """Names and defaults of the arguments, without their types; a default that is a function by its name."""
    found = []
    for one in inspect.signature(function).parameters.values():
        default = getattr(one.default, "__name__", repr(one.default))
        found.append((one.name, one.kind, default))
    return found


def test_nothing_is_attached_to_bourns_own_classes():
    from bourn.things import OutputThing

    before = set(dir(OutputThing))
    import bourn.thingflow.filters

    assert set(dir(OutputThing)) == before
    assert not hasattr(OutputThing, "select") and bourn.thingflow.filters is sys.modules["bourn.thingflow.filters"]
