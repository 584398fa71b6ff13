"""infomask doctor: every line that it can say, made to be said."""
import contextlib
import datetime
import json
import os
import pathlib
import random
import resource
import shutil
import socket
import sqlite3
import struct
import subprocess

import pytest

from conftest import BINARY, ROOT

DIGITS = ROOT / "config/models/digits"
VERSION = subprocess.run([BINARY, "version"], capture_output=True, text=True).stdout


@pytest.fixture
def doctor(tmp_path):
    """doctor(*arguments) -> (exit code, {check: [lines]}); a service that would do well unless the arguments say otherwise."""
    shutil.copytree(DIGITS, tmp_path / "models/digits")
    (tmp_path / "state").mkdir()
    clean = {name: value for name, value in os.environ.items() if not name.startswith(("INFOMASK_", "XDG_", "STATE_"))}

    def run(*arguments, limits=None, before=(), state="state", environment=None):
        def set_limits():
            for what, value in (limits or {}).items():
                resource.setrlimit(what, (value, value))

        given = ["--port=0", f"--models-dir={tmp_path / 'models'}", "--isa=auto"] + ([f"--state-dir={tmp_path / state}"] if state else [])
        done = subprocess.run([*before, BINARY, "doctor", "--json", *given, *map(str, arguments)], capture_output=True, text=True,
                              cwd=tmp_path, env={**clean, **(environment or {})}, preexec_fn=set_limits, timeout=120)
        assert done.stdout, done.stderr
        answer, found = json.loads(done.stdout), {}
        for line in answer["checks"]:
            found.setdefault(line["check"], []).append(line)
            assert (line["remedy"] is not None) == (line["state"] != "ok")
        worst = max((line["state"] for line in answer["checks"]), key=["ok", "warn", "fail"].index)
        assert answer["state"] == worst and done.returncode == (worst == "fail"), done.stderr
        return answer["state"], found

    return run


def says(found, check, state, part):
    lines = found.get(check, [])
    assert any(line["state"] == state and part in line["text"] for line in lines), lines


def certificate(folder, *more, name="localhost", key="key.pem", config=None):
    names = ["-addext", f"subjectAltName=DNS:{name},IP:127.0.0.1"] if name else []
    subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout", key,
                    "-out", "cert.pem", "-subj", "/CN=localhost", *names, *more], cwd=folder, check=True, capture_output=True)
    (folder / key).chmod(0o600)
    return "--tls-certificate", folder / "cert.pem", "--tls-key", folder / "key.pem"


def test_a_service_that_would_do_well(doctor, tmp_path):
    (tmp_path / "keys").write_text(f"ops admin {'0' * 64}\n")
    (tmp_path / "keys").chmod(0o600)
    state, found = doctor("--keys", tmp_path / "keys", *certificate(tmp_path, "-days", "90"), "--hosts=localhost")
    problems = [line for lines in found.values() for line in lines if line["state"] == "fail"]
    assert problems == [] and set(found) >= {"settings", "port", "certificate", "keys", "confinement", "state", "disk", "files",
                                             "memory", "kernels", "model"}
    says(found, "certificate", "ok", "for localhost, 127.0.0.1")
    says(found, "model", "ok", "digits (default): answers in")
    says(found, "keys", "ok", "1 read from")


def test_it_is_one_line_each_with_the_remedy(tmp_path):
    done = subprocess.run([BINARY, "doctor", "--port=0", "--models-dir=nowhere", f"--state-dir={tmp_path}"], cwd=tmp_path,
                          capture_output=True, text=True)
    lines = done.stdout.splitlines()
    assert done.returncode == 1 and all(line.split()[0] in ("ok", "warn", "fail") for line in lines)
    assert any(line.startswith("fail  model ") and "; set models_dir and model; infomask models add" in line for line in lines)
    assert sorted(p.name for p in tmp_path.iterdir()) == []  # it leaves nothing


