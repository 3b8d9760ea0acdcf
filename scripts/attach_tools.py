"""The tracers that scripts/attach compares: how each is told to count calls of f000, f001, ... in a process."""

import pathlib
import shutil
import subprocess

ROOT = pathlib.Path(__file__).resolve().parent.parent


class CannotRun(Exception):
    """This tool cannot do it here. The text says why."""


def functions(probes):
    return [f"f{i:03d}" for i in range(probes)]


def first_line(*command):
    said = subprocess.run(command, capture_output=True, text=True)
    return ((said.stdout + said.stderr).strip().splitlines() or [""])[0]


class Tool:
    """`command` is started. `prepare` and `clean` run before and after it. `ready`: whether its output says that the
    probes are set; True if it never says so."""

    program = None  # the executable

    def version(self):
        return first_line(self.program, "--version") if shutil.which(self.program) else ""

    def prepare(self, target, probes):
        if not shutil.which(self.program):
            raise CannotRun(f"{self.program} is not installed")

    def ready(self, printed):
        return True

    def clean(self, target):
        pass


class Proberace(Tool):
    program = ROOT / "build" / "release" / "proberace"

    def __init__(self, strategy):
        self.name = f"proberace {strategy}"
        self.strategy = strategy

    def command(self, target, process, probes, folder):
        words = [self.program, "run", "--strategy", self.strategy, "--pid", str(process)]
        for f in functions(probes):
            words += ["--probe", f"{target.name}:{f}"]
        return words


class Gdb(Tool):
    name = program = "gdb"

    # A breakpoint that is passed over: gdb counts its hits.
    def command(self, target, process, probes, folder):
        lines = ["set pagination off", "set confirm off", f"attach {process}"]
        for number, f in enumerate(functions(probes), 1):
            lines += [f"break *{f}", f"ignore {number} 2000000000"]
        script = folder / "gdb.script"
        script.write_text("\n".join(lines + [r"echo ready\n", "continue", "detach", "quit"]) + "\n")
        return ["gdb", "-q", "-nx", "-batch", "-x", script, target]

    def ready(self, printed):
        return "ready" in printed.split()


class Perf(Tool):
    name, program = "perf stat (uprobes)", "perf"

    def prepare(self, target, probes):
        super().prepare(target, probes)
        names = functions(probes)
        for first in range(0, probes, 100):  # it takes 128 at once
            events = [word for f in names[first : first + 100] for word in ("-a", f"p{f}={f}")]
            done = subprocess.run(["perf", "probe", "-q", "-x", target, *events], capture_output=True, text=True)
            if done.returncode != 0:
                self.clean(target)
                raise CannotRun(f"perf probe: {(done.stderr.strip().splitlines() or ['failed'])[0]}")

    def command(self, target, process, probes, folder):
        return ["perf", "stat", "-I", "500", "-e", f"probe_{target.name}:*", "-p", str(process)]

    def ready(self, printed):
        return "counts" in printed

    def clean(self, target):
        subprocess.run(["perf", "probe", "-q", "-d", f"probe_{target.name}:*"], capture_output=True)


class Bpftrace(Tool):
    name = program = "bpftrace"
    LIMITS = ("BPFTRACE_MAX_BPF_PROGS=2000", "BPFTRACE_MAX_PROBES=2000")
    SCRIPT = ' { @[probe] = count(); } interval:ms:200 /!@ready/ { @ready = 1; printf("ready\\n"); }'

    # The functions of `target` are f000 to f999. Wildcards are resolved much faster than a thousand names.
    def command(self, target, process, probes, folder):
        names = functions(probes) if probes < 1000 else [f"f{digit}*" for digit in range(10)]
        places = ",".join(f"uprobe:{target}:{name}" for name in names)
        return ["env", *self.LIMITS, "bpftrace", "-B", "line", "-p", str(process), "-e", places + self.SCRIPT]

    def ready(self, printed):
        return "ready" in printed.split()


TOOLS = [Proberace("ptrace:poke+xol-boost"), Proberace("ptrace:stop-world+xol-vma"), Proberace("kernel-uprobe"), Gdb(),
         Perf(), Bpftrace()]
