"""State on a PostgreSQL server: replicas behave as one, whatever becomes of the server or of one of them."""
import json
import random
import signal
import subprocess
import threading
import time

import pytest

import conftest
import postgres
from conftest import BINARY, PATIENT, until
from test_estimates import form, photo
from wire import Closed

BASE = "/v1/estimates"

if postgres.programs() is None and not conftest.ON_SERVER:
    pytest.skip("PostgreSQL is not installed: make deps-postgres", allow_module_level=True)
takes_long = pytest.mark.skipif(not conftest.ON_SERVER, reason="takes long: make test-postgres")


@pytest.fixture(scope="module")
def database(request):
    """The server of this file: of its own, because it is stopped and paused."""
    server = postgres.Postgres()
    request.addfinalizer(server.close)
    return server


@pytest.fixture
def flags(database, request):
    """Of a daemon with a database of the test's own."""
    return (*database.flags("db_" + "".join(c if c.isalnum() else "_" for c in request.node.name).lower()[:50]), *PATIENT)


def name_of(flags):
    return flags[1].rsplit("/", 1)[1]


def create(server, body=b"{}"):
    response = server.ask("POST", BASE, body)
    assert response.status == 201, response.text
    return response.json["id"]


def post(server, estimate, number, label=1, headers=()):
    return server.ask("POST", f"{BASE}/{estimate}/samples?label={label}&sample=s{number}", photo(number % 40), headers)


def read(server, estimate, query="suspects=5"):
    response = server.ask(path=f"{BASE}/{estimate}?{query}")
    assert response.status == 200, response.text
    return {key: value for key, value in response.json.items() if key not in ("id", "created", "request_id")}


def ready(server):
    return until(lambda: server.ask(path="/readyz").status == 200)


# ---- As one -----------------------------------------------------------------------------------------------------------


def test_what_one_makes_the_other_has(make_server, flags):
    a, b = make_server(*flags), make_server(*flags)
    estimate = create(a, b'{"name": "both"}')
    assert [post(server, estimate, i).json["samples"] for i, server in enumerate((a, b, a, b))] == [1, 2, 3, 4]
    assert read(a, estimate) == read(b, estimate)
    assert read(b, "both")["samples"] == 4
    assert [row["id"] for row in b.ask(path=BASE).json["estimates"]] == [estimate]
    assert b.ask("DELETE", f"{BASE}/{estimate}").status == 204
    assert a.ask(path=f"{BASE}/{estimate}").code == "no_such_estimate"


def test_both_go_on_with_a_list(make_server, flags):
    """From a page of the one to the next of the other, though the estimate between them was deleted."""
    a, b = make_server(*flags), make_server(*flags)
    ids = [create(a) for _ in range(5)]
    first = a.ask(path=f"{BASE}?limit=2").json
    assert b.ask("DELETE", f"{BASE}/{ids[1]}").status == 204
    ids.append(create(b))
    second = b.ask(path=f"{BASE}?limit=2&after={first['next']}").json
    third = a.ask(path=f"{BASE}?limit=2&after={second['next']}").json
    assert [[row["id"] for row in page["estimates"]] for page in (first, second, third)] == [ids[:2], ids[2:4], ids[4:]]
    assert third["next"] is None


def test_the_same_bits_as_in_a_file(make_server, flags, tmp_path):
    """Reports, limits and the audit, whoever took which photo in whatever order."""
    replicas = [make_server(*flags) for _ in range(2)]
    alone = make_server("--state", "sqlite", "--state-dir", tmp_path, *PATIENT)
    shared, own = create(replicas[0]), create(alone)
    order = list(range(40))
    random.Random(5).shuffle(order)
    for i in order:
        assert post(replicas[i % 2], shared, i, i % 5).status == 201
    for i in range(40):
        assert post(alone, own, i, i % 5).status == 201
    here, there = read(alone, own), read(replicas[1], shared)
    assert here["samples"] == 40 and here == there
    assert read(alone, own, "prior=uniform") == read(replicas[0], shared, "prior=uniform")


def command_line(folder, *arguments):
    return subprocess.run([BINARY, "estimate", "--json", *map(str, arguments)], capture_output=True, text=True,
                          cwd=conftest.ROOT, env={**conftest.ENVIRONMENT, "STATE_DIRECTORY": str(folder)})


