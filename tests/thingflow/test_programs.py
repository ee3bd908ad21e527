"""ThingFlow 2.3 itself is the oracle, and AntEvents 1.1 of `ant_*.py`: the same program prints the same under both.

Only its imports are changed.

`same/` holds such programs. `better/` holds those that pin a defect of ThingFlow 2.3: the first line of the docstring
says what is wrong there, `EXPECTED` what Bourn prints, and the test checks that ThingFlow still prints something else.
"""

import ast
import json
import os
import re
import subprocess
import sys
from functools import cache
from pathlib import Path

import pytest

HERE = Path(__file__).resolve().parent
SAME = sorted((HERE / "same").glob("*.py"))
BETTER = sorted((HERE / "better").glob("*.py"))

# What ThingFlow prints for its own debugging; Bourn logs it or leaves it out (docs/migration.md).
CHATTER = re.compile(
    r"^(No more active schedules|canceling schedule of|Stopping blocking (?:InputThing|subscriber)|Buffer: on_completed"
    r"|on_next called|produce_event_for_timeout called|starting event loop|requesting stop|Stopped private"
    r"|Connected with).*\n",
    re.MULTILINE,
)


@cache
def printed(library):
    """{path: what the program prints} under "ours" or "theirs"."""
    done = subprocess.run(
        [sys.executable, str(HERE / "run_programs.py"), library, *map(str, SAME + BETTER)],
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
        env={**os.environ, "PYTHONWARNINGS": "ignore"},
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


def clean(text):
    """What a program printed, without what differs on purpose everywhere."""
    text = CHATTER.sub("", text)
    text = re.sub(r" at 0x[0-9a-f]+", "", text)
    return re.sub(r"(=> |^  )select\b", r"\1map", text, flags=re.MULTILINE)


@pytest.fixture(autouse=True)
def oracle():
    for library in ("thingflow", "antevents"):
        if library not in sys.modules and os.environ.get("CI") != "true":
            pytest.importorskip(library, reason="the oracle: pip install 'bourn[dev]'")


@pytest.mark.parametrize("path", SAME, ids=lambda path: path.stem)
def test_the_same_program_prints_the_same(path):
    theirs, ours = clean(printed("theirs")[str(path)]), clean(printed("ours")[str(path)])
    assert "Traceback" not in theirs, "the program itself is wrong:\n" + theirs
    assert theirs.strip(), "a program that prints nothing compares nothing"
    assert ours == theirs


@pytest.mark.parametrize("path", BETTER, ids=lambda path: path.stem)
def test_a_defect_is_not_copied(path):
    expected = next(
        ast.literal_eval(node.value)
        for node in ast.parse(path.read_text(encoding="utf-8")).body
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "EXPECTED"
    )
    assert clean(printed("ours")[str(path)]) == expected.lstrip("\n")
    assert clean(printed("theirs")[str(path)]) != expected.lstrip("\n"), "ThingFlow does this right: move it to same/"


def test_in_ci_the_oracle_is_there():
    if os.environ.get("CI") == "true":
        import antevents

        import thingflow

        assert (thingflow.__version__, antevents.__version__) == ("2.3.0", "1.1.0")
