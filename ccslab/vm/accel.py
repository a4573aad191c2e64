# SPDX-License-Identifier: GPL-2.0-only
"""Which accelerator QEMU gets: KVM where a guest has been seen to run with it, else TCG.

A /dev/kvm that opens proves nothing: there are machines where QEMU with it aborts, or where KVM emulates
every instruction and a kernel seems to hang in its decompressor.  So a tiny guest (probe.S) is run with it
under a deadline, once per boot of the host, kernel and QEMU; the outcome is an artifact of the store.
"""

from __future__ import annotations

import functools
import hashlib
import json
import os
import platform
from dataclasses import dataclass
from pathlib import Path

from ccslab.errors import InfrastructureError, UserError, unknown
from ccslab.process import need, run
from ccslab.store import Store, temporary

PROBE_HEX = Path(__file__).with_name("probe.hex")
PROBE_SAYS = "ccs-lab: the guest ran"
PROBE_STATUS = 33  # what probe.S writes to isa-debug-exit, doubled, plus one
PROBE_TIMEOUT_S = 5.0
QEMU_PACKAGE = "qemu-system-x86"
CHOICES = ("auto", "kvm", "tcg")
KVM_NODE = Path("/dev/kvm")


@dataclass(frozen=True)
class Accel:
    """An accelerator and the reason it was chosen, as a person is told it."""

    name: str
    why: str

    def __str__(self) -> str:
        return f"{self.name} ({self.why})"


TCG = Accel("tcg", "asked for")


def choose(wanted: str = "auto", store: Store | None = None) -> Accel:
    """The accelerator to run guests with.

    :param wanted: ``auto`` (KVM where it works), ``kvm`` or ``tcg``.
    :param store: where the outcome of the probe is kept; the default cache if None.
    :raises UserError: unknown choice, or ``kvm`` was asked for and does not work here (says why).
    :raises InfrastructureError: QEMU is not installed.
    """
    if wanted not in CHOICES:
        raise unknown("accelerator", wanted, CHOICES)
    need("qemu-system-x86_64", QEMU_PACKAGE)
    if wanted == "tcg":
        return TCG
    trouble = _node_trouble(KVM_NODE) or _probed(store or Store())
    if not trouble:
        return Accel("kvm", "a guest ran with it")
    if wanted == "kvm":
        raise UserError(f"KVM does not work here: {trouble}", where="accel=kvm", mend="use accel=auto or tcg")
    return Accel("tcg", f"no KVM: {trouble}")


@functools.cache
def qemu_version(program: str = "qemu-system-x86_64") -> str:
    """The first line of what QEMU says of its version; part of the key of what depends on it."""
    _, said = run([need(program, QEMU_PACKAGE), "--version"], timeout_s=20)
    return said.splitlines()[0]


def probe(accel: str, timeout_s: float = PROBE_TIMEOUT_S) -> str:
    """Run the tiny guest with an accelerator; returns what went wrong, "" if nothing did."""
    program = need("qemu-system-x86_64", QEMU_PACKAGE)
    with temporary.folder("probe") as folder:
        image = folder / "probe.bin"
        image.write_bytes(bytes.fromhex(PROBE_HEX.read_text()))
        argv: list[str | Path] = [program, "-accel", accel, "-cpu", "host" if accel == "kvm" else "max"]
        argv += ["-machine", "q35", "-m", "64", "-nodefaults", "-no-user-config", "-display", "none"]
        argv += ["-serial", "stdio", "-device", "isa-debug-exit,iobase=0xf4,iosize=1", "-kernel", image]
        try:
            status, said = run(argv, timeout_s=timeout_s, check=False)
        except InfrastructureError:
            return (
                f"a tiny guest did not end within {timeout_s:.0f} s (a kernel would hang in its decompressor)"
            )
    if status == PROBE_STATUS and PROBE_SAYS in said:
        return ""
    last = said.strip().splitlines()[-1:] or ["nothing was said"]
    return f"a tiny guest ended with status {status}: {last[0]}"


def _node_trouble(node: Path) -> str:
    if not node.exists():
        return f"there is no {node}"
    if not os.access(node, os.R_OK | os.W_OK):
        return f"no permission to open {node}"
    return ""


def _probed(store: Store) -> str:
    """What the probe said in this boot of the host; run now if it was not yet."""
    inputs = {
        "boot": Path("/proc/sys/kernel/random/boot_id").read_text().strip(),
        "host": platform.release(),
        "qemu": qemu_version(),
        "probe": hashlib.sha256(PROBE_HEX.read_bytes()).hexdigest(),
    }

    def build(folder: Path) -> None:
        (folder / "outcome.json").write_text(json.dumps({"trouble": probe("kvm")}))

    outcome = json.loads((store.get("accel", inputs, build) / "outcome.json").read_text())
    return str(outcome["trouble"])
