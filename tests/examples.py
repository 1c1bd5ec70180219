"""The example servers, with real clients: curl, openssl s_client and Python's ssl.

CERTRELOAD_EXAMPLES_DIR names the directory that holds the built https_server, epoll_server and
cpp_server. Every test runs against each of them.

SPDX-License-Identifier: Apache-2.0 OR ISC OR MIT
"""

import hashlib
import os
import re
import shutil
import signal
import socket
import ssl
import subprocess
import tempfile
import threading
import time
import unittest
from pathlib import Path

PATIENCE = 30  # seconds: an upper bound that only a failing test meets
NO_POLL = ["--poll", "86400000"]


class Pair:
    """A certificate and its key, in files."""

    def __init__(self, directory, name):
        self.chain = Path(directory, f"{name}.pem")
        self.key = Path(directory, f"{name}.key")

    def make(self, names):
        sans = ",".join(f"DNS:{name}" for name in names)
        subprocess.run(
            ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256",
             "-nodes", "-keyout", self.key, "-out", self.chain, "-days", "60",
             "-subj", f"/CN={names[0]}", "-addext", f"subjectAltName={sans},IP:127.0.0.1"],
            check=True, capture_output=True)
        return self

    def deploy(self, source):
        replace(self.chain, source.chain)
        replace(self.key, source.key)
        return self

    @property
    def sha256(self):
        der = ssl.PEM_cert_to_DER_cert(self.chain.read_text())
        return hashlib.sha256(der).hexdigest()


def replace(target, source):
    fresh = target.with_name(target.name + ".new")
    shutil.copy(source, fresh)
    fresh.rename(target)


class Server:
    """A running example server, and the lines that it has printed."""

    def __init__(self, program, *arguments):
        path = Path(os.environ["CERTRELOAD_EXAMPLES_DIR"], program)
        self.process = subprocess.Popen(
            [path, "--port", "0", *map(str, arguments)], stdout=subprocess.PIPE,
            stderr=subprocess.PIPE, text=True)
        self.lines = []
        self.changed = threading.Condition()
        self.reader = threading.Thread(target=self.read_lines)
        self.reader.start()
        listening = r"listening on https://127\.0\.0\.1:(\d+) \(pid %d\)" % self.process.pid
        try:
            self.port = int(self.wait_for_line(listening)[1])
        except AssertionError as error:
            raise AssertionError(f"{error}; {self.stop()}") from None

    def read_lines(self):
        for line in self.process.stdout:
            with self.changed:
                self.lines.append(line.rstrip("\n"))
                self.changed.notify_all()

    def matches(self, pattern):
        with self.changed:
            return [m for m in (re.fullmatch(pattern, line) for line in self.lines) if m]

    def wait_for_line(self, pattern):
        with self.changed:
            good = self.changed.wait_for(lambda: self.matches(pattern), PATIENCE)
        if not good:
            raise AssertionError(f"no line like {pattern!r} in {self.lines}")
        return self.matches(pattern)[0]

    def send(self, number):
        self.process.send_signal(number)

    def stop(self):
        """Returns the exit code and what was said on stderr."""
        if self.process.poll() is None:
            self.process.terminate()
        try:
            code = self.process.wait(PATIENCE)
        finally:
            self.process.kill()
            self.reader.join()
            self.process.stdout.close()
            errors = self.process.stderr.read()
            self.process.stderr.close()
        return code, errors


