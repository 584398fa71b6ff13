#!/usr/bin/env python3
"""The manual page and the completions of bash, zsh and fish, made from what the binary itself says of its options.

    tools/manual.py man|bash|zsh|fish BINARY > FILE

`infomask --help` lists the commands, and each command's --help its options with their values: those texts are printed
from the tables that the options are read by, so nothing is written down twice.
"""
import re
import subprocess
import sys

OPTION = re.compile(r"^  (?:-(?P<letter>\w), |    )--(?P<name>[\w-]+)(?:=(?P<value>\S+))?(?:\s+(?P<text>.*))?$")
FILES = {"FILE", "FOLDER", "DIR", "PATH"}


class Option:
    def __init__(self, letter, name, value, text, section):
        self.letter, self.name, self.value, self.text, self.section = letter, name, value, text or "", section

    def words(self):
        """The words that the help lists as its only values."""
        found = re.search(r"\(([\w+-]+(?:\|[\w+-]+)+)\)", self.text)
        return found.group(1).split("|") if found else []

    def takes_file(self):
        parts = re.split(r"[|\[\]]", self.value or "")
        return any(part in FILES for part in parts) or self.name.endswith(("-dir", "-file"))

    def summary(self):
        return re.split(r"[;:(]", self.text)[0].strip()


class Command:
    def __init__(self, name, summary, text):
        self.name, self.summary, self.usage, self.about, self.options = name, summary, [], [], []
        self.listed, self.commands = {}, []  # commands of its own, as models has them: name and summary, then all of each
        section, paragraphs = None, text.split("\n")
        for line in paragraphs:
            self.take(line.rstrip(), section)
            if re.match(r"^(Options|Parameters|Settings)\b.*:$", line):
                section = line.rstrip(":")
        self.about = " ".join(self.about).strip()

    def take(self, line, section):
        option = OPTION.match(line) if section else None
        if option:
            self.options.append(Option(option["letter"], option["name"], option["value"], option["text"], section))
        elif section and line.startswith(" " * 10) and self.options:
            self.options[-1].text = (self.options[-1].text + " " + line.strip()).strip()
        elif section is None and re.match(r"^(Usage:|       )", line):
            self.usage.append(line.replace("Usage:", "").strip())
        elif section is None and (own := re.match(rf"infomask {self.name} (\w+).*?\s{{2,}}(.+)$", line)):
            self.listed[own[1]] = own[2]
        elif section is None and not re.match(r"^(Options|Parameters|Settings)", line):
            self.about.append(line)


    def pattern(self):
        """Of the first two words, for a shell's case: a command of a command stands before it."""
        return f'"{self.name}"' if " " in self.name else f'"{self.name} "*'

    def words(self):
        """What may come as its first operand: commands of its own, or what is listed of CHECK (...)."""
        checks = re.search(r"CHECK \(([\w, ]+)\)", self.about)
        return [*self.listed, *(checks[1].split(", ") if checks else [])]


def ask(binary, *arguments):
    return subprocess.run([binary, *arguments], check=True, capture_output=True, text=True).stdout


def read_commands(binary):
    help_text = ask(binary, "--help")
    listed = re.findall(r"^  (\w+)\s{2,}(.+)$", help_text.split("Commands:")[1], re.M)
    commands = [Command(name, summary, ask(binary, name, "--help")) for name, summary in listed]
    for command in commands:
        command.commands = [Command(f"{command.name} {own}", about, ask(binary, command.name, own, "--help"))
                            for own, about in command.listed.items()]
    return commands


def with_their_own(commands):
    return [one for command in commands for one in [command, *command.commands]]


def roff(text):
    text = text.replace("\\", "\\e").replace("-", "\\-")
    return "\\&" + text if text[:1] in ".'" else text


def option_heads(option):
    spelled = f"\\fB\\-\\-{roff(option.name)}\\fR" + (f"=\\fI{roff(option.value)}\\fR" if option.value else "")
    return (f"\\fB\\-{option.letter}\\fR, " if option.letter else "") + spelled


