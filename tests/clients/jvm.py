"""How the tests start their Java programs: small, quick to start, quiet."""
import os
import pathlib
import subprocess

HERE = pathlib.Path(__file__).resolve().parent
FLAGS = ["-Xmx128m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1",
         "-Dorg.slf4j.simpleLogger.defaultLogLevel=error"]


def build_dir():
    return pathlib.Path(os.environ.get("MILLRACE_BUILD_DIR", HERE.parents[1] / "build")).resolve()


def command(name, main, *args):
    """The words that run `main` of the project java/ or spring/, built if it is not."""
    subprocess.run([str(HERE / "prepare"), str(build_dir()), name], check=True)
    out = build_dir() / f"clients-{name}"
    path = f"{out}/classes:{(out / 'class-path').read_text().strip()}"
    return ["java", *FLAGS, "-cp", path, main, *args]