class Client:
    """One TLS connection of Python's ssl, over which requests are sent."""

    def __init__(self, port, name="localhost", receive_buffer=None):
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
        plain = socket.socket()
        plain.settimeout(PATIENCE)
        if receive_buffer is not None:
            plain.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        plain.connect(("127.0.0.1", port))
        # A missing close_notify is an error here, not an end of file.
        self.tls = context.wrap_socket(plain, server_hostname=name, suppress_ragged_eofs=False)
        self.stream = self.tls.makefile("rb")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.stream.close()
        self.tls.close()

    @property
    def peer_sha256(self):
        return hashlib.sha256(self.tls.getpeercert(binary_form=True)).hexdigest()

    def ask(self, path="/", method="GET", fields=""):
        self.tls.sendall(f"{method} {path} HTTP/1.1\r\nHost: localhost\r\n{fields}\r\n".encode())
        return self.read_answer(method)

    def read_answer(self, method="GET"):
        """Returns the status code, the header fields and the body, as "name value" lines."""
        code = int(self.stream.readline().split()[1])
        fields = {}
        while (line := self.stream.readline().decode().strip()) != "":
            name, value = line.split(": ", 1)
            fields[name.lower()] = value
        size = 0 if method == "HEAD" else int(fields["content-length"])
        body = self.stream.read(size).decode()
        return code, fields, dict(line.split(" ", 1) for line in body.splitlines())


def eventually(condition):
    """Asks until the answer is yes."""
    deadline = time.monotonic() + PATIENCE
    while not condition():
        if time.monotonic() > deadline:
            raise AssertionError("it did not come true")
        time.sleep(0.01)


