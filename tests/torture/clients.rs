//! Clients that connect over real sockets all the time, and the servers that they meet.

use std::fmt;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, RwLock};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use rustls::pki_types::ServerName;
use rustls::{ClientConfig, ClientConnection, ServerConnection, StreamOwned};

use crate::history::History;
use crate::script::{NAMES, Side};
use crate::support::certificates::Authority;
use crate::support::holdings::Holdings;
use crate::support::host::Host;
use crate::support::witness::{Shown, lenient};

const CLIENTS: usize = 4;
const SERVERS: usize = 3;
/// Between two connections of programs that are not ours: each of them is a process.
const FOREIGN_PAUSE: Duration = Duration::from_millis(300);
const LIMIT: Duration = Duration::from_secs(30);

/// Everybody who connects, and everybody who answers.
pub struct Crowd {
    shared: Arc<Shared>,
    clients: Vec<JoinHandle<()>>,
    servers: Vec<JoinHandle<()>>,
    addresses: Vec<SocketAddr>,
}

struct Shared {
    sides: Vec<Side>,
    histories: Vec<Arc<History>>,
    /// First the clients go home, then the servers.
    clients_over: AtomicBool,
    servers_over: AtomicBool,
    /// Read while connecting, written while measuring.
    connecting: RwLock<()>,
    handshakes: AtomicU64,
    foreign: AtomicU64,
    /// By handle.
    cut: [AtomicU64; 2],
    trouble: Mutex<Option<String>>,
}

/// What the clients met.
pub struct Met {
    handshakes: u64,
    foreign: u64,
    cut: [u64; 2],
}

impl fmt::Display for Met {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { handshakes, foreign, cut } = self;
        write!(
            f,
            "{handshakes} handshakes of rustls clients and {foreign} of curl, openssl and Python, 0 failed, \
             0 with what was never whole on disk ({cut:?} without the intermediate, by handle)"
        )
    }
}

impl Crowd {
    pub fn start(sides: Vec<Side>, histories: Vec<Arc<History>>, authority: &Authority) -> Self {
        let shared = Arc::new(Shared {
            sides,
            histories,
            clients_over: AtomicBool::new(false),
            servers_over: AtomicBool::new(false),
            connecting: RwLock::new(()),
            handshakes: AtomicU64::new(0),
            foreign: AtomicU64::new(0),
            cut: Default::default(),
            trouble: Mutex::new(None),
        });
        let (mut clients, mut servers) = (Vec::new(), Vec::new());
        let mut addresses = Vec::new();
        for side in &shared.sides {
            let listener = Arc::new(TcpListener::bind("127.0.0.1:0").unwrap());
            addresses.push(listener.local_addr().unwrap());
            for _ in 0..SERVERS {
                let (shared, host, listener) =
                    (shared.clone(), side.host.clone(), listener.clone());
                servers.push(thread::spawn(move || shared.serve(&host, &listener)));
            }
        }
        for client in 0..CLIENTS {
            let (shared, configs) = (shared.clone(), lenient(authority));
            let side = client % addresses.len();
            let address = addresses[side];
            clients.push(thread::spawn(move || shared.connect_on(side, address, client, &configs)));
        }
        let foreigner = (shared.clone(), addresses.clone());
        clients.push(thread::spawn(move || foreigner.0.foreign_clients(&foreigner.1)));
        Self { shared, clients, servers, addresses }
    }

    /// Panics with what a client met that it must not meet.
    pub fn check(&self) {
        if let Some(trouble) = self.shared.trouble.lock().unwrap().take() {
            panic!("{trouble}");
        }
    }

    /// Measures while nobody connects.
    pub fn measure(&self) -> Holdings {
        let _nobody = self.shared.connecting.write().unwrap();
        Holdings::at_rest()
    }

    pub fn end(self) -> Met {
        self.shared.clients_over.store(true, Ordering::SeqCst);
        for thread in self.clients {
            thread.join().unwrap();
        }
        self.shared.servers_over.store(true, Ordering::SeqCst);
        for address in self.addresses.iter().flat_map(|address| [address; SERVERS]) {
            drop(TcpStream::connect(address));
        }
        for thread in self.servers {
            thread.join().unwrap();
        }
        if let Some(trouble) = self.shared.trouble.lock().unwrap().take() {
            panic!("{trouble}");
        }
        let count = |counter: &AtomicU64| counter.load(Ordering::SeqCst);
        let Shared { handshakes, foreign, cut, .. } = &*self.shared;
        Met {
            handshakes: count(handshakes),
            foreign: count(foreign),
            cut: [count(&cut[0]), count(&cut[1])],
        }
    }
}

impl Shared {
    fn is_over(&self) -> bool {
        self.clients_over.load(Ordering::SeqCst)
    }

    fn report(&self, trouble: String) {
        self.trouble.lock().unwrap().get_or_insert(trouble);
    }

    fn serve(&self, host: &Host, listener: &TcpListener) {
        while !self.servers_over.load(Ordering::SeqCst) {
            let (socket, _) = listener.accept().unwrap();
            let connection = ServerConnection::new(host.config()).unwrap();
            // Whatever goes wrong, the client tells.
            let _ = answer(socket, connection);
        }
    }

