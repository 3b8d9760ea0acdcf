"""One guest: QEMU with a kernel and an initramfs, watched until it ends."""

import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path

STARTED = b"guest: started"
PORTS = ("console", "out", "error", "archive") # of serial ports 0 to 3; scripts/guest_init.c
BOOT = 180 # seconds until the first process runs the command; some 15 under emulation
KVM_FAILED = b"KVM internal error"
PROBLEM = re.compile(rb"Kernel panic - not syncing: [^\r\n]*|BUG: [^\r\n]*|Oops: [^\r\n]*"
                     rb"|general protection fault, [^\r\n]*|guest: /[^\r\n]*")


class GuestFailed(Exception):
    """The guest ended, or was ended, without saying how the command ended."""


def is_kernel(image):
    """A bzImage has this word in its header (Documentation/arch/x86/boot.rst)."""
    with open(image, "rb") as file:
        file.seek(0x202)
        return file.read(4) == b"HdrS"


def problems_in(console):
    """What the kernel, or the first process, printed of errors of its own."""
    return [line.decode(errors="replace") for line in PROBLEM.findall(console)]


class Stream:
    """A file that a serial port is written to, forwarded as it grows."""

    def __init__(self, path, to):
        path.touch()
        self.file, self.to = open(path, "rb"), to

    def forward(self):
        new = self.file.read()
        if new and self.to:
            self.to.buffer.write(new)
            self.to.flush()
        return new


class Guest:
    def __init__(self, image, initramfs, folder, cpus, memory, append):
        """`folder` receives console.log and what the command left in its working folder. `memory` is in MB."""
        self.image, self.initramfs, self.folder = image, initramfs, Path(folder)
        self.cpus, self.memory, self.append = cpus, memory, append
        self.console = self.folder / "console.log"
        self.started = False # the first process runs
        self.problems = []   # lines of the console about oopses and the like

    def words(self, accelerator, ports):
        words = ["qemu-system-x86_64", "-accel", accelerator, "-cpu", "max" if accelerator == "tcg" else "host",
                 "-smp", str(self.cpus), "-m", str(self.memory), "-kernel", str(self.image),
                 "-initrd", str(self.initramfs), "-display", "none", "-nodefaults", "-no-user-config", "-no-reboot",
                 "-append", f"console=ttyS0 rdinit=/init panic=-1 {self.append}".strip()]
        for port in ports:
            words += ["-serial", f"file:{port}"]
        return words

    def run(self, accelerator, seconds):
        """The command's status as a shell gives it (128 + N for signal N). Its output goes to ours. Raises GuestFailed."""
        with tempfile.TemporaryDirectory() as folder:
            ports = [self.console] + [Path(folder) / name for name in PORTS[1:]]
            self.console.unlink(missing_ok=True)
            log = Path(folder) / "qemu"
            with open(log, "wb") as out:
                process = subprocess.Popen(self.words(accelerator, ports), stdin=subprocess.DEVNULL, stdout=out,
                                           stderr=out)
                try:
                    self.watch(process, seconds, ports, log)
                finally:
                    process.kill()
                    process.wait()
            return self.result(ports[-1], log.read_text(errors="replace").strip())

    def watch(self, process, seconds, ports, log):
        console, *streams = (Stream(port, to) for port, to in zip(ports, (None, sys.stdout, sys.stderr)))
        printed, begin = b"", time.monotonic()
        while True:
            ended = process.poll() is not None
            printed += console.forward()
            for stream in streams:
                stream.forward()
            self.problems = problems_in(printed)
            self.started = STARTED in printed
            if ended:
                return
            spent = time.monotonic() - begin
            if not self.started and KVM_FAILED in log.read_bytes():
                raise GuestFailed(KVM_FAILED.decode())
            if not self.started and spent > BOOT:
                raise GuestFailed(f"the kernel did not start /init within {BOOT} s")
            if spent > seconds:
                raise GuestFailed(f"the command did not end within {seconds} s (--seconds)")
            time.sleep(0.1)

    def result(self, archive, said):
        how = subprocess.run(["tar", "-xOf", archive, "./status"], capture_output=True, text=True)
        words = how.stdout.split()
        if how.returncode != 0 or len(words) != 2:
            raise GuestFailed((self.problems + said.splitlines() + ["it ended without a word"])[0])
        unpacked = subprocess.run(["tar", "-xf", archive, "-C", self.folder, "--strip-components=2", "./work"])
        if unpacked.returncode != 0:
            raise GuestFailed("the files that the command left did not come back whole")
        return int(words[1]) + (128 if words[0] == "killed" else 0)
