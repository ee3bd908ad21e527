"""What must not be read in a log: passwords in URLs, and texts that a program has named."""


def redacted(line, secrets):
    """`line` with *** for each of `secrets` and for what stands before the @ of each URL.

    `mqtt://me:secret@host` becomes `mqtt://***@host`.
    """
    at = line.find("://")
    while at >= 0:
        at += 3
        end = at
        last = -1  # a password may hold an @ itself
        while end < len(line) and line[end] not in " /\n\t\"'<>":
            if line[end] == "@":
                last = end
            end += 1
        if last >= 0:
            line = line[:at] + "***" + line[last:]
        at = line.find("://", at)
    for secret in secrets:
        if secret:
            line = line.replace(secret, "***")
    return line
