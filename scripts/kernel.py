"""Boots a kernel in QEMU and runs one program in it, for scripts/kernel.

A guest has its own /proc, /sys and /tmp, root's rights and no network, disk or shell."""

import argparse
import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import guest
import initramfs

ROOT = Path(__file__).resolve().parent.parent
KERNELS = ROOT / "build" / "kernels" # unpacked packages, the first process, and which accelerator works
OWN_FAILURE = 125 # as of `proberace run`


def fail(message, status=2):
    print(f"kernel: {message}", file=sys.stderr)
    sys.exit(status)


def version_key(package):
    return [int(number) for number in re.findall(r"\d+", package)]


def debian_kernel(version):
    """The image of the newest of Debian's kernels for clouds of that version, downloaded if it is not here yet. Such
    kernels have few drivers, and all that a guest needs is built in."""
    listed = subprocess.run(["apt-cache", "pkgnames", f"linux-image-{version}"], capture_output=True, text=True).stdout
    of_version = re.compile(rf"linux-image-{re.escape(version)}[.+-].*cloud-amd64-unsigned")
    packages = sorted(filter(of_version.fullmatch, listed.split()), key=version_key)
    if not packages:
        fail(f"Debian has no package linux-image-{version}*-cloud-amd64-unsigned here; "
             "'apt-cache pkgnames linux-image' lists what there is")
    package = packages[-1]
    image = KERNELS / f"{package}.bzImage"
    if not image.exists():
        KERNELS.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory() as folder:
            got = subprocess.run(["apt-get", "download", "-q", package], cwd=folder, capture_output=True, text=True)
            files = list(Path(folder).glob("*.deb"))
            if not files:
                fail(f"cannot download {package}: {(got.stderr.strip() or 'no file').splitlines()[-1]}", OWN_FAILURE)
            subprocess.run(["dpkg", "-x", files[0], folder], check=True)
            unpacked = next(Path(folder).glob("boot/vmlinuz-*"), None)
            if unpacked is None:
                fail(f"{package} holds no boot/vmlinuz", OWN_FAILURE)
            part = image.with_suffix(".part")
            shutil.copy(unpacked, part)
            part.rename(image)
    return image


def first_process():
    KERNELS.mkdir(parents=True, exist_ok=True)
    source, built = ROOT / "scripts" / "guest_init.c", KERNELS / "init"
    if not built.exists() or built.stat().st_mtime < source.stat().st_mtime:
        subprocess.run(["gcc", "-O1", "-Wall", "-Wextra", "-static", "-o", built, source], check=True)
    return built


def beside(program):
    """Files beside the built program that it looks for there."""
    folder = Path(program).resolve().parent
    return [file for file in (folder / "proberace-controlled", *folder.glob("workloads/*.so")) if file.is_file()]


def guest_files(program, others):
    """The program lies in /bin, and other files of the user's in /files."""
    name = Path(program).name
    programs = {"/init": first_process(), "/sbin/tar": shutil.which("tar"), f"/bin/{name}": program}
    for file in beside(program) if name == "proberace" else []:
        programs[f"/bin/{file.relative_to(Path(program).resolve().parent)}"] = file
    for other in others:
        place = f"/files/{Path(other).name}"
        if place in programs:
            raise RuntimeError(f"two files are called {Path(other).name}; rename one")
        programs[place] = other
    threads_need = "/lib/x86_64-linux-gnu/libgcc_s.so.1" # loaded by pthread_cancel and pthread_exit
    return initramfs.files(programs, [(threads_need, threads_need)] if os.path.exists(threads_need) else [])


def accelerators(wanted):
    """To be tried one after the other. KVM can be there and not work, which only a boot shows."""
    if wanted != "auto":
        return [wanted]
    failed = KERNELS / "kvm-failed"
    return ["kvm", "tcg"] if os.access("/dev/kvm", os.R_OK | os.W_OK) and not failed.exists() else ["tcg"]


def boot(image, program, words, folder, *, others=(), accel="auto", cpus=2, memory=2048, append="", seconds=3600):
    """Runs `program` with `words`. Returns its status and the lines of the console about oopses. Raises GuestFailed."""
    Path(folder).mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as scratch:
        command = Path(scratch) / "command"
        command.write_bytes(b"".join(word.encode() + b"\0" for word in (f"/bin/{Path(program).name}", *words)))
        archive = Path(scratch) / "initramfs.gz"
        initramfs.pack([*guest_files(program, others), ("/command", str(command))], archive)
        why = "" # KVM failed
        machine = guest.Guest(image, archive, folder, cpus, memory, append)
        for accelerator in accelerators(accel):
            try:
                return machine.run(accelerator, seconds), machine.problems
            except guest.GuestFailed as error:
                if accelerator != "kvm" or accel == "kvm" or machine.started:
                    raise
                why = str(error)
                print(f"kernel: KVM does not work here ({why}): emulating", file=sys.stderr)
            finally:
                if accelerator == "tcg" and why and machine.started: # so it was not the kernel
                    (KERNELS / "kvm-failed").write_text(f"{why}\n")


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--program", required=True)
    parser.add_argument("--out", required=True)
    parser.add_argument("--debian")
    parser.add_argument("--image")
    parser.add_argument("--with", dest="others", action="append", default=[])
    parser.add_argument("--accel", default="auto")
    parser.add_argument("--cpus", type=int, default=2)
    parser.add_argument("--memory", type=int, default=2048)
    parser.add_argument("--append", default="")
    parser.add_argument("--seconds", type=int, default=3600)
    parser.add_argument("words", nargs="*")
    given = parser.parse_args()
    if given.image and not guest.is_kernel(given.image):
        fail(f"'{given.image}' is not a bzImage; --image needs arch/x86/boot/bzImage of a built kernel, or a /boot/vmlinuz")
    try:
        image = given.image or debian_kernel(given.debian)
        status, problems = boot(image, given.program, given.words, given.out, others=given.others, accel=given.accel,
                                cpus=given.cpus, memory=given.memory, append=given.append, seconds=given.seconds)
    except guest.GuestFailed as error:
        fail(f"{error}; the kernel's log: {Path(given.out) / 'console.log'}", OWN_FAILURE)
    except RuntimeError as error:
        fail(error)
    except (OSError, subprocess.CalledProcessError) as error:
        fail(error, OWN_FAILURE)
    if problems:
        print(f"kernel: the kernel wrote {len(problems)} line{'s' if len(problems) > 1 else ''} about errors of its own, "
              f"first '{problems[0]}'; its log: {Path(given.out) / 'console.log'}", file=sys.stderr)
    sys.exit(status)


if __name__ == "__main__":
    main()