class Examples:
    """What each of the servers does. The subclasses below name the program."""

    program = None

    @classmethod
    def setUpClass(cls):
        cls.directory = tempfile.TemporaryDirectory(prefix="certreload-examples-")
        cls.addClassCleanup(cls.directory.cleanup)
        cls.one = Pair(cls.directory.name, "one").make(["localhost", "one.test"])
        cls.two = Pair(cls.directory.name, "two").make(["localhost", "two.test"])

    def setUp(self):
        self.live = Pair(self.directory.name, "live").deploy(self.one)

    def start(self, *more):
        server = Server(self.program, "--cert", self.live.chain, "--key", self.live.key, *more)
        self.addCleanup(self.expect_clean_stop, server)
        return server

    def expect_clean_stop(self, server):
        self.assertEqual(server.stop(), (0, ""))

    def curl(self, *arguments):
        done = subprocess.run(
            ["curl", "--silent", "--show-error", "--max-time", str(PATIENCE), "--noproxy", "*",
             *map(str, arguments)], capture_output=True, text=True)
        self.assertEqual((done.returncode, done.stderr), (0, ""))
        return done.stdout

    def test_curl_gets_two_answers_on_one_connection(self):
        url = f"https://localhost:{self.start().port}/"
        output = self.curl("--cacert", self.one.chain, "-w", "%{http_code} %{num_connects}\n", url,
                           url)
        expected = f"generation 1\ncertificate {self.one.sha256}\nrequest %d\n200 %d\n"
        self.assertEqual(output, expected % (1, 1) + expected % (2, 0))

    def test_each_name_gets_its_own_certificate(self):
        port = self.start("--cert", self.two.chain, "--key", self.two.key).port
        for name, pair in (("one.test", self.one), ("two.test", self.two)):
            output = self.curl("--cacert", pair.chain, "--resolve", f"{name}:{port}:127.0.0.1",
                               f"https://{name}:{port}/")
            self.assertIn(f"certificate {pair.sha256}\n", output)

    def test_openssl_s_client_is_served(self):
        port = self.start().port
        for version in ("-tls1_2", "-tls1_3"):
            done = subprocess.run(
                ["openssl", "s_client", version, "-connect", f"127.0.0.1:{port}", "-servername",
                 "one.test", "-CAfile", self.one.chain, "-verify_return_error", "-ign_eof"],
                input="GET / HTTP/1.1\r\nHost: one.test\r\nConnection: close\r\n\r\n",
                capture_output=True, text=True, timeout=PATIENCE)
            self.assertEqual(done.returncode, 0, done.stderr)
            self.assertIn("Verify return code: 0 (ok)", done.stdout)
            self.assertIn("HTTP/1.1 200 OK", done.stdout)
            self.assertIn(f"certificate {self.one.sha256}\n", done.stdout)

    def test_a_connection_keeps_its_generation_and_new_ones_get_the_new(self):
        server = self.start(*NO_POLL)
        with Client(server.port) as old:
            self.assertEqual(old.ask()[2]["generation"], "1")
            self.live.deploy(self.two)
            server.wait_for_line("event reloaded generation 2: .+")

            _, _, answer = old.ask()
            self.assertEqual(answer["generation"], "1")
            self.assertEqual(answer["certificate"], self.one.sha256)
            self.assertEqual(answer["request"], "2")
            self.assertEqual(old.peer_sha256, self.one.sha256)
            with Client(server.port) as new:
                _, _, answer = new.ask()
                self.assertEqual(answer["generation"], "2")
                self.assertEqual(answer["certificate"], self.two.sha256)
                self.assertEqual(new.peer_sha256, self.two.sha256)

    def test_sighup_reloads(self):
        server = self.start(*NO_POLL)
        with Client(server.port) as client:
            def looks():
                return int(client.ask("/status")[2]["unchanged"])

            # Nothing changes, so only the signal can be why the files are looked at, but for one
            # look that belongs to the start.
            for _ in range(3):
                before = looks()
                server.send(signal.SIGHUP)
                eventually(lambda: looks() > before)
        self.live.deploy(self.two)
        server.send(signal.SIGHUP)
        server.wait_for_line("event reloaded generation 2: .+")
        with Client(server.port) as client:
            self.assertEqual(client.peer_sha256, self.two.sha256)

    def test_a_storm_of_sighups_disturbs_nobody(self):
        server = self.start(*NO_POLL)
        with Client(server.port) as client:
            for number in range(1, 501):
                server.send(signal.SIGHUP)
                code, _, answer = client.ask()
                self.assertEqual((code, answer["request"]), (200, str(number)))

    def test_a_broken_pair_is_told_once_and_the_old_one_serves(self):
        server = self.start()
        replace(self.live.key, self.two.key)
        path = re.escape(str(self.live.key))
        server.wait_for_line(f"event reload-failed generation 1: .*{path}.*")
        with Client(server.port) as client:
            self.assertEqual(client.peer_sha256, self.one.sha256)
            _, _, status = client.ask("/status")
            self.assertEqual((status["health"], status["failures"]), ("stale", "1"))
        replace(self.live.chain, self.two.chain)
        server.wait_for_line("event reloaded generation 2: .+")
        with Client(server.port) as client:
            self.assertEqual(client.peer_sha256, self.two.sha256)
            self.assertEqual(client.ask("/status")[2]["health"], "ok")
        self.assertEqual(len(server.matches("event reload-failed .*")), 1)

    def test_sigterm_and_sigint_say_good_bye(self):
        for number in (signal.SIGTERM, signal.SIGINT):
            server = Server(self.program, "--cert", self.live.chain, "--key", self.live.key)
            with Client(server.port) as client, Client(server.port):
                self.assertEqual(client.ask()[0], 200)
                server.send(number)
                self.assertEqual(client.stream.read(), b"")
                self.assertEqual(server.process.wait(PATIENCE), 0)
            self.expect_clean_stop(server)

    def test_a_server_that_could_not_serve_does_not_start(self):
        missing = Path(self.directory.name, "missing.pem")
        program = Path(os.environ["CERTRELOAD_EXAMPLES_DIR"], self.program)
        done = subprocess.run([program, "--cert", missing, "--key", self.live.key, "--port", "0"],
                              capture_output=True, text=True, timeout=PATIENCE)
        self.assertEqual((done.returncode, done.stdout), (1, ""))
        self.assertIn(str(missing), done.stderr)
        done = subprocess.run([program, "--cert", missing], capture_output=True, text=True,
                              timeout=PATIENCE)
        self.assertEqual(done.returncode, 2)
        self.assertIn("usage:", done.stderr)

    def test_quiet_prints_no_events(self):
        server = self.start("--quiet")
        self.live.deploy(self.two)
        with Client(server.port) as client:
            eventually(lambda: client.ask("/status")[2]["generation"] == "2")
        self.assertEqual(server.matches("event .*"), [])

    def test_http_is_spoken_as_clients_expect(self):
        port = self.start().port
        with Client(port) as client:
            self.assertEqual(client.ask(method="HEAD")[0], 200)
            code, fields, answer = client.ask(fields="Connection: close\r\n")
            self.assertEqual((code, answer["request"]), (200, "2"))
            self.assertEqual(fields["connection"], "close")
            self.assertEqual(client.stream.read(), b"")  # and close_notify
        with Client(port) as client:  # a body is not read, so the connection ends
            self.assertEqual(client.ask(method="POST", fields="Content-Length: 3\r\n")[0], 200)
            self.assertEqual(client.stream.read(), b"")
        with Client(port) as client:
            client.tls.sendall(b"GET / HTTP/1.0\r\n\r\n")
            self.assertEqual(client.read_answer()[0], 200)
            self.assertEqual(client.stream.read(), b"")

    def test_heads_that_are_too_large_or_no_http_are_refused(self):
        port = self.start().port
        with Client(port) as client:
            code, _, _ = client.ask(fields=f"X: {'x' * 50_000}\r\n")
            self.assertEqual(code, 431)
            self.assertEqual(client.stream.read(), b"")
        with Client(port) as client:
            client.tls.sendall(b"hello\r\n\r\n")
            self.assertEqual(client.read_answer()[0], 400)

    def test_a_head_may_come_in_pieces(self):
        with Client(self.start().port) as client:
            for piece in (b"GET / HT", b"TP/1.1\r", b"\nHost: x\r\n", b"\r\nGET /status HTTP/1.1\r\n"):
                client.tls.sendall(piece)
            self.assertEqual(client.read_answer()[2]["request"], "1")
            client.tls.sendall(b"\r\n")
            self.assertEqual(client.read_answer()[2]["identities"], "1")

    def test_a_client_that_asks_long_before_it_reads_gets_every_answer(self):
        # More answers than the socket buffers hold, so the server has to wait for the client.
        count = 20_000
        server = self.start("--quiet")
        with Client(server.port, receive_buffer=4096) as client:
            client.tls.sendall(b"GET / HTTP/1.1\r\n\r\n" * count)
            for number in range(1, count + 1):
                self.assertEqual(client.read_answer()[2]["request"], str(number))

    def test_a_client_that_speaks_no_tls_gets_an_alert(self):
        port = self.start().port
        with socket.create_connection(("127.0.0.1", port), PATIENCE) as plain:
            plain.sendall(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n" * 10_000)
            answer = b""
            while piece := plain.recv(4096):
                answer += piece
        self.assertEqual(answer[:1], b"\x15")

    def test_silent_clients_hold_up_nobody(self):
        server = self.start()
        silent = [socket.create_connection(("127.0.0.1", server.port)) for _ in range(50)]
        try:
            silent[0].sendall(b"\x16\x03\x01")  # the beginning of a ClientHello, and no more
            with Client(server.port) as client:
                self.assertEqual(client.ask()[0], 200)
            server.send(signal.SIGTERM)
            self.assertEqual(server.process.wait(PATIENCE), 0)
        finally:
            for one in silent:
                one.close()

    def test_idle_costs_nothing(self):
        server = self.start(*NO_POLL)
        with Client(server.port) as client:
            client.ask()

            def ticks():
                stat = Path(f"/proc/{server.process.pid}/stat").read_text()
                return sum(map(int, stat.rpartition(")")[2].split()[11:13]))

            before = ticks()
            started = time.monotonic()
            # A condition that never comes true: the wait is the measurement.
            with server.changed:
                server.changed.wait_for(lambda: time.monotonic() > started + 2, 2)
            self.assertLess(ticks() - before, 10)  # hundredths of a second; a spin costs 200
            self.assertEqual(client.ask()[0], 200)


class HttpsServer(Examples, unittest.TestCase):
    program = "https_server"


class EpollServer(Examples, unittest.TestCase):
    program = "epoll_server"


class CppServer(Examples, unittest.TestCase):
    program = "cpp_server"


if __name__ == "__main__":
    unittest.main()
