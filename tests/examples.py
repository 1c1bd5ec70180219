"""The example servers, with real clients: curl, openssl s_client and Python's ssl.

CERTRELOAD_EXAMPLES_DIR names the directory that holds the built servers. Every test of Examples runs
against https_server, epoll_server, cpp_server, libevent_server and openssl_server; prefork_server has
its own, and mtls_server with mtls_client, too.

SPDX-License-Identifier: Apache-2.0 OR ISC OR MIT
"""

import contextlib
import hashlib
import os
import pwd
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
        self.start([path, "--port", "0", *map(str, arguments)])
        listening = r"listening on https://127\.0\.0\.1:(\d+) \(pid %d\)" % self.process.pid
        try:
            self.port = int(self.wait_for_line(listening)[1])
        except AssertionError as error:
            raise AssertionError(f"{error}; {self.stop()}") from None

    def start(self, command):
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                                        text=True)
        self.lines = []
        self.changed = threading.Condition()
        self.reader = threading.Thread(target=self.read_lines)
        self.reader.start()

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


class OpensslServer(Examples, unittest.TestCase):
    program = "openssl_server"

    def setUp(self):
        if not Path(os.environ["CERTRELOAD_EXAMPLES_DIR"], self.program).exists():
            not_tested(self, "it was not built, without the development files of OpenSSL")
        super().setUp()

    def test_a_client_that_speaks_no_tls_gets_an_alert(self):
        """OpenSSL sends none to such a client: the connection ends, and the next client is served."""
        server = self.start(*NO_POLL)
        with socket.create_connection(("127.0.0.1", server.port), PATIENCE) as plain:
            plain.sendall(b"GET / HTTP/1.1\r\n\r\n")
            plain.shutdown(socket.SHUT_WR)
            self.assertEqual(plain.recv(100), b"")
        with Client(server.port) as client:
            self.assertEqual(client.ask()[0], 200)


class LibeventServer(Examples, unittest.TestCase):
    program = "libevent_server"

    def setUp(self):
        if not Path(os.environ["CERTRELOAD_EXAMPLES_DIR"], self.program).exists():
            not_tested(self, "it was not built, without libevent's development files")
        super().setUp()

    def test_one_thread_does_it_all(self):
        server = self.start(*NO_POLL)
        self.live.deploy(self.two)
        server.wait_for_line("event reloaded generation 2: .+")
        self.assertEqual(os.listdir(f"/proc/{server.process.pid}/task"), [str(server.process.pid)])