def test_the_command_line_keeps_its_estimates_there(make_server, flags, tmp_path):
    """As in a file; the service reads them; names are found for --merge and --compare."""
    for i in range(8):
        (tmp_path / "photos" / str(i % 3)).mkdir(parents=True, exist_ok=True)
        (tmp_path / "photos" / str(i % 3) / f"{i}.png").write_bytes(photo(i))

    def run(*arguments, code=0):
        ran = command_line(tmp_path, *arguments)
        assert ran.returncode == code, ran.stderr
        return json.loads(ran.stdout) if code == 0 else ran.stderr

    def numbers(report):
        own = ("id", "name", "created", "request_id", "added", "known", "rejected", "rejected_in_all")
        return {key: value for key, value in report.items() if key not in own}

    images = ("digits", "--images", tmp_path / "photos", "--name")
    here = run(*images, "set", "--store", tmp_path / "own.db")
    there = run(*images, "set", *flags[:4])
    assert here["added"] == there["added"] == 8 and numbers(here) == numbers(there)
    again = run(*images, "set", *flags[:4])
    assert (again["added"], again["known"]) == (0, 8) and numbers(again) == numbers(there)
    assert not (tmp_path / "estimates.db").exists()

    server = make_server(*flags)
    assert [row["name"] for row in server.ask(path=BASE).json["estimates"]] == ["set"]
    told = read(server, "set")
    assert {key: told[key] for key in ("mutual_information", "classes", "accuracy")} == {
        key: there[key] for key in ("mutual_information", "classes", "accuracy")}

    run(*images, "flat", *flags[:4], "--prior", "uniform")
    assert run("--compare", "set", "flat", *flags[:4])["samples"] == 8
    assert numbers(run("--merge", "set", *flags[:4])) == numbers(there)
    assert 'no estimate "none"' in run("--merge", "none", *flags[:4], code=1)


@takes_long
def test_the_command_line_says_why_the_server_does_not_answer(flags, tmp_path):
    ran = command_line(tmp_path, "--merge", "set", *flags[:2])
    assert ran.returncode == 1 and name_of(flags) in ran.stderr and "no password" in ran.stderr


