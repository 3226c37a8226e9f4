//! Between bridge and broker: a TCP relay that can fall silent without closing, for a while or, on the connections of the
//! time, for good; or cut its connections in the middle.
//!
//! In: where the broker listens. Out: a port of its own. Never happens: a byte changed, doubled or out of order on a
//! connection; a silent relay keeps what it has and hands it on when it may speak again.

use std::io::{Read as _, Write as _};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

#[derive(Default)]
struct State {
    /// Where the broker listens; nobody is let in before it is known.
    target: Mutex<Option<SocketAddr>>,
    is_silent: AtomicBool,
    /// Connections of an earlier generation are cut, but for the forgotten ones.
    generation: AtomicU64,
    /// On connections of an earlier generation than this nothing passes any more, and nobody is told.
    forgotten_before: AtomicU64,
    is_over: AtomicBool,
}

/// See the module.
pub struct Proxy {
    pub port: u16,
    state: Arc<State>,
}

impl Proxy {
    pub fn start() -> Proxy {
        let listener = TcpListener::bind(("127.0.0.1", 0)).expect("loopback has a free port");
        let port = listener.local_addr().expect("a bound listener has an address").port();
        let state: Arc<State> = Arc::default();
        let shared = Arc::clone(&state);
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                if shared.is_over.load(Ordering::Relaxed) {
                    break;
                }
                let state = Arc::clone(&shared);
                thread::spawn(move || relay_both(&state, stream));
            }
        });
        Proxy { port, state }
    }

    pub fn lead_to(&self, port: u16) {
        *self.state.target.lock().expect("no holder panics") = Some(SocketAddr::from(([127, 0, 0, 1], port)));
    }

    /// Nothing passes for so long, and no connection is closed.
    pub fn fall_silent(&self, time: Duration) {
        self.state.is_silent.store(true, Ordering::Relaxed);
        thread::sleep(time);
        self.state.is_silent.store(false, Ordering::Relaxed);
    }

    /// Nothing passes for so long, and after that on new connections alone: the old ones stay open until a side gives up.
    pub fn forget(&self, time: Duration) {
        self.state.is_silent.store(true, Ordering::SeqCst);
        thread::sleep(time);
        // First of all, so that no connection is cut, or hands on what it held back.
        let before = self.state.generation.load(Ordering::SeqCst) + 1;
        self.state.forgotten_before.store(before, Ordering::SeqCst);
        self.state.generation.store(before, Ordering::SeqCst);
        self.state.is_silent.store(false, Ordering::SeqCst);
    }

    /// Every connection ends where it is, in the middle of a message or not.
    pub fn cut(&self) {
        self.state.generation.fetch_add(1, Ordering::Relaxed);
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.state.is_over.store(true, Ordering::Relaxed);
        self.cut();
        // Wakes the listener.
        drop(TcpStream::connect(("127.0.0.1", self.port)));
    }
}

fn relay_both(state: &Arc<State>, near: TcpStream) {
    let target = *state.target.lock().expect("no holder panics");
    let Some(far) = target.and_then(|target| TcpStream::connect(target).ok()) else { return };
    let generation = state.generation.load(Ordering::Relaxed);
    let (Ok(near_again), Ok(far_again)) = (near.try_clone(), far.try_clone()) else { return };
    let state_again = Arc::clone(state);
    let back = thread::spawn(move || relay(&state_again, generation, far_again, near_again));
    relay(state, generation, near, far);
    // The relay back panics nowhere, and its end is all that is waited for.
    let _ = back.join();
}

/// Hands on until one side ends or the relay is cut.
fn relay(state: &State, generation: u64, mut from: TcpStream, mut to: TcpStream) {
    let is_forgotten = || generation < state.forgotten_before.load(Ordering::SeqCst);
    let is_cut = || state.generation.load(Ordering::SeqCst) != generation && !is_forgotten();
    let is_over = || state.is_over.load(Ordering::Relaxed) || is_cut();
    // Small pieces, so that a cut falls into the middle of a message.
    let mut bytes = [0; 4096];
    let _ = (from.set_read_timeout(Some(Duration::from_millis(20))), to.set_nodelay(true));
    'relay: while !is_over() {
        let length = match from.read(&mut bytes) {
            Ok(0) => break,
            Ok(length) => length,
            Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => continue,
            Err(_) => break,
        };
        while state.is_silent.load(Ordering::SeqCst) {
            if is_over() {
                break 'relay;
            }
            thread::sleep(Duration::from_millis(5));
        }
        if !is_forgotten() && to.write_all(&bytes[..length]).is_err() {
            break;
        }
    }
    let _ = (from.shutdown(Shutdown::Both), to.shutdown(Shutdown::Both));
}