def man(binary):
    version = ask(binary, "--version").split()[1]
    lines = [f'.TH INFOMASK 1 "" "infomask {version}" "User Commands"', ".SH NAME",
             "infomask \\- class probabilities, information and masks of photos, over HTTP and in the terminal",
             ".SH SYNOPSIS", ".B infomask", "\\fICOMMAND\\fR [\\fIOPTION\\fR]...", ".SH DESCRIPTION",
             "A photo goes in; class probabilities, mutual information in nats, a mask of where that information is, and",
             "the photo without the object come out.  \\fBinfomask serve\\fR does it as an HTTP service.", ".SH COMMANDS"]
    commands = with_their_own(read_commands(binary))
    for command in commands:
        lines += [f".SS {roff(command.summary[0].upper() + command.summary[1:])}"]
        lines += [f".B {roff(usage)}\n.br" for usage in command.usage]
        lines += [".PP", roff(command.about)]
        section = None
        for option in command.options:
            if option.section.startswith("Settings"):
                continue
            if option.section != section:
                section = option.section
                lines += [".PP", f"\\fI{roff(section)}\\fR"]
            lines += [".TP", option_heads(option), roff(option.text)]
    lines += [".SH SETTINGS", "In the file of settings as \\fIname = value\\fR, in the environment as",
              "\\fBINFOMASK_\\fR\\fINAME\\fR, and as options of the commands that use them."]
    settings = {o.name: o for c in commands for o in c.options if o.section.startswith("Settings")}
    for option in settings.values():
        lines += [".TP", option_heads(option), roff(option.text)]
    lines += [".SH EXIT STATUS", ".TP", "0", "done", ".TP", "1", "failed; a sentence on standard error says why",
              ".TP", "2", "wrong usage", ".TP", "3", "done, but not what \\fB\\-\\-require\\fR asks",
              ".TP", "130, 143", "ended by ctrl\\-C or SIGTERM; what was done is kept",
              ".SH FILES", ".TP", "\\fIinfomask.ini\\fR",
              "settings, from \\fIetc/infomask\\fR beside the binary's folder (\\fI/etc/infomask\\fR of \\fI/usr/bin\\fR)",
              ".TP", "\\fI~/.local/share/infomask/models\\fR",
              "the user's own models (\\fI$XDG_DATA_HOME/infomask/models\\fR), found before the installed ones",
              ".TP", "\\fI~/.local/state/infomask\\fR",
              "what the service and \\fBinfomask estimate\\fR keep (\\fI$STATE_DIRECTORY\\fR, \\fI$XDG_STATE_HOME/infomask\\fR)"]
    return "\n".join(lines) + "\n"


def bash(binary):
    commands = read_commands(binary)
    cases, values = [], {}
    for command in with_their_own(commands):
        names = " ".join("--" + option.name for option in command.options)
        cases.insert(0, f'    {command.pattern()}) options="{names}" first="{" ".join(command.words())}" ;;')
        for option in command.options:
            if option.words():
                values[option.name] = 'mapfile -t COMPREPLY < <(compgen -W "%s" -- "$word")' % " ".join(option.words())
            elif option.takes_file():
                values[option.name] = 'mapfile -t COMPREPLY < <(compgen -f -- "$word")'
    names = " ".join(command.name for command in commands)
    given = "\n".join(f"    --{name}) {action}; return ;;" for name, action in sorted(values.items()))
    return f"""# bash completion of infomask
_infomask()
{{
    local word=${{COMP_WORDS[COMP_CWORD]}} before=${{COMP_WORDS[COMP_CWORD - 1]}} options="" first=""
    [ "$before" = = ] && before=${{COMP_WORDS[COMP_CWORD - 2]}}
    [ "$word" = = ] && word= && before=${{COMP_WORDS[COMP_CWORD - 1]}}
    if [ "$COMP_CWORD" = 1 ]; then
        mapfile -t COMPREPLY < <(compgen -W "{names} help --help --version" -- "$word")
        return
    fi
    case $before in
{given}
    esac
    case "${{COMP_WORDS[1]}} ${{COMP_WORDS[2]}}" in
{chr(10).join(cases)}
    "help "*) first="{names}" ;;
    esac
    [ "$COMP_CWORD" = 2 ] || first=
    case $word in
    -*) mapfile -t COMPREPLY < <(compgen -W "$options" -- "$word") ;;
    *) mapfile -t COMPREPLY < <(if [ -n "$first" ]; then compgen -W "$first" -- "$word"; else compgen -f -- "$word"; fi) ;;
    esac
}}
complete -o filenames -o bashdefault -F _infomask infomask
"""