@takes_long
def test_posts_to_both_at_once(make_server, flags):
    replicas = [make_server(*flags) for _ in range(2)]
    estimate = create(replicas[0])
    answers, lock = [], threading.Lock()

    def run(worker):
        for i in range(15):  # every sample is sent twice, to one and to the other
            parts = form([("1", f"{(worker // 2) * 15 + i}-{k}.png", photo((worker * 15 + i) % 40)) for k in range(2)])
            response = replicas[worker % 2].ask("POST", f"{BASE}/{estimate}/samples", *parts)
            with lock:
                answers.append(response)

    workers = [threading.Thread(target=run, args=(i,)) for i in range(6)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert {answer.status for answer in answers} <= {200, 201, 409}
    accepted = sum(answer.json["accepted"] for answer in answers)
    assert accepted == 3 * 15 * 2
    reports = [read(server, estimate) for server in replicas]
    assert reports[0] == reports[1] and reports[0]["samples"] == accepted
    assert reports[0]["samples"] == sum(row["samples"] for row in reports[0]["classes"])


def test_four_start_at_once(database, make_server, flags):
    """On an empty database: one makes the tables, the others find them."""
    servers, lock = [], threading.Lock()

    def start():
        server = make_server(*flags)
        with lock:
            servers.append(server)

    threads = [threading.Thread(target=start) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for server in servers:
        ready(server)
    estimate = create(servers[0])
    assert all(post(server, estimate, i).status == 201 for i, server in enumerate(servers))
    assert database.sql(name_of(flags), "SELECT count(*) FROM infomask.version") == "1"


def test_names_come_back_as_they_were_sent(make_server, flags):
    server = make_server(*flags)
    estimate = create(server, '{"name": "Zoë’s “set” \\\\ %s ?1 $1 \' -- "}'.encode())
    assert read(server, estimate)["name"] == "Zoë’s “set” \\ %s ?1 $1 ' -- "
    parts = form([("1", "päth/’; DROP TABLE sample; --.png", photo(1)), ("1", "?2 $2.png", photo(2))])
    assert server.ask("POST", f"{BASE}/{estimate}/samples", *parts).json["accepted"] == 2
    assert server.ask("POST", f"{BASE}/{estimate}/samples", *parts).json["known"] == 2
    assert server.ask(path=f"{BASE}/%ff%fe").status in (400, 404)
    assert server.ask("POST", f"{BASE}/{estimate}/samples?label=1&sample=%ff", photo(3)).status == 400
    assert read(server, estimate)["samples"] == 2


def test_a_full_state_is_507(database, make_server, flags):
    """Until something is deleted; what is there can be read all the while."""
    server = make_server(*flags, "--state-limit", "1M")
    estimate = create(server)
    assert post(server, estimate, 1).status == 201
    database.sql(name_of(flags), "INSERT INTO infomask.job(id, owner, request_id, route, replica, state, made, beat, body)"
                                 " VALUES ('x', 0, '', '', '', 1, 0, 1e12, repeat('x', 1100000)::bytea)")
    full = until(lambda: (answer := post(server, estimate, 2)).status == 507 and answer)
    assert full.code == "state_full" and "state_limit" in full.json["detail"]
    assert server.ask("POST", BASE, b"{}").code == "state_full"
    assert server.ask("POST", FILTER, photo(1), ASYNC).code == "state_full"
    assert read(server, estimate)["samples"] <= 40 and server.ask("POST", "/v1/classify", photo(1)).status == 200
    database.sql(name_of(flags), "DELETE FROM infomask.job")
    until(lambda: post(server, estimate, 3).status in (200, 201))


# ---- The traffic -------------------------------------------------------------------------------------------------------


def traffic(server, query=""):
    response = server.ask(path=f"/v1/models/digits/information{query}")
    assert response.status == 200, response.text
    return {key: value for key, value in response.json.items() if key != "request_id"}


def classify(server, numbers):
    for i in numbers:
        assert server.ask("POST", "/v1/classify?model=digits", photo(i)).status == 200


def test_the_traffic_is_one(make_server, flags, tmp_path):
    """Every replica tells the same, and what one photo after the other tells in a file."""
    a, b = make_server(*flags), make_server(*flags)
    alone = make_server("--state", "sqlite", "--state-dir", tmp_path, *PATIENT)
    for i in range(0, 40, 5):
        for server in ((a, b)[i % 2], alone):
            classify(server, range(i, i + 5))
        assert traffic((a, b)[i % 2]) == traffic(alone)  # it tells what it saw before
    assert traffic(a) == traffic(b) and traffic(a)["total"] == 40
    classify(a, range(40, 43))
    until(lambda: traffic(b)["total"] == 43)  # without anybody asking
    a.signal(signal.SIGKILL)
    before = traffic(b)
    b.stop()
    assert traffic(make_server(*flags)) == before


def test_the_baseline_is_one(make_server, flags):
    a, b = make_server(*flags), make_server(*flags)
    estimates = [create(a, b'{"model": "digits"}') for _ in range(2)]
    digits = [path.read_bytes() for path in sorted((conftest.ROOT / "tests/data/digits").glob("*.png"))]
    for estimate in estimates:
        parts = form([("1", f"{i}.png", digits[i % len(digits)]) for i in range(31)])
        assert a.ask("POST", f"{BASE}/{estimate}/samples", *parts).json["accepted"] == 31
    classify(a, range(30))
    assert a.ask("POST", "/v1/classify?model=digits", digits[0]).status == 200
    assert traffic(a)["total"] == 31
    told = traffic(b, f"?baseline={estimates[1]}")
    assert told["z"] is not None, told
    here, there = traffic(a), traffic(b)
    assert here == there and here["baseline"]["estimate"] == estimates[1]
    metrics = [server.ask(path="/metrics").text for server in (a, b)]
    lines = [[line for line in text.splitlines() if line.startswith("infomask_traffic")] for text in metrics]
    assert lines[0] == lines[1] and any("z{" in line for line in lines[0])


@takes_long
def test_photos_of_an_outage_are_counted_after_it(database, make_server, flags):
    a, b = make_server(*flags), make_server(*flags)
    classify(a, range(2))
    until(lambda: traffic(b)["total"] == 2)
    database.stop()
    classify(a, range(2, 5))
    classify(b, range(5, 9))
    assert a.metric('infomask_traffic_photos_total{model="digits"}') == 5  # what it knew, and what it saw
    database.start()
    for server in (a, b):
        ready(server)
        until(lambda: traffic(server)["total"] == 9)
    assert traffic(a) == traffic(b)


def test_tables_of_the_version_before_get_what_they_lack(database, make_server, flags):
    """And the version before may go on with them."""
    server = make_server(*flags)
    estimate = create(server)
    server.stop()
    now = database.sql(name_of(flags), "SELECT number, oldest FROM infomask.version")
    database.sql(name_of(flags), "DROP TABLE infomask.traffic_step, infomask.traffic_part, infomask.traffic;"
                                 "UPDATE infomask.version SET number = 1, oldest = 1")
    server = make_server(*flags)
    assert post(server, estimate, 1).status == 201
    classify(server, range(3))
    assert traffic(server)["total"] == 3
    assert database.sql(name_of(flags), "SELECT number, oldest FROM infomask.version") == now != "1|1"


# ---- Jobs --------------------------------------------------------------------------------------------------------------

ASYNC = [("Prefer", "respond-async")]
FILTER = "/v1/filter?target=0&fill=mean&mode=remove"


def job_of(server, path, body, headers=()):
    response = server.ask("POST", path, body, [*ASYNC, *headers])
    assert response.status == 202, response.text
    return response.get("Location")


def finished(server, address, headers=()):
    return until(lambda: (job := server.ask(path=address, headers=headers)).json["status"] in ("done", "failed") and job.json)


def test_a_job_is_answered_for_by_the_other(make_server, flags):
    a, b = make_server(*flags), make_server(*flags)
    address = job_of(a, FILTER, photo(1))
    assert b.ask(path=address).json["status"] in ("waiting", "running", "done")  # at once
    there = finished(b, address)
    here = a.ask(path=address).json
    timeless = ("age_s", "expires_in_s", "progress")
    assert {k: v for k, v in here.items() if k not in timeless} == {k: v for k, v in there.items() if k not in timeless}
    results = [server.ask(path=address + "/result") for server in (a, b)]
    assert results[0].status == 200 and results[0].body == results[1].body
    assert len(results[1].body) == there["result"]["bytes"]
    own = [[h for h in result.headers if h[0] not in ("X-Request-Id", "Date", "Server-Timing")] for result in results]
    assert own[0] == own[1]
    a.stop()
    assert b.ask(path=address + "/result").body == results[0].body  # it outlives the one that made it
    assert b.ask("DELETE", address).status == 204
    assert b.ask(path=address).code == "no_such_job"


def test_a_failed_job_and_one_that_was_forgotten_elsewhere(make_server, flags):
    a, b = make_server(*flags), make_server(*flags)
    failed = job_of(a, FILTER, b"no photo at all")
    assert finished(b, failed)["status"] == "failed"
    answers = [server.ask(path=failed + "/result") for server in (a, b)]
    assert answers[0].status == answers[1].status >= 400 and answers[0].code == answers[1].code
    address = job_of(a, FILTER, photo(2))
    assert b.ask("DELETE", address).status == 204
    assert a.ask(path=address).code == b.ask(path=address).code == "no_such_job"
    assert a.ask("DELETE", address).code == "no_such_job"


def test_samples_as_a_job(make_server, flags):
    a, b = make_server(*flags), make_server(*flags)
    estimate = create(a)
    address = job_of(a, f"{BASE}/{estimate}/samples?label=1&sample=x", photo(3))
    assert finished(b, address)["status"] == "done"
    assert b.ask(path=address + "/result").json["accepted"] == 1 and read(b, estimate)["samples"] == 1


def test_a_job_of_a_replica_that_died_is_gone(database, make_server, flags):
    a, b = make_server(*flags), make_server(*flags)
    address = job_of(a, FILTER, photo(2))
    finished(b, address)
    a.signal(signal.SIGKILL)
    assert b.ask(path=address + "/result").status == 200
    database.sql(name_of(flags), "UPDATE infomask.job SET state = 1, beat = beat - 31")  # as if it had died before the end
    assert b.ask(path=address).code == "no_such_job"


# ---- Between commit and answer ----------------------------------------------------------------------------------------


@pytest.fixture
def no_commit_ends(database):
    """Commits are durable, and are not told: they wait for a second server that does not exist."""

    def begin():
        database.sql("postgres", "ALTER SYSTEM SET synchronous_standby_names = 'nobody'")
        database.sql("postgres", "SELECT pg_reload_conf()")
        until(lambda: database.sql("postgres", "SHOW synchronous_standby_names") == "nobody")

    def end():
        database.sql("postgres", "ALTER SYSTEM RESET synchronous_standby_names")
        database.sql("postgres", "SELECT pg_reload_conf()")
        until(lambda: database.sql("postgres", "SHOW synchronous_standby_names") == "")

    def waiting():
        return database.sql("postgres", "SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'SyncRep'") != "0"

    yield begin, waiting, end
    end()


def test_killed_between_commit_and_answer(database, make_server, flags, no_commit_ends):
    begin, waiting, end = no_commit_ends
    a, b = make_server(*flags), make_server(*flags)
    estimate = create(a)
    assert post(b, estimate, 1).status == 201
    begin()
    outcome = []

    def ask():
        try:
            outcome.append(post(a, estimate, 2))
        except (Closed, OSError):
            outcome.append(None)

    thread = threading.Thread(target=ask)
    thread.start()
    until(waiting)
    a.signal(signal.SIGKILL)
    thread.join()
    assert outcome == [None]
    end()
    response = until(lambda: (answer := post(b, estimate, 2)).status == 200 and answer)
    assert response.json["known"] == 1 and response.json["accepted"] == 0 and response.json["samples"] == 2
    assert read(b, estimate)["samples"] == 2


def test_a_connection_that_breaks_at_the_commit(database, make_server, flags, no_commit_ends):
    """It is not known whether it was committed: the daemon looks, and the sample is there once."""
    begin, waiting, end = no_commit_ends
    server = make_server(*flags)
    estimate = create(server)
    begin()
    outcome = []
    thread = threading.Thread(target=lambda: outcome.append(post(server, estimate, 2)))
    thread.start()
    until(waiting)
    end()
    database.sql("postgres", "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE wait_event = 'SyncRep'")
    thread.join()
    assert outcome[0].status in (200, 201) and outcome[0].json["samples"] == 1
    assert read(server, estimate)["samples"] == 1


# ---- The server goes --------------------------------------------------------------------------------------------------


def is_no_state(response):
    return (response.status, response.code) == (503, "no_state")


@takes_long
def test_away_at_the_start(database, make_server, flags):
    database.stop()
    try:
        server = make_server(*flags)
        assert is_no_state(server.ask(path="/readyz"))
        assert server.ask(path="/v2/health/ready").status == 503 and server.metric("infomask_ready") == 0
        response = server.ask("POST", BASE, b"{}")
        assert is_no_state(response) and "server cannot be reached" in response.json["detail"]
        assert server.ask("POST", "/v1/classify", photo(1)).status == 200 and server.ask().status == 200
        server.logged("the state's server cannot be reached")
    finally:
        database.start()
    ready(server)
    assert post(server, create(server), 1).status == 201
    server.logged("the state's server answers")


@takes_long
def test_restarted_while_samples_come(database, make_server, flags):
    """A quick restart is waited for: no post fails, none is lost, and none counts twice."""
    servers = [make_server(*flags) for _ in range(2)]
    estimate = create(servers[0])
    ended, answers = threading.Event(), []

    def run(worker):
        number = worker
        while not ended.is_set():
            answers.append((number, post(servers[number % 2], estimate, number)))
            number += 4
            time.sleep(0.05 if answers[-1][1].status < 400 else 0.5)

    workers = [threading.Thread(target=run, args=(i,)) for i in range(4)]
    for worker in workers:
        worker.start()
    for how in (signal.SIGINT, signal.SIGQUIT):
        until(lambda seen=len(answers): len(answers) > seen + 8)
        database.stop(how)
        database.start()
    until(lambda seen=len(answers): len(answers) > seen + 8)
    ended.set()
    for worker in workers:
        worker.join()
    refused = [answer for _, answer in answers if answer.status not in (200, 201)]
    assert all(is_no_state(answer) for answer in refused)  # a slow machine may take longer than is waited for
    for number in [number for number, answer in answers if answer.status >= 400]:
        assert until(lambda n=number: post(servers[0], estimate, n).status in (200, 201))
    assert read(servers[1], estimate)["samples"] == len({number for number, _ in answers})
    rows = database.sql(name_of(flags), "SELECT count(*), count(DISTINCT id) FROM infomask.sample")
    assert rows == f"{len(answers)}|{len(answers)}"


@takes_long
def test_stopped_and_started_again(database, make_server, flags):
    server = make_server(*flags)
    estimate = create(server)
    assert post(server, estimate, 1).status == 201
    database.stop()
    try:
        until(lambda: is_no_state(server.ask(path="/readyz")))
        until(lambda: is_no_state(post(server, estimate, 2)))
        before = time.monotonic()
        for _ in range(5):  # after the first seconds nobody waits any more
            assert is_no_state(server.ask(path=f"{BASE}/{estimate}"))
        assert time.monotonic() - before < 4 * conftest.SLOW
    finally:
        database.start()
    ready(server)
    assert post(server, estimate, 2).json["samples"] == 2


@takes_long
def test_a_server_that_stands_still_holds_nobody(database, make_server, flags):
    server = make_server(*flags, "--threads", 1)
    estimate = create(server)
    database.pause()
    try:
        before = time.monotonic()
        response = server.ask(path=f"{BASE}/{estimate}", headers=[("X-Request-Timeout", "1")])
        assert response.status in (503, 504) and time.monotonic() - before < 3 * conftest.SLOW
        until(lambda: is_no_state(server.ask(path="/readyz")))
        assert server.ask("POST", "/v1/classify", photo(1)).status == 200
    finally:
        database.resume()
    ready(server)
    assert until(lambda: post(server, estimate, 1).status in (200, 201))
    assert read(server, estimate)["samples"] == 1


@takes_long
def test_a_replica_that_stands_still_holds_nobody(database, make_server, flags):
    """A transaction of a daemon that was stopped in the middle is ended by the server."""
    a, b = make_server(*flags), make_server(*flags)
    estimate = create(a)
    name = name_of(flags)
    database.sql(name, "CREATE FUNCTION infomask.slow() RETURNS trigger LANGUAGE plpgsql AS"
                       " $$BEGIN PERFORM pg_sleep(1); RETURN NEW; END$$")
    database.sql(name, "CREATE TRIGGER slow BEFORE INSERT ON infomask.logits FOR EACH ROW EXECUTE FUNCTION infomask.slow()")
    thread = threading.Thread(target=lambda: post(a, estimate, 1))
    thread.start()
    until(lambda: database.sql(name, "SELECT count(*) FROM pg_stat_activity WHERE query LIKE 'INSERT INTO logits%'"
                                     " AND state = 'active'") == "1")
    a.signal(signal.SIGSTOP)
    try:
        assert until(lambda: post(b, estimate, 2).status in (200, 201))
    finally:
        a.signal(signal.SIGCONT)
    thread.join()
    assert post(b, estimate, 1).status in (200, 201)
    assert read(b, estimate)["samples"] == read(a, estimate)["samples"] == 2


# ---- What may be wrong ------------------------------------------------------------------------------------------------


def test_a_wrong_password_is_told_and_can_be_mended(database, make_server, flags, tmp_path):
    file = tmp_path / "password"
    file.write_text("wrong\n")
    server = make_server(*flags[:2], "--state-password", file)
    server.logged("password authentication failed")
    assert is_no_state(server.ask(path="/readyz"))
    assert database.password not in "\n".join(server.lines)
    file.write_text(database.password)
    ready(server)


@takes_long
def test_versions_of_the_tables(database, make_server, flags):
    ready(make_server(*flags))
    name = name_of(flags)
    database.sql(name, "UPDATE infomask.version SET number = number + 1")  # newer, and may be used by us
    ready(make_server(*flags))
    database.sql(name, "UPDATE infomask.version SET oldest = number")
    server = make_server(*flags)
    server.logged("the server's state is of version")
    assert is_no_state(server.ask(path="/readyz"))


def serve(*flags, env=None):
    return subprocess.run([BINARY, "serve", "--port", "0", *map(str, flags)], capture_output=True, text=True, timeout=60,
                          env={**conftest.ENVIRONMENT, "STATE_DIRECTORY": conftest.STATE, **(env or {})}, check=False)


@pytest.mark.parametrize("address, sentence", [
    ("mysql://x/y", "state must be sqlite or postgresql://"),
    ("postgresql://infomask:secret@127.0.0.1/x", "name that by state_password"),
    ("postgresql://infomask@127.0.0.1/x?nonsense=1", "nonsense"),
])
def test_wrong_addresses_end_the_start(address, sentence):
    done = serve("--state", address)
    assert done.returncode != 0 and sentence in done.stderr and "secret" not in done.stderr


def test_without_libpq_the_start_says_so(tmp_path):
    (tmp_path / "libpq.so.5").write_text("no library")
    done = serve("--state", "postgresql://infomask@127.0.0.1/x", env={"LD_LIBRARY_PATH": str(tmp_path)})
    assert done.returncode != 0 and "libpq.so.5 is not installed" in done.stderr


def test_sqlite_needs_no_libpq(make_server, tmp_path):
    (tmp_path / "libpq.so.5").write_text("no library")
    server = make_server("--state", "sqlite", "--state-dir", tmp_path / "state", env={"LD_LIBRARY_PATH": str(tmp_path)})
    assert server.ask(path="/readyz").status == 200
    with open(f"/proc/{server.process.pid}/maps", encoding="ascii") as maps:
        assert "/libpq.so" not in maps.read()
    assert json.loads(server.ask("POST", BASE, b"{}").text)["samples"] == 0
