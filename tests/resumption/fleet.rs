//! Several processes with one file of ticket keys, behind one address.

use std::env;
use std::io::{self, BufRead, BufReader, Write};
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, ChildStdout, Command, Stdio};
use std::sync::{Arc, Mutex};

use certreload::ffi::options::trust::certreload_client_auth as ClientAuth;
use certreload::ffi::sessions::certreload_resumption as Resumption;

use crate::peers::{Alert, Guest, Peer, VERSIONS, Visit};
use crate::server::Server;
use crate::table::Change;
use crate::world::{World, open, ticket_key};

/// Tells a process of this program that it is a member, and where the files are.
const FILES: &str = "CERTRELOAD_TEST_FLEET";

/// Those that come back with the ticket that they got first, however often.
const PEERS: [Peer; 2] = [Peer::OpenSsl, Peer::Python];

#[test]
fn g14_processes_with_one_ticket_key_file_resume_each_others_sessions() {
    let name = "g14_processes_with_one_ticket_key_file_resume_each_others_sessions";
    let Some(mut fleet) = Fleet::new(name) else {
        return;
    };
    let mut of_one = fleet.visit(0);
    let mut of_other = fleet.visit(1);
    fleet.expect(&mut of_one, 1, Visit::Resumed);
    fleet.expect(&mut of_other, 0, Visit::Resumed);
    fleet.restart(0);
    fleet.expect(&mut of_one, 0, Visit::Resumed);
    fleet.expect(&mut of_other, 0, Visit::Resumed);
}

#[test]
fn tickets_go_with_the_key_that_they_were_made_with() {
    let Some(mut fleet) = Fleet::new("tickets_go_with_the_key_that_they_were_made_with") else {
        return;
    };
    let [first, second, third] = [fleet.world.ticket_key.clone(), ticket_key(), ticket_key()];
    let mut of_first = fleet.visit(0);

    fleet.world.write_ticket_keys(&[&second, &first]);
    fleet.reload(0);
    let mut of_second = fleet.visit(0);
    // The other has not heard of it yet.
    fleet.expect(&mut of_second, 1, Visit::Full);
    fleet.expect(&mut of_first, 1, Visit::Resumed);
    fleet.reload(1);
    for member in [0, 1] {
        fleet.expect(&mut of_first, member, Visit::Resumed);
        fleet.expect(&mut of_second, member, Visit::Resumed);
    }

    fleet.world.write_ticket_keys(&[&third, &second]);
    for member in [0, 1] {
        fleet.reload(member);
        fleet.expect(&mut of_first, member, Visit::Full);
        fleet.expect(&mut of_second, member, Visit::Resumed);
    }
}

#[test]
fn g13_a_ticket_of_a_process_that_trusts_more_is_no_way_into_one_that_trusts_less() {
    let name = "g13_a_ticket_of_a_process_that_trusts_more_is_no_way_into_one_that_trusts_less";
    let Some(mut fleet) = Fleet::new(name) else { return };
    let mut guests = fleet.visit(1);
    fleet.world.trust_others_only();
    fleet.reload(0);
    fleet.expect(&mut guests, 1, Visit::Resumed);
    fleet.expect(&mut guests, 0, |_| Visit::Refused(Alert::UnknownCa));
    fleet.restart(1);
    fleet.expect(&mut guests, 1, |_| Visit::Refused(Alert::UnknownCa));
}

/// Two processes, and the address that clients know.
struct Fleet {
    test: &'static str,
    world: World,
    members: [Member; 2],
    behind: Arc<Mutex<SocketAddr>>,
    front: Server,
}

impl Fleet {
    /// `None` in a member, whose part is over then.
    fn new(test: &'static str) -> Option<Self> {
        if let Some(files) = env::var_os(FILES) {
            be_a_member(Path::new(&files));
            return None;
        }
        let world = World::before(Change::RestartedWithTicketKeys, Resumption::Auto);
        let members = [Member::start(test, &world), Member::start(test, &world)];
        let behind = Arc::new(Mutex::new(members[0].address));
        let front = Server::before(behind.clone());
        Some(Self { test, world, members, behind, front })
    }

    /// Clients that were served by a member.
    fn visit(&self, member: usize) -> Vec<Guest> {
        *self.behind.lock().unwrap() = self.members[member].address;
        let peers = PEERS.into_iter().filter(|peer| peer.is_here());
        let visitors =
            peers.flat_map(|peer| VERSIONS.map(|version| self.world.visitor(peer, version)));
        visitors.map(|visitor| visitor.visit(&self.front)).collect()
    }

    fn expect(&self, guests: &mut [Guest], member: usize, how: fn(String) -> Visit) {
        *self.behind.lock().unwrap() = self.members[member].address;
        let client = self.world.known_as()[1];
        for guest in guests {
            assert_eq!(guest.come_back(), how(client.to_owned()));
        }
    }

    fn restart(&mut self, member: usize) {
        self.members[member] = Member::start(self.test, &self.world);
    }

    fn reload(&mut self, member: usize) {
        self.members[member].reload();
    }
}

/// A process of this program that serves.
struct Member {
    child: Child,
    answers: BufReader<ChildStdout>,
    address: SocketAddr,
}

impl Member {
    fn start(test: &str, world: &World) -> Self {
        let mut child = Command::new(env::current_exe().unwrap())
            .args(["--exact", &format!("fleet::{test}"), "--nocapture"])
            .env(FILES, world.files.path(""))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let answers = BufReader::new(child.stdout.take().unwrap());
        let mut member = Self { child, answers, address: ([0; 4], 0).into() };
        member.address = member.answer("address ").parse().unwrap();
        member
    }

    fn reload(&mut self) {
        writeln!(self.child.stdin.as_mut().unwrap(), "reload").unwrap();
        assert_eq!(self.answer("reloaded "), "Ok");
    }

    fn answer(&mut self, word: &str) -> String {
        let mut lines = (&mut self.answers).lines().map(Result::unwrap);
        let answer = lines.find_map(|line| line.strip_prefix(word).map(ToOwned::to_owned));
        answer.unwrap_or_else(|| panic!("it ended before it said {word:?}"))
    }
}

impl Drop for Member {
    fn drop(&mut self) {
        drop(self.child.stdin.take());
        let _ = self.child.wait();
    }
}

/// Serves until there is nobody who tells it to reload.
fn be_a_member(files: &Path) {
    let change = Change::RestartedWithTicketKeys;
    let host = open(change, Resumption::Auto, ClientAuth::Optional, files);
    let host = Arc::new(host);
    let serving = host.clone();
    println!("\naddress {}", Server::new(move || serving.config()).address);
    for _ in io::stdin().lines() {
        println!("reloaded {:?}", host.reload_wait());
    }
}