def zsh_quoted(text):
    return re.sub(r"([\[\]:\\])", r"\\\1", text.replace("'", "’"))


def zsh(binary):
    commands = read_commands(binary)
    listed = "\n".join(f"    '{c.name}:{zsh_quoted(c.summary)}'" for c in commands)
    cases = []
    for command in with_their_own(commands):
        rows = []
        for option in command.options:
            action = f"({' '.join(option.words())})" if option.words() else "_files" if option.takes_file() else " "
            value = f"=:{option.value.lower().replace(':', ' ')}:{action}" if option.value else ""
            text = f"[{zsh_quoted(option.summary())}]"
            rows.append(f"'--{option.name}{value[:1]}{text}{value[1:]}'")
        first = f"'1:word:({' '.join(command.words())})' " if command.words() else ""
        cases.insert(0, f"    {command.pattern()}) _arguments {' '.join(rows)} {first}'*:file:_files' ;;")
    cases.append('    "help "*) _describe command commands ;;')
    return f"""#compdef infomask
local -a commands
commands=(
{listed}
)
if (( CURRENT == 2 )); then
    _describe command commands
else
    shift words
    (( CURRENT-- ))
    case "$words[1] $words[2]" in
{chr(10).join(cases)}
    esac
fi
"""


def fish_options(command, where, quote):
    for option in command.options:
        line = f"complete -c infomask -n {where} -l {option.name}"
        line += f" -s {option.letter}" if option.letter else ""
        if option.words():
            line += f" -x -a {quote(' '.join(option.words()))}"
        elif option.value:
            line += " -r" if option.takes_file() else " -x"
        yield f"{line} -d {quote(option.summary())}"


def fish(binary):
    quote = lambda text: "'" + text.replace("\\", "\\\\").replace("'", "\\'") + "'"
    lines = ["# fish completion of infomask"]
    commands = read_commands(binary)
    for command in commands:
        lines.append(f"complete -c infomask -n __fish_use_subcommand -f -a {command.name} -d {quote(command.summary)}")
        own, seen = " ".join(command.listed), "__fish_seen_subcommand_from"
        alone = f"{seen} {command.name}" + (f"; and not {seen} {own}" if own else "")
        if command.words():
            lines.append(f"complete -c infomask -n {quote(alone)} -f -a {quote(' '.join(command.words()))}")
        lines += fish_options(command, quote(alone), quote)
        for sub in command.commands:
            lines += fish_options(sub, quote(f"{seen} {command.name}; and {seen} {sub.name.split()[1]}"), quote)
    lines.append("complete -c infomask -n __fish_use_subcommand -f -a help -d 'how a command is used'")
    lines.append("complete -c infomask -n '__fish_seen_subcommand_from help' -f -a " +
                 quote(" ".join(command.name for command in commands)))
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    FORMS = {"man": man, "bash": bash, "zsh": zsh, "fish": fish}
    if len(sys.argv) != 3 or sys.argv[1] not in FORMS:
        sys.exit(__doc__)
    sys.stdout.write(FORMS[sys.argv[1]](sys.argv[2]))