def test_without_a_file_of_settings(tmp_path):
    """Elsewhere than beside the sources or an installation there is none."""
    binary = shutil.copy(BINARY, tmp_path / "infomask")
    done = subprocess.run([binary, "doctor", "limits"], cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0 and done.stdout.splitlines()[0].split() == ["ok", "settings", "defaults"], done


def test_a_list_that_the_start_refuses(doctor):
    state, found = doctor("--proxies", "10.0.0.1,proxy.example", "limits")
    assert state == "fail"
    says(found, "settings", "fail", '"proxy.example" is none')


def test_a_port_that_is_taken(doctor):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        _, found = doctor("port", "--port", taken.getsockname()[1])
        says(found, "port", "fail", "is in use by another process")
    _, found = doctor("port", "--listen=192.0.2.1")
    says(found, "port", "fail", "cannot listen on 192.0.2.1")


@pytest.mark.skipif(os.getuid() != 0 or int(pathlib.Path("/proc/sys/net/ipv4/ip_unprivileged_port_start").read_text()) < 2,
                    reason="only root becomes another user, and the port must be for root alone")
def test_a_port_for_root_alone(doctor):
    _, found = doctor("port", "--port=1", before=["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"])
    says(found, "port", "fail", "Permission denied")
    assert "CAP_NET_BIND_SERVICE" in found["port"][0]["remedy"], found


def test_the_running_service_may_have_it(doctor, tmp_path):
    run = subprocess.Popen([BINARY, "serve", "--port=0", f"--models-dir={tmp_path / 'models'}", f"--state-dir={tmp_path / 'state'}"],
                           cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    try:
        port = run.stdout.readline().strip().rpartition(":")[2]
        _, found = doctor("--port", port)
        says(found, "port", "ok", "is the running service's")
        says(found, "state", "ok", "its estimates read")
    finally:
        run.terminate()
        run.wait(timeout=60)


def test_a_local_socket_that_is_taken(doctor, tmp_path):
    with socket.socket(socket.AF_UNIX) as taken:
        taken.bind(str(tmp_path / "s"))
        taken.listen()
        _, found = doctor("port", f"--listen=unix:{tmp_path / 's'}")
        says(found, "port", "warn", "is in use")


def test_a_service_that_anybody_reaches(doctor):
    _, found = doctor("port", "--listen=0.0.0.0")
    says(found, "keys", "warn", "anybody may ask it")
    says(found, "certificate", "warn", "speaks no TLS")


def test_a_user_that_is_nobody(doctor):
    says(doctor("user", "--user=no-such-user")[1], "user", "fail", "no user no-such-user")


@pytest.mark.skipif(os.getuid() != 0, reason="only root becomes another user")
def test_files_are_looked_at_as_the_user(doctor, tmp_path):
    for folder in [*reversed(tmp_path.relative_to("/tmp").parents), pathlib.Path()]:
        (pathlib.Path("/tmp") / folder).chmod(0o711) if str(folder) != "." else None
    tmp_path.chmod(0o755)
    (tmp_path / "keys").write_text(f"ops admin {'0' * 64}\n")
    (tmp_path / "keys").chmod(0o600)
    _, found = doctor("--user=nobody", "--keys", tmp_path / "keys")
    says(found, "user", "ok", "as nobody")
    says(found, "keys", "fail", f"the file of keys {tmp_path}/keys: cannot be read: Permission denied")
    assert found["keys"][0]["remedy"] == "the service must be able to read it"
    says(found, "state", "fail", "Permission denied")


# ---- Certificates -----------------------------------------------------------------------------------------------------------


def test_certificates_that_will_not_do(doctor, tmp_path):
    given = certificate(tmp_path, "-days", "2")
    end = (datetime.datetime.now(datetime.timezone.utc) + datetime.timedelta(days=2)).strftime("%Y-%m-")
    says(doctor("certificate", *given)[1], "certificate", "warn", f"valid until {end}")
    says(doctor("certificate", *given, "--hosts=photos.example.org")[1], "certificate", "fail", "it is not for photos.example.org")
    (tmp_path / "key.pem").chmod(0o644)
    says(doctor("certificate", *given)[1], "certificate", "warn", "can be read by everybody")
    certificate(tmp_path, "-days", "90", key="other.pem")
    says(doctor("certificate", *given)[1], "certificate", "fail", "not the key of tls_certificate")
    (tmp_path / "key.pem").write_text("no key")
    says(doctor("certificate", *given)[1], "certificate", "fail", "the key is not a PEM file")
    (tmp_path / "cert.pem").write_text("no certificate")
    says(doctor("certificate", *given)[1], "certificate", "fail", "the certificate is not a PEM file")
    (tmp_path / "cert.pem").unlink()
    says(doctor("certificate", *given)[1], "certificate", "fail", "tls_certificate: ")
    says(doctor("certificate", *given[:2])[1], "certificate", "fail", "tls_key is not set")


def test_a_certificate_without_a_name(doctor, tmp_path):
    says(doctor("certificate", *certificate(tmp_path, "-days", "90", name=None))[1], "certificate", "warn", "it names nobody")


@pytest.mark.parametrize("dates, text", [(("20200101000000Z", "20210101000000Z"), "ended on 2021-01-01"),
                                         (("20980101000000Z", "20990101000000Z"), "not valid before 2098-01-01")])
def test_a_certificate_of_another_time(doctor, tmp_path, dates, text):
    given = certificate(tmp_path)
    (tmp_path / "index").write_text("")
    (tmp_path / "ca.cnf").write_text("[ca]\ndefault_ca = d\n[d]\ndatabase = index\nrand_serial = yes\nnew_certs_dir = .\n"
                                     "default_md = sha256\npolicy = p\n[p]\ncommonName = supplied\n")
    subprocess.run(["openssl", "req", "-new", "-key", "key.pem", "-subj", "/CN=localhost", "-out", "request.pem"], cwd=tmp_path,
                   check=True, capture_output=True)
    subprocess.run(["openssl", "ca", "-batch", "-selfsign", "-config", "ca.cnf", "-keyfile", "key.pem", "-in", "request.pem",
                    "-startdate", dates[0], "-enddate", dates[1], "-notext", "-out", "cert.pem"], cwd=tmp_path, check=True,
                   capture_output=True)
    says(doctor("certificate", *given)[1], "certificate", "fail", text)


# ---- Keys, state, limits ------------------------------------------------------------------------------------------------------


def test_files_of_keys_that_will_not_do(doctor, tmp_path):
    path = tmp_path / "keys"
    says(doctor("keys", "--keys", path)[1], "keys", "fail", "No such file")
    path.write_text("# nobody\n")
    says(doctor("keys", "--keys", path)[1], "keys", "fail", "nobody could ask")
    path.write_text("ops admin nothex\n")
    says(doctor("keys", "--keys", path)[1], "keys", "fail", "line 1")
    path.write_text(f"app infer {'0' * 64}\n")
    path.chmod(0o644)
    _, found = doctor("keys", "--keys", path)
    says(found, "keys", "warn", "can be read by everybody")
    says(found, "keys", "ok", "none of them is an admin's")


def test_state_that_will_not_do(doctor, tmp_path):
    says(doctor("state", state="later/on")[1], "state", "ok", "will be made")
    assert not (tmp_path / "later").exists()
    (tmp_path / "file").write_text("")
    says(doctor("state", state="file")[1], "state", "fail", "is not a folder")
    says(doctor("state", "--state-dir=/proc", state=None)[1], "state", "fail", "/proc: ")
    says(doctor("state", "--state-dir=/proc/state/here", state=None)[1], "state", "fail", "/proc/state/here cannot be made: /proc: ")
    says(doctor("state", state=None, environment={"HOME": ""})[1], "state", "warn", "estimates will be refused")
    (tmp_path / "state").chmod(0o777)
    says(doctor("state")[1], "state", "warn", "can be written by everybody")
    (tmp_path / "state/estimates.db").write_bytes(b"no database, but long enough to look like one" * 40)
    says(doctor("state")[1], "state", "fail", "state: ")


def test_the_state_of_a_version_before_stays_as_it_is(doctor, tmp_path):
    """The service that has it open may be of that version: whoever looks must not bring it up to date."""
    path, folder = tmp_path / "state/estimates.db", tmp_path / "models"
    path.touch()
    says(doctor("state")[1], "state", "ok", "its tables are of version 0")
    assert path.stat().st_size == 0
    with subprocess.Popen([BINARY, "serve", "--port=0", f"--models-dir={folder}", f"--state-dir={path.parent}"], stdout=subprocess.PIPE,
                          stderr=subprocess.DEVNULL) as service:
        assert service.stdout.readline()
        service.terminate()
    says(doctor("state")[1], "state", "ok", "its estimates read")
    with contextlib.closing(sqlite3.connect(path)) as database:
        wanted = database.execute("PRAGMA user_version").fetchone()[0]
        database.executescript(f"DROP TABLE traffic_step; PRAGMA user_version = {wanted - 1}")
    before = path.read_bytes()
    says(doctor("state")[1], "state", "ok", f"of version {wanted - 1}, and will be made version {wanted}")
    assert path.read_bytes() == before and [child.name for child in path.parent.iterdir()] == ["estimates.db"]
    with contextlib.closing(sqlite3.connect(path)) as database:
        database.execute(f"PRAGMA user_version = {wanted + 1}")
    before = path.read_bytes()
    says(doctor("state")[1], "state", "fail", f"written by a newer infomask: it is of version {wanted + 1}, and this one knows {wanted}")
    assert path.read_bytes() == before


@pytest.mark.skipif(os.getuid() != 0, reason="only root mounts")
def test_the_state_that_the_unit_gives_to_the_service(doctor, tmp_path):
    mount = ["unshare", "-m", "sh", "-c", "mount -t tmpfs tmpfs /var/lib && mkdir /var/lib/infomask && exec \"$@\"", "sh"]
    home = {"HOME": str(tmp_path)}
    says(doctor("state", before=mount, state=None, environment=home)[1], "state", "warn", "systemd starts has /var/lib/infomask")
    for own in ({"STATE_DIRECTORY": "/var/lib/infomask"}, {"INFOMASK_STATE_DIR": str(tmp_path / "state")}):
        assert doctor("state", before=mount, state=None, environment={**home, **own})[0] == "ok"


def test_a_disk_that_is_small(doctor, tmp_path):
    says(doctor("state", "--state-limit=1023G")[1], "disk", "warn", "the state may grow to")
    if os.getuid() != 0:
        pytest.skip("only root mounts a small disk")
    (tmp_path / "small").mkdir()
    mount = ["unshare", "-m", "sh", "-c", f"mount -t tmpfs -o size=8M tmpfs {tmp_path / 'small'} && exec \"$@\"", "sh"]
    says(doctor("state", before=mount, state="small")[1], "disk", "fail", "8 MB are free")


def test_limits_that_are_low(doctor):
    says(doctor("limits", limits={resource.RLIMIT_NOFILE: 200})[1], "files", "warn", "200 descriptors are allowed")
    says(doctor("limits", limits={resource.RLIMIT_AS: 8 << 30})[1], "memory", "fail", "the address space is limited")
    says(doctor("limits", "--threads=64", "--arena=64G")[1], "memory", "warn", "the worst that the settings allow")


@pytest.mark.skipif(os.getuid() != 0, reason="only root puts another file over /proc/meminfo")
def test_a_machine_without_memory(doctor, tmp_path):
    (tmp_path / "meminfo").write_text("MemTotal: 300000 kB\nMemAvailable:   100000 kB\n")
    mount = ["unshare", "-m", "sh", "-c", f"mount --bind {tmp_path / 'meminfo'} /proc/meminfo && exec \"$@\"", "sh"]
    says(doctor("limits", before=mount)[1], "memory", "fail", "102 MB are left")


def test_a_service_that_is_not_confined(doctor):
    says(doctor("confinement", "--confine=false")[1], "confinement", "warn", "rights that it does not need")


# ---- Models -------------------------------------------------------------------------------------------------------------------


def test_models_that_will_not_do(doctor, tmp_path):
    says(doctor("models", "--isa=ref", "--precision=int8")[1], "kernels", "ok", "ref, int8")
    says(doctor("models", "--isa=blas", "--precision=bf16")[1], "kernels", "fail", "bf16 needs a processor")
    (tmp_path / "models/broken").mkdir()
    (tmp_path / "models/broken/model.json").write_text("{}")
    says(doctor("models")[1], "model", "warn", "broken cannot be loaded")
    says(doctor("models", "--model=broken")[1], "model", "fail", 'the default model broken: model.json: "name" is missing')
    says(doctor("models", "--model=nothing")[1], "model", "fail", 'no model is named "nothing"')
    os.truncate(tmp_path / "models/digits/model.onnx", 100)
    shutil.rmtree(tmp_path / "models/broken")
    _, found = doctor("models")
    says(found, "model", "fail", "model digits: model.onnx: the file is not an ONNX model")
    assert "mend its folder" in found["model"][0]["remedy"], found
    shutil.rmtree(tmp_path / "models")
    says(doctor("models")[1], "model", "fail", "there is no model folder")


def field(number, value):
    """One field of a protobuf message."""
    def varint(n):
        out = b""
        while n > 127:
            out, n = out + bytes([n & 127 | 128]), n >> 7
        return out + bytes([n])
    if isinstance(value, int):
        return varint(number << 3) + varint(value)
    value = value.encode() if isinstance(value, str) else value
    return varint(number << 3 | 2) + varint(len(value)) + value


def node(op, inputs, output):
    return field(1, b"".join(field(1, name) for name in inputs) + field(2, output) + field(3, output) + field(4, op))


def tensor(name, dims, values):
    return field(5, b"".join(field(1, n) for n in dims) + field(2, 1) + field(8, name) + field(9, struct.pack(f"<{len(values)}f", *values)))


def value(number, name, dims):
    shape = b"".join(field(1, field(1, n)) for n in dims)
    return field(number, field(1, name) + field(2, field(1, field(1, 1) + field(2, shape))))


def cancelling(side, filters=32, features=64, classes=10):
    """A network whose outputs are differences of equal sums: nothing but rounding, another one for each order of adding."""
    draw = random.Random(1)
    numbers = lambda n: [draw.gauss(0, 1) for _ in range(n)]
    first = [numbers(features) for _ in range(filters)]
    second = numbers(features * classes)
    graph = (node("Conv", ["x", "filters"], "c") + node("Relu", ["c"], "d") + node("GlobalAveragePool", ["d"], "mean")
             + node("Flatten", ["mean"], "flat") + node("MatMul", ["flat", "first"], "h") + node("Relu", ["h"], "r")
             + node("MatMul", ["r", "second"], "y") + field(2, "cancels")
             + tensor("filters", [filters, 1, 3, 3], numbers(filters * 9))
             + tensor("first", [filters, 2 * features], [w for row in first for w in row + row])
             + tensor("second", [2 * features, classes], second + [-w for w in second])
             + value(11, "x", [1, 1, side, side]) + value(12, "y", [1, classes]))
    return field(1, 8) + field(7, graph) + field(8, field(2, 13))


@pytest.fixture
def rounding(tmp_path):
    """A model that is loaded without a look at its sums (they take too long for that), and whose answers are rounding alone."""
    def make(side):
        folder = tmp_path / "models/digits"
        document = json.loads((folder / "model.json").read_text())
        document["input"].update(width=side, height=side)
        (folder / "model.json").write_text(json.dumps(document))
        (folder / "model.onnx").write_bytes(cancelling(side))
        return "--model=digits"

    return make


def test_kernels_that_differ(doctor, rounding):
    says(doctor("models", rounding(800))[1], "kernels", "fail", "digits differs from the reference kernels by")


@pytest.mark.skipif("sanitizer" in VERSION, reason="a sanitizer wants more room than the limit leaves")
def test_a_model_that_does_not_answer(doctor, rounding):
    """Its file is small, and so it loads; its arrays of 800 MB each are too much for the limit."""
    says(doctor("models", rounding(2500), limits={resource.RLIMIT_AS: 1 << 30})[1], "model", "fail", "digits does not answer: ")


def test_a_check_that_there_is_not(infomask):
    done = infomask("doctor", "kyes")
    assert done.code == 2 and 'there is no check "kyes"' in done.err
    assert infomask("doctor", "limits").out.count("\n") == 3
