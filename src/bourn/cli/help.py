"""How `--help` looks in 80 columns: options in groups, each with one word for what it takes; commands in groups."""

from __future__ import annotations

from typing import Any

HELP = ["-h", "--help"]

# What an option or argument takes, where that is no number; a flag takes nothing.
WORDS = {
    "TIME": "every for keep hold since until slack trigger_age trigger_every linger sync file",
    "SIZE": "journal_bytes max_bytes trigger_bytes trigger_free limit_rate",
    "FILE": "config keys journal csv_file web_token_file token_file out",
    "FOLDER": "outbox recordings folder project",
    "URL": "listen hub to hub_url url",
    "ADDRESS": "web",
    "SOURCE": "sources from",
    "NAME": "name sensor wifi",
    "PATH": "micropython",
    "HOW": "connection sensors_as when_full policy archive log_format format mpy",
    "LEVEL": "log_level",
    "STATE": "state",
    "PLACE": "upto place",
    "SET": "what",
    "HOST": "names",
    "INTERVAL": "intervals",
}
_WORD = {name: word for word, names in WORDS.items() for name in names.split()}

# Options of commands that have many; those that are not named here stand first, under "Options".
GROUPS = {
    "Where readings go": "journal csv_file to log_to_screen",
    "The page": "log_to_plot web no_web web_token_file recordings",
    "Between sensors and hub": "connection sensors_as port listen insecure require_keys in_flight network_in_flight "
    "outbox keys micropython",
    "Bounds of the journal": "journal_bytes keep hold when_full",
    "The log": "log_format log_level",
}
_GROUP = {name: group for group, names in GROUPS.items() for name in names.split()}
GROUPED = ("run", "hub", "sensors")

RECORD_GROUPS = {
    "What is recorded": "from name rate channels sample_bytes frame_bytes lines speed resume file",
    "Where it goes": "to folder archive read_back limit_rate price budget give_up_after linger",
    "When it is uploaded": "trigger_files trigger_bytes trigger_age trigger_every trigger_free",
    "The disk": "max_bytes policy thin sync",
    "The page": "page web web_token_file",
}
_RECORD_GROUP = {name: group for group, names in RECORD_GROUPS.items() for name in names.split()}

COMMANDS = {
    "Run": ("run", "hub", "sensors", "record"),
    "Look": ("read", "status", "top", "plot", "quarantine"),
    "Set up": ("repositories", "keys", "certificate", "board", "plan"),
}


def dress(command: Any, name: str = "") -> None:
    """Give a command and those below it their words and groups; what they do is as before."""
    groups = _GROUP if name in GROUPED else _RECORD_GROUP if name == "record" else {}
    context = command.context_class(command, help_option_names=HELP)
    for param in command.get_params(context):  # with --help
        known = _name(param)
        if getattr(param, "is_flag", False):
            param.metavar = ""
        elif param.metavar is None or "..." in param.metavar:
            param.metavar = _WORD.get(known) or "N"
        if param.param_type_name == "argument":
            param.display_type_rich = lambda ctx: None  # its name is its word
        if hasattr(param, "min") and hasattr(param, "max"):
            param.min = param.max = None  # only shown, and wide; what is beyond it is told what would be within
        if known in groups:
            param.rich_help_panel = groups[known]
    order = ["", *dict.fromkeys(groups.values())]
    command.params.sort(key=lambda param: order.index(groups.get(_name(param), "")))
    below = getattr(command, "commands", {})
    if not name:
        for group, names in COMMANDS.items():
            for one in names:
                below[one].rich_help_panel = group
                below[one] = below.pop(one)
    for one, sub in below.items():
        dress(sub, f"{name} {one}".strip())


def _name(param: Any) -> str:
    """Of an option or argument, as it is written, with `_`."""
    return str(max(param.opts, key=len)).lstrip("-").replace("-", "_")