class Prefork(unittest.TestCase):
    """A master and its workers. Each worker serves one client at a time, so as many clients as there
    are workers, at once, meet each of them."""

    WORKERS = 4
    options = []

    def setUp(self):
        directory = tempfile.TemporaryDirectory(prefix="certreload-prefork-")
        self.addCleanup(directory.cleanup)
        self.directory = Path(directory.name)
        self.one = Pair(self.directory, "one").make(["localhost"])
        self.two = Pair(self.directory, "two").make(["localhost"])
        (self.directory / "live").mkdir(mode=0o700)
        self.live = Pair(self.directory / "live", "pair").deploy(self.one)

    def start(self):
        server = self.start_and_leave()
        self.addCleanup(self.expect_clean_stop, server)
        return server

    def start_and_leave(self):
        return Server("prefork_server", "--workers", self.WORKERS, "--cert", self.live.chain,
                      "--key", self.live.key, *NO_POLL, *self.options)

    def expect_clean_stop(self, server):
        workers = children_of(server.process.pid)
        self.assertEqual(server.stop(), (0, ""))
        self.assertEqual([pid for pid in workers if Path(f"/proc/{pid}").exists()], [])

    def meet_all(self, server):
        """Which certificate each worker serves."""
        with contextlib.ExitStack() as stack:
            clients = [stack.enter_context(Client(server.port)) for _ in range(self.WORKERS)]
            answers = [client.ask()[2] for client in clients]
            for client, answer in zip(clients, answers):
                self.assertEqual(client.peer_sha256, answer["certificate"])
        served = {int(answer["pid"]): answer["certificate"] for answer in answers}
        self.assertEqual(len(served), self.WORKERS)
        return served

    def wait_until_all_serve(self, server, pair):
        eventually(lambda: set(self.meet_all(server).values()) == {pair.sha256})

    def test_all_workers_renew_again_and_again_under_clients(self):
        server = self.start()
        before = self.meet_all(server)
        self.assertEqual(set(before), set(children_of(server.process.pid)))
        # For clients and to the master, and not to each other; a client may be leaving yet.
        eventually(lambda: {count_sockets(pid) for pid in before} == {2})
        for fresh in (self.two, self.one, self.two, self.one):
            self.live.deploy(fresh)
            self.wait_until_all_serve(server, fresh)
        self.assertEqual(set(self.meet_all(server)), set(before), "a worker was replaced")

    def test_curl_and_openssl_are_served(self):
        port = self.start().port
        done = subprocess.run(
            ["curl", "--silent", "--show-error", "--max-time", str(PATIENCE), "--noproxy", "*",
             "--cacert", self.one.chain, f"https://localhost:{port}/"],
            capture_output=True, text=True)
        self.assertEqual((done.returncode, done.stderr), (0, ""))
        self.assertIn(f"certificate {self.one.sha256}\n", done.stdout)
        done = subprocess.run(
            ["openssl", "s_client", "-connect", f"127.0.0.1:{port}", "-servername", "localhost",
             "-CAfile", self.one.chain, "-verify_return_error", "-ign_eof"],
            input="GET / HTTP/1.1\r\nHost: localhost\r\n\r\n", capture_output=True, text=True,
            timeout=PATIENCE)
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertIn("HTTP/1.1 200 OK", done.stdout)

    def test_a_worker_that_is_killed_is_replaced_and_renews(self):
        server = self.start()
        killed, kept = list(self.meet_all(server))[:2]
        os.kill(killed, signal.SIGKILL)
        replaced = int(server.wait_for_line(rf"worker (\d+) replaces {killed}")[1])
        served = self.meet_all(server)
        self.assertIn(replaced, served)
        self.assertIn(kept, served)
        self.assertEqual(set(served.values()), {self.one.sha256})
        self.live.deploy(self.two)
        self.wait_until_all_serve(server, self.two)

    def test_a_broken_pair_changes_nothing(self):
        server = self.start()
        replace(self.live.key, self.two.key)
        server.wait_for_line(f"event reload-failed pid {server.process.pid} generation 1: .*")
        self.assertEqual(set(self.meet_all(server).values()), {self.one.sha256})
        replace(self.live.chain, self.two.chain)
        self.wait_until_all_serve(server, self.two)

    def test_sighup_reloads_what_nobody_else_tells_of(self):
        if os.geteuid() != 0:
            not_tested(self, "a bind mount: only root can mount")
        server = self.start()
        self.meet_all(server)
        other = self.directory / "other"
        other.mkdir()
        Pair(other, "pair").deploy(self.two)
        # A mount is the one change that the kernel tells of to nobody.
        mounted = subprocess.run(["mount", "--bind", other, self.directory / "live"],
                                 capture_output=True)
        if mounted.returncode != 0:
            not_tested(self, "a bind mount: not allowed here")
        self.addCleanup(subprocess.run, ["umount", self.directory / "live"], check=True)
        server.send(signal.SIGHUP)
        self.wait_until_all_serve(server, self.two)

    def test_a_storm_of_sighups_disturbs_nobody(self):
        server = self.start()
        before = set(self.meet_all(server))
        for _ in range(200):
            server.send(signal.SIGHUP)
        self.assertEqual(set(self.meet_all(server)), before)
        self.live.deploy(self.two)
        self.wait_until_all_serve(server, self.two)

    def test_workers_end_with_their_master(self):
        server = self.start_and_leave()
        workers = self.meet_all(server)
        server.send(signal.SIGKILL)
        self.assertEqual(server.stop(), (-signal.SIGKILL, ""))
        eventually(lambda: not any(is_running(pid) for pid in workers))

    def test_a_server_that_could_not_serve_does_not_start(self):
        program = Path(os.environ["CERTRELOAD_EXAMPLES_DIR"], "prefork_server")
        missing = self.directory / "missing.pem"
        done = subprocess.run([program, "--cert", missing, "--key", self.live.key, "--port", "0"],
                              capture_output=True, text=True, timeout=PATIENCE)
        self.assertEqual((done.returncode, done.stdout), (1, ""))
        self.assertIn(str(missing), done.stderr)


