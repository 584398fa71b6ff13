"""A listening socket that a service manager opened and keeps: connections wait in it while the service restarts."""
import os
import re
import socket
import subprocess

from conftest import BINARY, ENVIRONMENT, PATIENCE, ROOT, STATE

SCRIPT = "exec 3<&$1; export LISTEN_FDS=1 LISTEN_PID=$$; exec \"$2\" serve --listen 192.0.2.1 --port 9"


def start(listening):
    process = subprocess.Popen(["bash", "-c", SCRIPT, "start", str(listening.fileno()), BINARY], stdout=subprocess.PIPE,
                               stderr=subprocess.DEVNULL, cwd=ROOT, pass_fds=[listening.fileno()],
                               env={**ENVIRONMENT, "STATE_DIRECTORY": STATE})
    return process, process.stdout.readline().decode()


def test_a_handed_socket_is_served_and_outlives_the_service():
    with socket.create_server(("127.0.0.1", 0)) as listening:
        port = listening.getsockname()[1]
        ask = b"GET /livez HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
        first, line = start(listening)
        assert re.fullmatch(rf"listening on http://127\.0\.0\.1:{port}\n", line)
        with socket.create_connection(("127.0.0.1", port), PATIENCE) as client:
            client.sendall(ask)
            assert client.recv(4096).startswith(b"HTTP/1.1 200")
        first.terminate()
        assert first.wait(PATIENCE) == 0
        with socket.create_connection(("127.0.0.1", port), PATIENCE) as waiting:  # while nobody serves
            waiting.sendall(ask)
            second, line = start(listening)
            assert f":{port}" in line
            assert waiting.recv(4096).startswith(b"HTTP/1.1 200")
        second.terminate()
        assert second.wait(PATIENCE) == 0


def test_what_is_no_listening_socket_is_refused(tmp_path):
    with open(tmp_path / "file", "wb") as file:
        process, line = start(file)
        assert line == "" and process.wait(PATIENCE) != 0


def test_descriptors_of_another_process_are_left_alone(make_server):
    server = make_server(env={"LISTEN_FDS": "1", "LISTEN_PID": str(os.getpid())})
    assert server.ask("GET", "/livez").status == 200
