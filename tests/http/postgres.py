"""A PostgreSQL server for the tests: of Debian's package, in a folder of its own, run by another user where we are root
(initdb refuses root)."""
import os
import pathlib
import pwd
import secrets
import shutil
import signal
import socket
import subprocess
import tempfile
import time

USERS = ("postgres", "nobody")


def programs():
    """The folder of initdb and postgres; None: not installed."""
    found = sorted(pathlib.Path("/usr/lib/postgresql").glob("*/bin/initdb"),
                   key=lambda path: int(path.parts[-3]) if path.parts[-3].isdigit() else 0)
    if found:
        return found[-1].parent
    path = shutil.which("initdb")
    return pathlib.Path(path).parent if path else None


def _free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class Postgres:
    """Databases by number: each url() that names a new one makes it."""

    def __init__(self):
        self.programs = programs()
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="infomask-postgres-"))
        self.data = self.folder / "data"
        self.password = secrets.token_hex(8)
        self.password_file = self.folder / "password"
        self.password_file.write_text(self.password + "\n")
        self.port = _free_port()
        self.databases = set()
        self.as_user = {}
        if os.geteuid() == 0:
            user = next(name for name in USERS if name in {entry.pw_name for entry in pwd.getpwall()})
            entry = pwd.getpwnam(user)
            self.as_user = {"user": entry.pw_uid, "group": entry.pw_gid, "extra_groups": []}
            os.chown(self.folder, entry.pw_uid, entry.pw_gid)
            os.chown(self.password_file, entry.pw_uid, entry.pw_gid)
        self._run("initdb", "-D", self.data, "-U", "infomask", "-A", "scram-sha-256", "--pwfile", self.password_file,
                  "-E", "UTF8", "--locale=C", "--no-sync")
        with open(self.data / "postgresql.conf", "a", encoding="ascii") as settings:
            settings.write(f"port = {self.port}\nlisten_addresses = '127.0.0.1,127.0.0.2'\n"
                           f"unix_socket_directories = '{self.folder}'\nmax_connections = 200\n"
                           "shared_buffers = 32MB\nlogging_collector = off\nfsync = off\n")
        self.process = None
        self.start()

    def _run(self, program, *arguments):
        return subprocess.run([self.programs / program, *map(str, arguments)], check=True, stdout=subprocess.PIPE,
                              stderr=subprocess.PIPE, text=True, cwd="/", env=self._environment(), **self.as_user).stdout

    def _environment(self):
        return {"PATH": os.environ["PATH"], "PGPASSWORD": self.password, "PGHOST": "127.0.0.1", "PGPORT": str(self.port),
                "PGUSER": "infomask", "LC_ALL": "C"}

    def start(self, wait=True):
        with open(self.folder / "log", "ab") as log:
            self.process = subprocess.Popen([self.programs / "postgres", "-D", self.data], stdout=log, stderr=log, cwd="/",
                                            start_new_session=True, env=self._environment(), **self.as_user)
        deadline = time.monotonic() + 60
        while wait and subprocess.run([self.programs / "pg_isready", "-q"], env=self._environment()).returncode != 0:
            assert self.process.poll() is None and time.monotonic() < deadline, (self.folder / "log").read_text()
            time.sleep(0.05)

    def stop(self, number=signal.SIGINT):
        """SIGINT: a fast shutdown.  SIGQUIT: at once, recovering at the next start."""
        if self.process.poll() is None:
            self.process.send_signal(number)
            self.process.wait(60)

    def _processes(self):
        found = [self.process.pid]
        for child in pathlib.Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read_text().split():
            found.append(int(child))
        return found

    def pause(self):
        """Everything of it stands still: connections stay open, and nobody answers."""
        for process in self._processes():
            os.kill(process, signal.SIGSTOP)

    def resume(self):
        for process in self._processes():
            os.kill(process, signal.SIGCONT)

    def sql(self, database, text):
        """What psql prints, a line a row, with | between the columns."""
        return self._run("psql", "-X", "-q", "-A", "-t", "-v", "ON_ERROR_STOP=1", "-d", database, "-c", text).strip()

    def url(self, database):
        if database not in self.databases:
            self._run("createdb", database)
            self.databases.add(database)
        return f"postgresql://infomask@127.0.0.1:{self.port}/{database}"

    def speak_tls(self, name="localhost"):
        """With a certificate for that name, made by an authority of its own; the authority's certificate lies beside the
        password.  Other certificates than before are used by new connections only."""
        authority, request, key = (self.folder / f"{word}-{name}" for word in ("ca", "request", "key"))
        ca = authority.with_suffix(".pem")
        for arguments in (
                ["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout",
                 authority.with_suffix(".key"), "-out", ca, "-subj", "/CN=An authority", "-days", "2"],
                ["req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout", key, "-out", request,
                 "-subj", f"/CN={name}", "-addext", f"subjectAltName=DNS:{name}"],
                ["x509", "-req", "-in", request, "-CA", ca, "-CAkey", authority.with_suffix(".key"), "-CAcreateserial",
                 "-copy_extensions", "copy", "-out", self.data / "server.crt", "-days", "2"]):
            subprocess.run(["openssl", *map(str, arguments)], check=True, capture_output=True)
        shutil.copy(key, self.data / "server.key")
        for path in (self.data / "server.crt", self.data / "server.key"):
            path.chmod(0o600)
            if self.as_user:
                os.chown(path, self.as_user["user"], self.as_user["group"])
        ca.chmod(0o644)
        self.sql("postgres", "ALTER SYSTEM SET ssl = on")
        self.sql("postgres", "SELECT pg_reload_conf()")
        return ca

    def flags(self, database):
        """Of a daemon whose state is in that database."""
        return ("--state", self.url(database), "--state-password", self.password_file)

    def close(self):
        self.stop(signal.SIGQUIT)
        shutil.rmtree(self.folder, ignore_errors=True)