class PreforkWithoutPrivileges(Prefork):
    """The same, with workers that may not read the key."""

    options = ["--user", "nobody"]

    def setUp(self):
        if os.geteuid() != 0:
            not_tested(self, "only root can become another user")
        super().setUp()

    def test_workers_have_no_privileges_no_threads_and_no_text_of_a_key(self):
        server = self.start()
        self.live.deploy(self.two)
        self.wait_until_all_serve(server, self.two)
        nobody = pwd.getpwnam("nobody").pw_uid
        old, new = (pair.key.read_text().splitlines()[1].encode() for pair in (self.one, self.two))
        for pid in self.meet_all(server):
            status = dict(line.split(":\t", 1) for line in
                          Path(f"/proc/{pid}/status").read_text().splitlines() if ":\t" in line)
            self.assertEqual(set(status["Uid"].split()), {str(nobody)})
            self.assertEqual(status["Groups"].strip(), "")
            self.assertEqual(status["Threads"], "1")
            self.assertFalse(holds(pid, old) or holds(pid, new))
        # The master keeps what it will give to the next worker, and nothing else.
        self.assertFalse(holds(server.process.pid, old))
        self.assertTrue(holds(server.process.pid, new))

    def test_a_worker_that_is_replaced_while_the_pair_is_broken_serves(self):
        server = self.start()
        self.live.key.unlink()
        killed = next(iter(self.meet_all(server)))
        os.kill(killed, signal.SIGKILL)
        server.wait_for_line(rf"worker (\d+) replaces {killed}")
        self.assertEqual(set(self.meet_all(server).values()), {self.one.sha256})
        self.live.deploy(self.two)
        self.wait_until_all_serve(server, self.two)


class Authority:
    """One who issues certificates, and takes them back."""

    CONFIG = """
[req]
distinguished_name = empty
[empty]
[ca]
default_ca = this
[this]
database = {0}.index
default_md = sha256
default_crl_days = 30
crlnumber = {0}.number
"""

    def __init__(self, directory, name):
        self.directory = Path(directory)
        self.name = name
        self.certificate = self.directory / f"{name}.pem"
        self.key = self.directory / f"{name}.key"
        self.crl = self.directory / f"{name}.crl"
        (self.directory / f"{name}.cnf").write_text(self.CONFIG.format(name))
        (self.directory / f"{name}.index").touch()
        (self.directory / f"{name}.number").write_text("01\n")
        self.certify(self.certificate, self.key, name, "basicConstraints=critical,CA:TRUE")

    def openssl(self, *arguments):
        subprocess.run(["openssl", *map(str, arguments)], cwd=self.directory, check=True,
                       capture_output=True)

    def certify(self, chain, key, name, extension, *by):
        self.openssl("req", "-x509", "-config", f"{self.name}.cnf", "-newkey", "ec", "-pkeyopt",
                     "ec_paramgen_curve:P-256", "-nodes", "-keyout", key, "-out", chain, "-days",
                     "60", "-subj", f"/CN={name}", "-addext", extension, *by)

    def issue(self, name):
        """For a server and a client alike."""
        pair = Pair(self.directory, f"{self.name}-{name}")
        self.certify(pair.chain, pair.key, name, "subjectAltName=DNS:localhost,IP:127.0.0.1",
                     "-CA", self.certificate, "-CAkey", self.key)
        return pair

    def revoke(self, *pairs):
        """Writes the list of all that are revoked so far."""
        by = ["-config", f"{self.name}.cnf", "-cert", self.certificate, "-keyfile", self.key]
        for pair in pairs:
            self.openssl("ca", *by, "-revoke", pair.chain)
        self.openssl("ca", *by, "-gencrl", "-out", self.crl)
        return self.crl


