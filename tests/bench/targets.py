"""What is measured: clusters of either kind, their load programs, the table of the results."""
import pathlib
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests" / "lib" / "kafka"))

from kafka_cluster import build_dir, free_ports  # noqa: E402

TARGETS = {
    "millrace": ("deploy/cluster", []),
    "millrace-cached": ("deploy/cluster", ["--set", "write.caching.default=true"]),
    "kafka": ("tests/lib/kafka/cluster", ["--heap", "1g", "--set", "plain.jvm=1"]),
}


class Cluster:
    """One cluster under measurement, driven by its script's words."""

    def __init__(self, target, folder):
        script, options = TARGETS[target]
        port = next(p for p in free_ports(20) if p < 60000)
        self.command = [str(ROOT / script), "--dir", str(folder / "state"), "--port", str(port),
                        *options]

    def do(self, *words):
        done = subprocess.run([*self.command, *words], capture_output=True, text=True, timeout=240,
                              check=False)
        if done.returncode:
            raise RuntimeError(f"{' '.join(words)} failed: {done.stdout}{done.stderr}")
        return done.stdout.strip()

    def pids(self):
        return [int(self.do("pid", str(node))) for node in (1, 2, 3)]


def build(name):
    """The load program of NAME.c."""
    source = pathlib.Path(__file__).resolve().parent / f"{name}.c"
    program = build_dir() / f"bench-{name}"
    if not program.exists() or program.stat().st_mtime < source.stat().st_mtime:
        subprocess.run(["cc", "-O2", "-std=gnu17", "-Wall", "-Wextra", "-o", str(program),
                        str(source), "-lrdkafka", "-pthread"], check=True)
    return program


def print_table(rows, more_is_better, results):
    names = list(results)
    print(f"{'':36}" + "".join(f"{name:>17}" for name in names) + "   times better than kafka")
    for row, unit, digits in rows:
        values = [results[name].get(row) for name in names]
        text = "".join(f"{'-' if v is None else f'{v:.{digits}f}':>17}" for v in values)
        ratios = []
        base = results.get("kafka", {}).get(row)
        for name, value in zip(names, values):
            if name != "kafka" and base and value:
                ratio = value / base if row in more_is_better else base / value
                ratios.append(f"{ratio:.2f}")
        print(f"{f'{row} ({unit})' if unit else row:36}{text}   {' '.join(ratios)}")