    fn connect_on(
        &self,
        side: usize,
        address: SocketAddr,
        client: usize,
        configs: &[Arc<ClientConfig>],
    ) {
        let mut last = [0; NAMES.len()];
        for round in client.. {
            if self.is_over() {
                return;
            }
            let _connecting = self.connecting.read().unwrap();
            let identity = round % self.histories.len();
            let live = self.sides[side].live[identity].load(Ordering::SeqCst);
            last[identity] = last[identity].max(live);
            let may_be_cut = || self.sides[side].may_be_cut.load(Ordering::SeqCst);
            let might_be_cut = may_be_cut();
            match request(address, NAMES[identity], &configs[round % configs.len()]) {
                Ok(shown) => {
                    self.handshakes.fetch_add(1, Ordering::SeqCst);
                    let is_cut = shown.length < 2;
                    self.cut[side].fetch_add(u64::from(is_cut), Ordering::SeqCst);
                    if is_cut && !might_be_cut && !may_be_cut() {
                        let leaf = &shown.leaf;
                        self.report(format!(
                            "handle {side} showed {leaf} without its intermediate"
                        ));
                    }
                    let who = "a rustls client";
                    last[identity] = self.judge(side, identity, &shown.leaf, last[identity], who);
                }
                Err(error) => self.report(format!("a handshake failed: {error}")),
            }
        }
    }

    /// Where on the history the leaf is; told as trouble if nowhere from `last` on.
    fn judge(&self, side: usize, identity: usize, leaf: &str, last: usize, who: &str) -> usize {
        let history = &self.histories[identity];
        history.find(leaf, last).unwrap_or_else(|| {
            let name = NAMES[identity];
            let place = history.find(leaf, 0);
            self.report(format!(
                "{who} was shown {leaf} for {name} by handle {side}: {last} was live, and it was at {place:?}"
            ));
            last
        })
    }

    /// curl, openssl and Python by turns.
    fn foreign_clients(&self, addresses: &[SocketAddr]) {
        for round in 0.. {
            thread::sleep(FOREIGN_PAUSE);
            if self.is_over() {
                return;
            }
            let _connecting = self.connecting.read().unwrap();
            let (side, identity) = (round % addresses.len(), round % self.histories.len());
            let live = self.sides[side].live[identity].load(Ordering::SeqCst);
            match foreign(round, addresses[side], NAMES[identity]) {
                Ok(leaf) => {
                    self.foreign.fetch_add(1, Ordering::SeqCst);
                    if let Some(leaf) = leaf {
                        self.judge(side, identity, &leaf, live, "a foreign client");
                    }
                }
                Err(error) => self.report(error),
            }
        }
    }
}

fn answer(socket: TcpStream, connection: ServerConnection) -> std::io::Result<()> {
    socket.set_read_timeout(Some(LIMIT))?;
    socket.set_write_timeout(Some(LIMIT))?;
    let mut stream = StreamOwned::new(connection, socket);
    let mut asked = Vec::new();
    let mut piece = [0; 512];
    while !asked.ends_with(b"\r\n\r\n") {
        match stream.read(&mut piece)? {
            0 => return Ok(()),
            length => asked.extend_from_slice(&piece[..length]),
        }
    }
    stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nConnection: close\r\n\r\nhello")?;
    stream.conn.send_close_notify();
    stream.flush()
}

/// Asks over a fresh connection; tells what was shown.
fn request(
    address: SocketAddr,
    name: &str,
    config: &Arc<ClientConfig>,
) -> Result<Shown, Box<dyn std::error::Error>> {
    let begun = Instant::now();
    let socket = TcpStream::connect(address)?;
    socket.set_nodelay(true)?;
    socket.set_read_timeout(Some(LIMIT))?;
    let name = ServerName::try_from(name.to_owned())?;
    let mut stream = StreamOwned::new(ClientConnection::new(config.clone(), name)?, socket);
    stream.write_all(b"GET / HTTP/1.1\r\nHost: a.test\r\n\r\n")?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    if !answer.ends_with("hello") {
        return Err(format!("{answer:?} after {:?}", begun.elapsed()).into());
    }
    Ok(Shown::of(stream.conn.peer_certificates().ok_or("no certificate")?))
}

/// Connects with another program; tells the leaf's fingerprint where that program shows it.
fn foreign(round: usize, address: SocketAddr, name: &str) -> Result<Option<String>, String> {
    let (port, place) = (address.port(), address.to_string());
    match round % 3 {
        0 => {
            let to = format!("{name}:{port}:127.0.0.1");
            let url = format!("https://{name}:{port}/");
            let arguments = ["--silent", "--show-error", "--insecure", "--resolve", &to, &url];
            let said = run("curl", &arguments)?;
            if said == "hello" { Ok(None) } else { Err(format!("curl got {said:?}")) }
        }
        1 => {
            let command = format!(
                "openssl s_client -connect {place} -servername {name} </dev/null 2>/dev/null |
                 openssl x509 -noout -fingerprint -sha256"
            );
            let told = run("sh", &["-c", &command])?;
            Ok(Some(told.trim().rsplit('=').next().unwrap_or("").replace(':', "").to_lowercase()))
        }
        _ => {
            let script = format!(
                "import hashlib, socket, ssl
context = ssl._create_unverified_context()
with socket.create_connection(('127.0.0.1', {port})) as plain:
    with context.wrap_socket(plain, server_hostname='{name}') as tls:
        print(hashlib.sha256(tls.getpeercert(True)).hexdigest())"
            );
            Ok(Some(run("python3", &["-c", &script])?.trim().to_owned()))
        }
    }
}

fn run(program: &str, arguments: &[&str]) -> Result<String, String> {
    let output = Command::new(program).args(arguments).stdin(Stdio::null()).output();
    let output = output.map_err(|error| format!("{program}: {error}"))?;
    if output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
    }
    Err(format!("{program} failed: {}", String::from_utf8_lossy(&output.stderr)))
}