class Caller(Server):
    """A running mtls_client, and the lines that it has printed."""

    def __init__(self, port, *arguments):
        path = Path(os.environ["CERTRELOAD_EXAMPLES_DIR"], "mtls_client")
        self.start([path, "--port", str(port), *map(str, arguments)])

    def wait_for_calls(self, more):
        """Waits for so many calls from now on, every one of which has to be good."""
        with self.changed:
            target = len(self.calls()) + more
            self.changed.wait_for(lambda: len(self.calls()) >= target or self.failed(), PATIENCE)
            failed, calls = self.failed(), self.calls()
        if failed or len(calls) < target:
            raise AssertionError(f"{len(calls)} calls of {target}; failed: {failed}")
        return calls[-1]

    def calls(self):
        return [line for line in self.lines if line.startswith("call ") and " TLS " in line]

    def failed(self):
        return [line for line in self.lines if line.startswith("call ") and " failed" in line]


def serial_of(pair):
    """As certreload and the examples have it."""
    done = subprocess.run(["openssl", "x509", "-in", pair.chain, "-noout", "-serial"], check=True,
                          capture_output=True, text=True)
    digits = done.stdout.strip().removeprefix("serial=").lower()
    return ("00" if digits[0] in "89abcdef" else "") + digits


class MutualTls(unittest.TestCase):
    """Servers and clients that know each other by their certificates, while all of these change."""

    def setUp(self):
        directory = tempfile.TemporaryDirectory(prefix="certreload-mtls-")
        self.addCleanup(directory.cleanup)
        self.directory = Path(directory.name)
        self.old = Authority(self.directory, "old")
        self.new = Authority(self.directory, "new")

    def side(self, name, issuer):
        """The files of one side: its own, and whom it trusts."""
        pair = Pair(self.directory, f"live-{name}").deploy(issuer.issue(name))
        roots = self.directory / f"live-{name}.roots"
        self.trust(roots, issuer)
        return pair, roots

    def trust(self, roots, *authorities):
        fresh = roots.with_suffix(".new")
        fresh.write_text("".join(authority.certificate.read_text() for authority in authorities))
        fresh.rename(roots)

    def serve(self, pair, roots, *more):
        server = Server("mtls_server", "--cert", pair.chain, "--key", pair.key, "--roots", roots,
                        *NO_POLL, *more)
        self.addCleanup(self.expect_clean_stop, server)
        return server

    def call(self, port, pair, roots, *more):
        own = [] if pair is None else ["--cert", pair.chain, "--key", pair.key]
        caller = Caller(port, "--roots", roots, *own, *NO_POLL, *more)
        self.addCleanup(self.expect_clean_stop, caller)
        return caller

    def expect_clean_stop(self, process):
        self.assertEqual(process.stop(), (0, ""))

    def refused(self, port, pair, roots):
        """Why the one call of a client fails."""
        done = self.call(port, pair, roots, "--calls", "1")
        done.wait_for_line("calls 1, failed 1")
        return done.failed()[0]

    def context(self, pair, version=None):
        """A client that looks at nobody, and shows a certificate."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
        context.load_cert_chain(pair.chain, pair.key)
        if version is not None:
            context.minimum_version = context.maximum_version = version
        return context

    def ask(self, context, port, session=None):
        """One request; gives whether it resumed, the session for the next, and the answer."""
        with socket.create_connection(("127.0.0.1", port), PATIENCE) as plain:
            with context.wrap_socket(plain, server_hostname="localhost", session=session) as tls:
                tls.sendall(b"GET / HTTP/1.0\r\n\r\n")
                answer = b""
                while piece := tls.recv(4096):
                    answer += piece
                return tls.session_reused, tls.session, answer.decode()

    def cross_over(self, version):
        """The way to change the authority of a service and its clients, who keep calling."""
        (server_pair, server_roots) = self.side("server", self.old)
        (client_pair, client_roots) = self.side("client", self.old)
        first = serial_of(server_pair), serial_of(client_pair)
        server = self.serve(server_pair, server_roots)
        client = self.call(server.port, client_pair, client_roots, "--every", "2", "--tls",
                           version.removeprefix("TLSv"))
        told = r"call \d+: TLS %s, .+, server %s, client %s"

        def expect(*serials):
            self.assertRegex(client.wait_for_calls(75), told % (version[4:], *serials))

        expect(*first)
        # A session of before, for afterwards. That it is good shows here.
        python = self.context(self.old.issue("python"), getattr(ssl.TLSVersion, version.replace(".", "_")))
        session = self.ask(python, server.port)[1]
        self.assertTrue(self.ask(python, server.port, session)[0])
        session = self.ask(python, server.port)[1]

        self.trust(server_roots, self.old, self.new)
        self.trust(client_roots, self.old, self.new)
        for side in (server, client):
            side.wait_for_line("event reloaded generation 2: .+")
        expect(*first)

        server_pair.deploy(self.new.issue("server"))
        server.wait_for_line("event reloaded generation 3: .+")
        # A session that goes on shows the certificate that it was begun with.
        both = f"({first[0]}|{serial_of(server_pair)})"
        expect(both, first[1])
        once = self.call(server.port, client_pair, client_roots, "--calls", "1")
        once.wait_for_line(f"call 1: .+, server {serial_of(server_pair)}, client {first[1]}")
        client_pair.deploy(self.new.issue("client"))
        client.wait_for_line("event reloaded generation 3: .+")
        expect(serial_of(server_pair), serial_of(client_pair))

        self.assertFalse(self.ask(python, server.port, session)[0], "the trust has changed")
        session = self.ask(python, server.port)[1]
        self.assertTrue(self.ask(python, server.port, session)[0])
        session = self.ask(python, server.port)[1]

        self.trust(server_roots, self.new)
        self.trust(client_roots, self.new)
        for side in (server, client):
            side.wait_for_line("event reloaded generation 4: .+")
        expect(serial_of(server_pair), serial_of(client_pair))
        client.send(signal.SIGTERM)
        calls = int(client.wait_for_line(r"calls (\d+), failed 0")[1])
        self.assertGreaterEqual(calls, 300)
        resumed = [line for line in client.calls() if ", resumed, " in line]
        self.assertGreater(len(resumed), calls // 2, "most calls need no full handshake")

        # Whoever has nothing but the old authority's word is out, with a good old session too.
        self.assertIn("failed", self.refused(server.port, self.old.issue("late"), client_roots))
        for before in (None, session):
            with self.assertRaises(OSError):
                self.ask(python, server.port, before)
        # And a server of the old authority is nobody's any more.
        imposter = self.serve(self.old.issue("imposter"), server_roots)
        told = self.refused(imposter.port, client_pair, client_roots)
        self.assertIn("UnknownIssuer", told)

    def test_the_authority_changes_without_one_failed_call_in_tls_1_3(self):
        self.cross_over("TLSv1.3")

    def test_the_authority_changes_without_one_failed_call_in_tls_1_2(self):
        self.cross_over("TLSv1.2")

    def test_one_handle_serves_and_calls(self):
        sides = {name: self.side(name, self.old) for name in ("front", "back", "client")}
        back = self.serve(*sides["back"])
        front = self.serve(*sides["front"], "--peer", back.port)
        client = self.context(sides["client"][0])

        def meet():
            """Who the client sees, and who the two servers see."""
            answer = self.ask(client, front.port)[2]
            lines = dict(line.split(" ", 1) for line in answer.split("\r\n\r\n")[1].splitlines())
            return lines["peer"], lines["here"]

        def serials():
            return serial_of(sides["back"][0]), serial_of(sides["front"][0])

        self.assertEqual(meet(), serials())
        for _, roots in sides.values():
            self.trust(roots, self.old, self.new)
        for server in (front, back):
            server.wait_for_line("event reloaded generation 2: .+")
        sides["back"][0].deploy(self.new.issue("back"))
        back.wait_for_line("event reloaded generation 3: .+")
        self.assertEqual(meet()[1], serials()[1])
        # Another certificate of its own is another client: it has no session yet.
        sides["front"][0].deploy(self.new.issue("front"))
        front.wait_for_line("event reloaded generation 3: .+")
        self.assertEqual(meet(), serials())

    def test_a_revoked_client_is_out_with_its_session(self):
        pair, roots = self.side("server", self.old)
        lists = self.directory / "lists.crl"
        replace(lists, self.old.revoke())
        server = self.serve(pair, roots, "--crls", lists)
        good, bad = self.old.issue("good"), self.old.issue("bad")
        context = self.context(bad)
        session = self.ask(context, server.port)[1]
        self.assertTrue(self.ask(context, server.port, session)[0])
        session = self.ask(context, server.port)[1]

        replace(lists, self.old.revoke(bad))
        server.wait_for_line("event reloaded generation 2: .+")
        for before in (None, session):
            with self.assertRaises(OSError):
                self.ask(context, server.port, before)
        self.assertIn(f"client {serial_of(good)}\n", self.ask(self.context(good), server.port)[2])

    def test_a_client_may_have_no_certificate_where_that_is_optional(self):
        pair, roots = self.side("server", self.old)
        server = self.serve(pair, roots, "--client-auth", "optional")
        self.call(server.port, None, roots, "--calls", "1").wait_for_line(
            r"call 1: TLS 1\.3, full.*, server .+, client none")
        self.assertIn("failed", self.refused(server.port, self.new.issue("stranger"), roots))
        required = self.serve(pair, roots)
        self.assertIn("ertificate", self.refused(required.port, None, roots))

    def test_sighup_reloads_a_client(self):
        server_pair, server_roots = self.side("server", self.old)
        client_pair, client_roots = self.side("client", self.old)
        server = self.serve(server_pair, server_roots)
        client = self.call(server.port, client_pair, client_roots, "--every", "2")
        for _ in range(100):
            client.wait_for_calls(1)
            client.send(signal.SIGHUP)
        # At every moment of a call, connect() included.
        target, limit = len(client.calls()) + 100, time.monotonic() + PATIENCE
        while len(client.calls()) < target and not client.failed() and time.monotonic() < limit:
            client.send(signal.SIGHUP)
        client.wait_for_calls(1)
        client_pair.deploy(self.old.issue("client"))
        client.send(signal.SIGHUP)
        client.wait_for_line(f"call .*, client {serial_of(client_pair)}")


def children_of(pid):
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return [int(child) for child in children]


def not_tested(test, why):
    """unittest itself prints no reasons."""
    print(f"NOT TESTED: {test.id()}: {why}", flush=True)
    test.skipTest(why)


def count_sockets(pid):
    """A descriptor that is closed between the listing and the look is no socket any more."""
    count = 0
    for link in Path(f"/proc/{pid}/fd").iterdir():
        try:
            count += int(link.name) > 2 and os.readlink(link).startswith("socket:")
        except FileNotFoundError:
            pass
    return count


def is_running(pid):
    """A process that has ended and whose parent has not waited for it is a zombie."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


def holds(pid, text):
    """Whether the text is anywhere in the memory that the process can write to."""
    with open(f"/proc/{pid}/mem", "rb", buffering=0) as memory:
        for line in Path(f"/proc/{pid}/maps").read_text().splitlines():
            extent, access = line.split()[:2]
            if access.startswith("rw"):
                start, end = (int(part, 16) for part in extent.split("-"))
                if text in read_memory(memory, start, end):
                    return True
    return False


def read_memory(memory, start, end):
    """A read may be short; of a mapping that has gone since it was listed there is nothing to read."""
    memory.seek(start)
    read = bytearray()
    with contextlib.suppress(OSError):
        while part := memory.read(end - start - len(read)):
            read += part
    return bytes(read)


if __name__ == "__main__":
    unittest.main()
