# SPDX-License-Identifier: GPL-2.0-only
"""Policy of every kind comes and goes in one small guest, and nonsense is written to its interface."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from pathlib import Path

from ccslab import progress
from ccslab.evidence.table import counted
from ccslab.labs.run import Run
from ccslab.rootfs.initramfs import Entry, File

HERE = Path(__file__).parent
FILES = ("exception_policy", "domain_policy", "profile", "manager")
SOME = FILES[:2]
PROGRAM = "policyfuzz"
HIDDEN = {"process_status": ".process_status"}
EPERM = 1
STEP_S = 360.0
"""How long the guest may be silent: it waits up to 300 s for memory to be freed (``cycle.c``)."""
SHOWN = 10


def kinds(run: Run) -> None:
    """Each kind of line is written, read, deleted; what was read is written again, and read again."""
    run.small(files(run), until=r"written\|exception_policy")
    run.expect(r"memory\|before\|\d+", STEP_S)
    wanted = of_files((name, line) for name in FILES for line in policy("every", name).splitlines())
    written, deleted, again = (of_files(lines(run, when)) for when in ("written", "deleted", "again"))
    lost = [line for name in FILES for line in wanted[name] if line not in written[name]]
    run.check("each line is read back as it was written", not lost, shown(lost))
    kept = [line for name in SOME for line in wanted[name] if line in deleted[name]]
    run.check("each line is gone when it is deleted", not kept, shown(kept))
    other = [line for name in FILES for line in sorted({*written[name]} ^ {*again[name]})]
    same = all(sorted(written[name]) == sorted(again[name]) for name in FILES)
    run.check("what was saved is the same when it is loaded", same, shown(other))


def cycles(run: Run) -> None:
    """Policy comes and goes, with other names each time, and leaves no memory behind."""
    wanted = int(run.options["cycles"])
    run.current.count("cycle", wanted)
    with progress.step("Loading and deleting policy", wanted) as step:
        done = 0
        while (match := run.expect(r"(?:cycled\|(\d+)|left\|\d+)\b", STEP_S))[1]:
            step.advance(int(match[1]) - done)
            done = int(match[1])
    before, after = number(run, r"memory\|before\|(\d+)"), number(run, r"left\|(\d+)")
    run.measure("policy memory", "before", before, "bytes")
    run.measure("policy memory", "after", after, "bytes")
    run.check("loading and deleting leave no memory behind", after <= before, f"{before} became {after}")


def fuzz(run: Run) -> None:
    """What nobody should write is written and read, while processes work under whatever policy there is."""
    seconds = asked_seconds(run)
    with progress.step("Fuzzing the interface", seconds) as step:
        done = 0
        while (match := run.expect(r"(?:fuzzed\|(\d+)\||open\|allowed)", STEP_S))[1]:
            step.advance(int(match[1]) - done)
            done = int(match[1])
    told = re.findall(r"^fuzzed\|\d+\|(.*)$", run.console_log(), re.MULTILINE)
    for word, count in re.findall(r"(\w+)=(\d+)", told[-1] if told else ""):
        run.measure("fuzzing", word, int(count), "times")
    did = run.results.measured("fuzzing")
    run.check("something was written", bool(did.get("written")), str(did))
    run.check("something was denied", bool(did.get("denied")), str(did))


def enforced(run: Run) -> None:
    """Policy is enforced as before, when what was written meanwhile is gone."""
    run.expect("interface: all done", STEP_S)
    opened = dict(re.findall(r"^open\|(\w+)\|(\w+)", run.console_log(), re.MULTILINE))
    run.check("what a rule allows can be opened", opened.get("allowed") == "OK", str(opened))
    run.check("what no rule allows is denied", opened.get("denied") == str(EPERM), str(opened))


# What is in the guest


def files(run: Run) -> dict[str, Entry]:
    """Its program, policy, and what it is asked for."""
    program = (run.bench.made(HERE) / PROGRAM).read_bytes()
    asked = f"{run.options['cycles']:.0f} {run.options['seed']:.0f} {asked_seconds(run)}\n"
    return {
        f"bin/{PROGRAM}": File(program, 0o755),
        **{f"interface/base/{name}": policy("base", name) for name in FILES},
        **{f"interface/every/{name}.add": policy("every", name) for name in FILES},
        **{f"interface/every/{name}.delete": deleting(name, policy("every", name)) for name in SOME},
        **{f"interface/some/{name}.add": policy("some", name) for name in SOME},
        **{f"interface/some/{name}.delete": deleting(name, policy("some", name)) for name in SOME},
        **corpus(),
        "interface/asked": asked,
        "interface/allowed": "read me\n",
        "interface/denied": "do not read me\n",
        "etc/passwd": "root:x:0:0:root:/:/bin/sh\n",
    }


def asked_seconds(run: Run) -> int:
    """How long is fuzzed, guest's time."""
    return max(1, round(run.options["minutes"] * 60))


def policy(folder: str, name: str) -> str:
    """A file of policy of this lab's."""
    return (HERE / folder / f"{name}.conf").read_text()


def corpus() -> dict[str, Entry]:
    """The lines that fuzzing begins with: those of every kind, and what once led a reader astray."""
    texts = {name: re.sub(r"\n\n+", "\n", policy("every", name)) for name in FILES}
    for path in sorted((HERE / "corpus").iterdir()):
        name = HIDDEN.get(path.stem, path.stem)
        texts[name] = texts.get(name, "") + path.read_text()
    return {f"interface/corpus/{name}": text for name, text in texts.items()}


def deleting(name: str, text: str) -> str:
    """What deletes all that a text adds: of domains the rules first, then themselves."""
    stay = ("use_", "quota", "transition_")
    wanted = [line for line in text.splitlines() if line and not line.startswith(stay)]
    if name == "exception_policy":
        return "".join(f"delete {line}\n" for line in wanted)
    domains = [line for line in wanted if line.startswith("<")]
    rules = (f"select domain={line}" if line.startswith("<") else f"delete {line}" for line in wanted)
    return "".join(f"{line}\n" for line in (*rules, *(f"delete {domain}" for domain in domains)))


# What it shows


def lines(run: Run, when: str) -> Iterator[tuple[str, str]]:
    """File and line of what the kernel had."""
    for line in run.console_log().splitlines():
        word, _, rest = line.partition("|")
        if word == when and "|" in rest:
            yield (rest.partition("|")[0], rest.partition("|")[2])


def of_files(found: Iterable[tuple[str, str]]) -> dict[str, list[str]]:
    """Of each file its lines; of ``domain_policy`` each with its domain in front."""
    texts: dict[str, list[str]] = {name: [] for name in FILES}
    domain = ""
    for name, line in found:
        if name == "domain_policy" and line.startswith("<"):
            domain = line
        elif line:
            texts[name].append(f"{domain}: {line}" if name == "domain_policy" else line)
    return texts


def number(run: Run, pattern: str) -> int:
    """The last number of that kind on the console."""
    return int(re.findall(pattern, run.console_log())[-1])


def shown(some: list[str]) -> str:
    """The first of some lines, and how many there are."""
    return f"{counted(len(some), 'line')}: {'; '.join(some[:SHOWN])}"
