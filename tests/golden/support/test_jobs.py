"""The job layer: order, kept results, dying processes, a real Dask cluster that loses a worker."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from golden.support import jobs
from golden.support.errors import PotvitError
from golden.support.jobs import run_jobs

ROOT = Path(__file__).resolve().parents[3]


def square(task):
    """Leave a trace of every call, by process."""
    if "log" in task:
        with open(task["log"], "a", encoding="utf-8") as stream:
            stream.write(f"{task['x']} {os.getpid()}\n")
    time.sleep(task.get("sleep", 0))
    return {"square": task["x"] ** 2}


def dying(task):
    """End the process the first ``deaths`` times."""
    path = Path(task["count"])
    count = int(path.read_text(encoding="utf-8")) if path.exists() else 0
    path.write_text(str(count + 1), encoding="utf-8")
    if count < task["deaths"]:
        os._exit(1)
    return count


def wrong(task):
    raise PotvitError(f"task {task} is wrong")


def test_results_come_in_order_and_equal_tasks_run_once(tmp_path):
    log = str(tmp_path / "log")
    tasks = [{"x": x, "log": log} for x in (3, 1, 3, 2)]
    assert [r["square"] for r in run_jobs(square, tasks, workers=2)] == [9, 1, 9, 4]
    lines = (tmp_path / "log").read_text(encoding="utf-8").split("\n")[:-1]
    assert sorted(line.split()[0] for line in lines) == ["1", "2", "3"]


def test_kept_results_are_not_repeated_and_broken_ones_are(tmp_path, capsys):
    log, keep = tmp_path / "log", tmp_path / "kept"
    tasks = [{"x": x, "log": str(log)} for x in (1, 2)]
    first = run_jobs(square, tasks, keep=keep)
    assert run_jobs(square, tasks, keep=keep) == first
    assert len(log.read_text(encoding="utf-8").splitlines()) == 2
    broken = sorted(keep.iterdir())[0]
    broken.write_text(json.dumps({"sha256": "no", "result": {"square": 77}}), encoding="utf-8")
    assert run_jobs(square, tasks, keep=keep) == first
    assert len(log.read_text(encoding="utf-8").splitlines()) == 3
    assert "broken" in capsys.readouterr().err


def test_a_process_that_dies_is_replaced(tmp_path):
    task = {"count": str(tmp_path / "count"), "deaths": 1}
    assert run_jobs(dying, [task], workers=2) == [1]
    hopeless = {"count": str(tmp_path / "other"), "deaths": 99}
    with pytest.raises(PotvitError, match="ended its process 3 times"):
        run_jobs(dying, [hopeless], workers=2)


@pytest.mark.parametrize("workers", [1, 2])
def test_what_a_job_raises_is_raised(workers):
    with pytest.raises(PotvitError, match="task 5 is wrong"):
        run_jobs(wrong, [5], workers=workers)


def test_a_cluster_that_is_not_there_is_said(monkeypatch):
    monkeypatch.setitem(sys.modules, "distributed", None)
    with pytest.raises(PotvitError, match="needs Dask"):
        run_jobs(square, [{"x": 1}], scheduler="tcp://127.0.0.1:9")
    monkeypatch.undo()
    pytest.importorskip("distributed", reason="the cluster extra is not installed")
    monkeypatch.setattr(jobs, "PATIENCE", 2)
    with pytest.raises(PotvitError, match="no Dask scheduler answers at"):
        run_jobs(square, [{"x": 1}], scheduler="tcp://127.0.0.1:9")


@pytest.fixture
def cluster(tmp_path):
    """A scheduler and two workers as processes on loopback: its address and the workers."""
    pytest.importorskip("distributed", reason="the cluster extra is not installed")
    environment = os.environ | {"PYTHONPATH": f"{ROOT}:{ROOT / 'tests/golden/support'}"}
    said = tmp_path / "scheduler.json"
    common = {"env": environment, "stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    words = ["--host", "127.0.0.1", "--no-dashboard"]
    started = [
        subprocess.Popen(
            [sys.executable, "-m", "distributed.cli.dask_scheduler", *words, "--port", "0",
             "--scheduler-file", str(said)], **common,
        )
    ]  # fmt: skip
    try:
        for _ in range(600):
            if said.exists() and said.stat().st_size:
                break
            time.sleep(0.1)
        address = json.loads(said.read_text(encoding="utf-8"))["address"]
        for _ in range(2):
            started.append(
                subprocess.Popen(
                    [sys.executable, "-m", "distributed.cli.dask_worker", address, *words,
                     "--nthreads", "1", "--no-nanny", "--local-directory", str(tmp_path)], **common,
                )
            )  # fmt: skip
        yield address, started[1:]
    finally:
        for process in reversed(started):
            process.kill()
            process.wait()


@pytest.mark.slow
def test_a_lost_worker_loses_no_result_and_counts_none_twice(cluster, tmp_path, monkeypatch):
    address, workers = cluster
    log, keep = tmp_path / "log", tmp_path / "kept"
    tasks = [{"x": x, "log": str(log), "sleep": 0.5} for x in range(24)]
    killer = subprocess.Popen(
        [sys.executable, "-c", f"""
import os, signal, time
while True:
    try:
        seen = {{line.split()[1] for line in open({str(log)!r})}}
    except OSError:
        seen = set()
    if len(seen) == 2:
        break
    time.sleep(0.05)
os.kill({workers[0].pid}, {int(signal.SIGKILL)})
"""]
    )  # fmt: skip
    monkeypatch.syspath_prepend(str(Path(__file__).parent))
    import test_jobs

    found = run_jobs(test_jobs.square, tasks, scheduler=address, keep=keep)
    assert killer.wait(60) == 0
    assert workers[0].wait(60) == -signal.SIGKILL
    assert [r["square"] for r in found] == [x**2 for x in range(24)]
    assert len(list(keep.iterdir())) == 24
    lines = [line.split() for line in log.read_text(encoding="utf-8").splitlines()]
    assert {x for x, _ in lines} == {str(x) for x in range(24)}
    assert len({pid for _, pid in lines}) == 2
