"""CPU time, memory and bytes of a solve on a channel of conda-forge's size, with shards and without.

``python big_channel.py [LINUX_RECORDS NOARCH_RECORDS]``: 500,000 and 302,000 by default. The channel is made
once, which takes one to three minutes and 0.3 GB, and kept under ``.cache/benchmarks``. Each row is a new
process; its memory before, at the peak and after the solve is resident memory.
"""

import functools
import hashlib
import itertools
import json
import random
import shutil
import struct
import sys
import tempfile
import threading
import time
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer

import harness
import zstandard

PYTHONS = ("3.9", "3.10", "3.11", "3.12", "3.13")
PATCHES = 12
SUBDIRS = {"linux-64": 37, "noarch": 12}  # records for each name, as in conda-forge
ROOTS = ("libgcc", "libstdcxx", "zlib", "openssl", "libffi", "ncurses", "readline", "sqlite", "tk", "xz")
NEWEST_ONLY_CONDA = 0.7  # share of a package's versions that are new enough to be .conda files
NUMBERS_OF_SPECS = (1, 10, 50)
# Runs in a process of its own, so that the peak of one solve does not hide that of another.
SOLVE = """
import json, os, sys, time
from pathlib import Path
from airflow_conda_flow.environments.credentials import Credentials
from airflow_conda_flow.environments.solve.rattler import RattlerSolver
from airflow_conda_flow.environments.spec import EnvironmentSpec

def status(name):
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) / 1024 for line in lines if line.startswith(name))

url, cache, wanted = sys.argv[1], Path(sys.argv[2]), json.loads(sys.argv[3])
glibc = {"__glibc": "2.28"}
specs = {
    f"step {number}": EnvironmentSpec(python, libraries, (url,), "linux-64", virtual_packages=glibc)
    for number, (python, libraries) in enumerate(wanted)
}
solver = RattlerSolver(cache, Credentials({}, {}))
before, started, used = status("VmRSS"), time.perf_counter(), time.process_time()
locks = solver.solve(specs)
used, seconds = time.process_time() - used, time.perf_counter() - started
packages = sum(len(lock.packages) for lock in locks.values())
digest = [lock.digest for lock in locks.values()]
del locks
print(json.dumps([used, seconds, before, status("VmHWM"), status("VmRSS"), packages, digest]), flush=True)
os._exit(0)
"""


