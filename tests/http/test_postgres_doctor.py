"""State on a PostgreSQL server: what doctor says of it, and TLS on the way to it."""
import json
import subprocess

import pytest

import conftest
import postgres
from conftest import BINARY, until

if postgres.programs() is None or not conftest.ON_SERVER:
    pytest.skip("takes long: make test-postgres", allow_module_level=True)


@pytest.fixture(scope="module")
def database(request):
    server = postgres.Postgres()
    server.password_file.chmod(0o600)
    request.addfinalizer(server.close)
    return server


@pytest.fixture
def name(request):
    """Of a database of the test's own."""
    return "db_" + "".join(c if c.isalnum() else "_" for c in request.node.name).lower()[:50]


def doctor(url, password=None):
    """The lines of the check, the worst state first."""
    done = subprocess.run([BINARY, "doctor", "state", "--json", "--state", url,
                           *(["--state-password", str(password)] if password else [])], capture_output=True, text=True,
                          env=conftest.ENVIRONMENT)
    answer = json.loads(done.stdout)
    assert done.returncode == (answer["state"] == "fail"), done.stderr
    return [(line["state"], line["text"]) for line in answer["checks"]]


def says(lines, state, part):
    assert any(line[0] == state and part in line[1] for line in lines), lines


def all_ok(lines):
    assert {state for state, _ in lines} == {"ok"}, lines
    return " ".join(text for _, text in lines)


def test_a_server_that_will_do(database, make_server, name):
    url = database.url(name)
    assert "the tables will be made" in all_ok(doctor(url, database.password_file))
    assert database.sql(name, "SELECT to_regnamespace('infomask') IS NULL") == "t"  # nothing was changed
    server = make_server(*database.flags(name))
    until(lambda: server.ask(path="/readyz").status == 200)
    version = database.sql(name, "SELECT number FROM infomask.version")
    assert f"its tables are of version {version}" in all_ok(doctor(url, database.password_file))


def test_a_server_that_will_not_let_in(database, name):
    url = database.url(name)
    says(doctor(url), "fail", "no password")
    wrong = database.folder / "wrong"
    wrong.write_text("wrong\n")
    wrong.chmod(0o644)
    lines = doctor(url, wrong)
    says(lines, "fail", "password authentication failed")
    says(lines, "warn", "can be read by everybody")
    says(doctor(url, database.folder / "none"), "fail", "state_password")
    says(doctor(url.replace(name, "nothing"), database.password_file), "fail", '"nothing" does not exist')
    says(doctor("postgresql://infomask@127.0.0.1:1/x"), "fail", "127.0.0.1")
    says(doctor("postgresql://infomask:secret@127.0.0.1/x"), "fail", "can be read by others")


def test_users_without_rights(database, make_server, name):
    url = database.url(name)
    database.sql("postgres", "DO $$ BEGIN CREATE ROLE guest LOGIN PASSWORD 'guest'; EXCEPTION WHEN duplicate_object THEN END $$")
    secret = database.folder / "guest"
    secret.write_text("guest")
    secret.chmod(0o600)
    guest = url.replace("infomask@", "guest@")
    says(doctor(guest, secret), "fail", "may not make the tables")
    server = make_server(*database.flags(name))
    until(lambda: server.ask(path="/readyz").status == 200)
    says(doctor(guest, secret), "fail", "may not read and write")
    database.sql(name, "GRANT USAGE ON SCHEMA infomask TO guest; GRANT ALL ON ALL TABLES IN SCHEMA infomask TO guest")
    all_ok(doctor(guest, secret))
    database.sql(name, "REVOKE DELETE ON infomask.sample FROM guest")
    says(doctor(guest, secret), "fail", "may not read and write")
    database.sql(name, "GRANT DELETE ON infomask.sample TO guest; UPDATE infomask.version SET number = 1, oldest = 1")
    says(doctor(guest, secret), "fail", "may not change the tables")
    assert "will be changed" in all_ok(doctor(url, database.password_file))


def test_servers_that_will_not_do(database, make_server, name):
    url = database.url(name)
    server = make_server(*database.flags(name))
    until(lambda: server.ask(path="/readyz").status == 200)
    database.sql(name, "UPDATE infomask.version SET number = 9, oldest = 2")
    all_ok(doctor(url, database.password_file))
    database.sql(name, "UPDATE infomask.version SET oldest = 9")
    says(doctor(url, database.password_file), "fail", "the tables are of version 9")
    database.sql(name, "UPDATE infomask.version SET number = 2, oldest = 1")
    database.sql("postgres", f"ALTER DATABASE {name} SET default_transaction_read_only = on")
    says(doctor(url, database.password_file), "fail", "read only")
    database.sql("postgres", f"ALTER DATABASE {name} RESET default_transaction_read_only")
    database.sql("postgres", f"CREATE DATABASE {name}_ascii ENCODING 'SQL_ASCII' TEMPLATE template0")
    says(doctor(url + "_ascii", database.password_file), "fail", "does not hold UTF-8")
    says(doctor(url.replace("127.0.0.1", "127.0.0.2") + "?sslmode=disable", database.password_file), "warn",
         "nothing is encrypted")


# ---- TLS ---------------------------------------------------------------------------------------------------------------


def by_tls(database, name, options):
    url = database.url(name).replace("127.0.0.1", "localhost")
    return f"{url}?hostaddr=127.0.0.1&{options}"


def test_the_servers_certificate_is_checked(database, make_server, name):
    """A service that may not trust the server is not ready, and says why; one that may is encrypted."""
    other = database.speak_tls("other.example")
    ca = database.speak_tls()
    good = by_tls(database, name, f"sslmode=verify-full&sslrootcert={ca}")
    server = make_server("--state", good, "--state-password", database.password_file)
    until(lambda: server.ask(path="/readyz").status == 200)
    assert database.sql(name, "SELECT DISTINCT ssl FROM pg_stat_ssl JOIN pg_stat_activity USING (pid)"
                              " WHERE application_name = 'infomask' AND datname = current_database()") == "t"
    assert "answers by TLS" in all_ok(doctor(good, database.password_file))
    estimate = server.ask("POST", "/v1/estimates", b"{}")
    assert estimate.status == 201

    bad = by_tls(database, name, f"sslmode=verify-full&sslrootcert={other}")
    says(doctor(bad, database.password_file), "fail", "certificate verify failed")
    server = make_server("--state", bad, "--state-password", database.password_file)
    server.logged("certificate verify failed")
    assert server.ask(path="/readyz").code == "no_state"
    assert server.ask("POST", "/v1/estimates", b"{}").code == "no_state"


def test_the_servers_name_is_checked(database, name):
    ca = database.speak_tls("other.example")
    says(doctor(by_tls(database, name, f"sslmode=verify-full&sslrootcert={ca}"), database.password_file), "fail",
         "does not match host name")
    assert "by TLS" in all_ok(doctor(by_tls(database, name, f"sslmode=verify-ca&sslrootcert={ca}"), database.password_file))
    assert "by TLS" not in all_ok(doctor(by_tls(database, name, "sslmode=disable"), database.password_file))