class Package:
    """A package of the channel: its records, and the versions that other packages may ask for."""

    def __init__(self, name, subdir, builds, depends):
        self.name = name
        self.subdir = subdir
        self.builds = builds  # (version, build string, build number, dependencies that only this build has)
        self.depends = depends  # packages that each build depends on
        self.versions = list(dict.fromkeys(each[0] for each in builds))

    def records(self, rng):
        """File names and records, as in ``repodata.json``; hashes are bytes."""
        first_conda = int(len(self.versions) * (1 - NEWEST_ONLY_CONDA))
        for version, build, number, own in self.builds:
            age = self.versions.index(version)
            record = {
                "build": build,
                "build_number": number,
                # A lower bound that every later version of the other package satisfies.
                "depends": [*own, *(f"{each.name} >={each.bound(age)}" for each in self.depends)],
                "license": "BSD-3-Clause",
                "license_family": "BSD",
                "md5": rng.randbytes(16),
                "name": self.name,
                "sha256": rng.randbytes(32),
                "size": rng.randrange(10_000, 20_000_000),
                "subdir": self.subdir,
                "timestamp": 1_500_000_000_000 + age * 5_000_000_000 + rng.randrange(4_000_000_000),
                "version": version,
            }
            if self.subdir == "noarch":
                record["noarch"] = "python"
            ending = "conda" if age >= first_conda else "tar.bz2"
            yield f"{self.name}-{version}-{build}.{ending}", record

    def bound(self, age):
        """A version that packages of that age ask for at least: one of the first half."""
        return self.versions[min(age, len(self.versions) // 2)]


def make_packages(rng, linux_records, noarch_records):
    """Packages, by name, in the order in which they may depend on one another."""
    packages = {name: Package(name, "linux-64", list(compiled_builds(rng, 30)), []) for name in ROOTS}
    roots = list(packages.values())
    python_builds = [
        (f"{minor}.{patch}", f"h{rng.randbytes(4).hex()[:7]}_{number}_cpython", number, [])
        for minor in PYTHONS
        for patch in range(PATCHES)
        for number in (0, 1)
    ]
    packages["python"] = Package("python", "linux-64", python_builds, roots)
    for subdir, wanted in (("linux-64", linux_records), ("noarch", noarch_records)):
        left = wanted - sum(len(each.builds) for each in packages.values() if each.subdir == subdir)
        for number in itertools.count():
            if left <= 0:
                break
            # Few packages have hundreds of records, most have some.
            size = min(left, max(1, int(rng.expovariate(1 / SUBDIRS[subdir]))))
            name = f"{'py' if subdir == 'noarch' else 'lib'}{number}-{rng.randbytes(3).hex()}"
            kind = rng.random()
            if subdir == "noarch":
                builds = [(version, "pyhd8ed1ab_0", 0, ["python >=3.9"]) for version in versions(rng, size)]
            elif kind < 0.5:  # noqa: PLR2004 - half of the compiled packages are for Python
                builds = list(python_module_builds(rng, size))
            else:
                builds = list(compiled_builds(rng, size))
            packages[name] = Package(name, subdir, builds, dependencies(rng, packages))
            left -= size
    return packages


def versions(rng, number):
    """So many versions, oldest first."""
    major, minor, patch = rng.randrange(3), 0, 0
    for _ in range(number):
        yield f"{major}.{minor}.{patch}"
        patch, minor = (patch + 1, minor) if rng.random() < 0.6 else (0, minor + 1)  # noqa: PLR2004


def compiled_builds(rng, number):
    """Builds of a library that is not for Python."""
    for version in versions(rng, number):
        yield version, f"h{rng.randbytes(4).hex()[:7]}_0", 0, []


def python_module_builds(rng, number):
    """Builds of a Python module in C, one for each Python; always one for 3.11."""
    order = ("3.11", "3.12", "3.10", "3.13", "3.9")
    per_version = min(number, len(order))
    for version in versions(rng, -(-number // per_version)):
        for minor in order[: min(per_version, number)]:
            upper = f"3.{int(minor[2:]) + 1}"
            build = f"py{minor.replace('.', '')}h{rng.randbytes(4).hex()[:7]}_0"
            yield version, build, 0, [f"python >={minor},<{upper}.0a0"]
        number -= min(per_version, number)


def dependencies(rng, packages):
    """Up to six packages that came before; the earlier ones are the popular ones."""
    names = list(itertools.islice(packages, 3000))
    chosen = {names[int(len(names) * rng.random() ** 3)] for _ in range(rng.randrange(1, 7))}
    return [packages[name] for name in sorted(chosen - {"python"})]


def packed(value):
    """MessagePack of plain values, bytes among them (https://github.com/msgpack/msgpack/blob/master/spec.md)."""
    if isinstance(value, bytes):
        return b"\xc4" + bytes([len(value)]) + value
    if isinstance(value, str):
        text = value.encode()
        head = bytes([0xA0 | len(text)]) if len(text) < 32 else b"\xd9" + bytes([len(text)])  # noqa: PLR2004
        return head + text
    if isinstance(value, int):
        return bytes([value]) if value < 128 else b"\xcf" + struct.pack(">Q", value)  # noqa: PLR2004
    if isinstance(value, dict):
        body = b"".join(packed(key) + packed(each) for key, each in value.items())
        return b"\xdf" + struct.pack(">I", len(value)) + body
    return b"\xdd" + struct.pack(">I", len(value)) + b"".join(map(packed, value))


def write_subdir(folder, packages, rng):
    """Write ``repodata.json.zst``, the shards and their index (CEP 16)."""
    shards_folder = folder / "shards"
    shards_folder.mkdir(parents=True)
    shards = {}
    lists = {"tar.bz2": folder / "old.part", "conda": folder / "new.part"}
    streams = {ending: path.open("w") for ending, path in lists.items()}
    separators = dict.fromkeys(lists, "")
    for package in packages:
        halves = {"tar.bz2": {}, "conda": {}}
        for file_name, record in package.records(rng):
            ending = "conda" if file_name.endswith(".conda") else "tar.bz2"
            halves[ending][file_name] = record
            as_text = {**record, "md5": record["md5"].hex(), "sha256": record["sha256"].hex()}
            streams[ending].write(f"{separators[ending]}{json.dumps(file_name)}:{json.dumps(as_text)}")
            separators[ending] = ",\n"
        shard = packed({"packages": halves["tar.bz2"], "packages.conda": halves["conda"], "removed": []})
        data = zstandard.compress(shard)
        digest = hashlib.sha256(data).digest()
        shards[package.name] = digest
        (shards_folder / f"{digest.hex()}.msgpack.zst").write_bytes(data)
    for stream in streams.values():
        stream.close()
    info = {"subdir": folder.name, "base_url": "", "shards_base_url": "./shards/"}
    index = zstandard.compress(packed({"info": info, "shards": shards}), 19)
    (folder / "repodata_shards.msgpack.zst").write_bytes(index)
    with (folder / "repodata.json.zst").open("wb") as target:
        stream = zstandard.ZstdCompressor(6, threads=-1).stream_writer(target, closefd=False)
        stream.write(f'{{"info":{{"subdir":"{folder.name}"}},"packages":{{'.encode())
        stream.write(lists["tar.bz2"].read_bytes())
        stream.write(b'},"packages.conda":{')
        stream.write(lists["conda"].read_bytes())
        stream.write(b'},"removed":[],"repodata_version":1}')
        stream.close()
    for path in lists.values():
        path.unlink()


def make_channel(directory, packages, rng):
    """Write the index of a channel of these packages; their archives do not exist."""
    unfinished = directory.with_suffix(".unfinished")
    shutil.rmtree(unfinished, ignore_errors=True)
    for subdir in SUBDIRS:
        write_subdir(unfinished / subdir, [each for each in packages.values() if each.subdir == subdir], rng)
    unfinished.rename(directory)


def make_specs(rng, packages, number):
    """So many different specs: Python 3.11 and three libraries, of their newest versions."""
    usable = [each for each in packages.values() if each.name not in ROOTS and each.name != "python"]
    specs = []
    for patch in itertools.islice(itertools.cycle(range(PATCHES)), number):
        chosen = rng.sample(usable, 3)
        specs.append((f"3.11.{patch}", {each.name: each.versions[-1] for each in chosen}))
    return specs


class Handler(SimpleHTTPRequestHandler):
    """Serves the channel and counts the bytes of bodies; hides the shards if the server is told to."""

    protocol_version = "HTTP/1.1"

    def log_message(self, *_):
        """Print nothing."""

    def send_head(self):
        """Answer 404 for shards if there are to be none."""
        if self.server.hides_shards and "shards" in self.path:
            self.send_error(404)
            return None
        return super().send_head()

    def copyfile(self, source, outputfile):
        """Send a body and count it."""
        data = source.read()
        with self.server.mutex:
            self.server.sent += len(data)
            self.server.requests += 1
        outputfile.write(data)


def serve(directory):
    """A server of the channel, on a free port."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Handler, directory=str(directory)))
    server.sent, server.requests, server.hides_shards, server.mutex = 0, 0, False, threading.Lock()
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return server


def solve(server, cache, specs):
    """Solve in a new process; returns its measurements, the bytes and the requests."""
    server.sent = server.requests = 0
    url = f"http://127.0.0.1:{server.server_port}"
    _, output = harness.run([sys.executable, "-c", SOLVE, url, cache, json.dumps(specs)])
    return [*json.loads(output), server.sent / 1e6, server.requests]


def measure(server, specs):
    """Rows of the table for these specs: with and without shards, cold and warm."""
    found = {}
    for hides_shards in (True, False):
        server.hides_shards = hides_shards
        with tempfile.TemporaryDirectory(dir=harness.WORK) as cache:
            for state in ("cold", "warm"):
                found[hides_shards, state] = solve(server, cache, specs)
    if len({tuple(each[6]) for each in found.values()}) != 1:
        sys.exit("The locks with and without shards differ.")
    for (hides_shards, state), numbers in found.items():
        used, seconds, before, peak, after, packages, _, megabytes, requests = numbers
        name = (
            f"{len(specs)} specs, {packages} packages" if len(specs) > 1 else f"1 spec, {packages} packages"
        )
        what = f"{name}, {state}, {'repodata.json' if hides_shards else 'shards'}"
        base = found[True, state]
        ratios = "" if hides_shards else f"{used / base[0]:.2f}, {peak / base[3]:.2f}"
        yield (
            f"| {what} | {used:.3f} | {seconds:.2f} | {before:.0f} | {peak:.0f} | {after:.0f} "
            f"| {megabytes:.2f} | {requests} | {ratios} |"
        )


def main():
    linux, noarch = (int(each) for each in sys.argv[1:3] or (500_000, 302_000))
    harness.WORK.mkdir(parents=True, exist_ok=True)
    directory = harness.WORK / f"big-channel-{linux}-{noarch}"
    packages = make_packages(random.Random(1), linux, noarch)  # the same channel each time
    if not directory.exists():
        started = time.perf_counter()
        make_channel(directory, packages, random.Random(2))
        print(f"channel made in {time.perf_counter() - started:.0f} s", file=sys.stderr)
    server = serve(directory)
    print(f"\n### Solves on a channel of {linux:,} + {noarch:,} records, {len(packages):,} names\n")
    print("| what | CPU, s | seconds | MB before | peak | after | MB received | files | CPU, peak: times |")
    print("| --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: | --- |")
    for number in NUMBERS_OF_SPECS:
        for row in measure(server, make_specs(random.Random(number), packages, number)):
            print(row, flush=True)


if __name__ == "__main__":
    main()
