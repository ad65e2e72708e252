//! A TCP connection's way from here to there, which can be cut or worse.

use std::{
    io::{ErrorKind, Read as _, Write as _},
    net::{Shutdown, SocketAddr, TcpListener, TcpStream},
    sync::{Arc, Mutex},
    thread,
    time::Duration,
};

/// Interval for checking the mode.
const TICK: Duration = Duration::from_millis(20);
/// Delay of [`Mode::Slow`].
const SLOW: Duration = Duration::from_millis(400);

/// Treatment of the bytes that are sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// It arrives there. Connections that went elsewhere are cut.
    To(SocketAddr),
    /// Every connection is closed.
    Refuse,
    /// Connections stay, and nothing arrives.
    Silent,
    /// It arrives, but late; connections are cut once.
    Slow,
    /// Every connection is closed, and new ones are answered with nonsense.
    Garbage,
}

/// Listens until the process ends.
pub struct Wire {
    addr: SocketAddr,
    state: Arc<Mutex<State>>,
}

#[derive(Clone, Copy)]
struct State {
    mode: Mode,
    /// Where it leads, if it does.
    to: SocketAddr,
    /// Connections of an earlier one are cut.
    epoch: u64,
}

impl Wire {
    pub fn to(to: SocketAddr) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port is free");
        let addr = listener.local_addr().expect("it listens");
        let state = Arc::new(Mutex::new(State {
            mode: Mode::To(to),
            to,
            epoch: 0,
        }));
        let shared = state.clone();
        thread::spawn(move || {
            for socket in listener.incoming().flatten() {
                connection(&shared, socket);
            }
        });
        Self { addr, state }
    }

    pub fn addr(&self) -> SocketAddr {
        self.addr
    }

    pub fn set(&self, mode: Mode) {
        let mut state = self.state.lock().expect("nobody panics");
        state.mode = mode;
        if let Mode::To(to) = mode {
            state.to = to;
        }
        state.epoch += u64::from(mode != Mode::Silent);
    }
}

fn connection(shared: &Arc<Mutex<State>>, mut here: TcpStream) {
    let state = *shared.lock().expect("nobody panics");
    match state.mode {
        Mode::Refuse => return,
        Mode::Garbage => {
            let nonsense: Vec<u8> = (0..4096_u32).map(|n| (n * 7 % 251) as u8).collect();
            let _ = here.write_all(&nonsense);
        }
        _ => {}
    }
    let Ok(there) = TcpStream::connect(state.to) else {
        return;
    };
    for (from, to) in [(&here, &there), (&there, &here)] {
        let (Ok(from), Ok(to)) = (from.try_clone(), to.try_clone()) else {
            return;
        };
        let shared = shared.clone();
        thread::spawn(move || {
            carry(&shared, state.epoch, &from, &to);
            let _ = from.shutdown(Shutdown::Both);
            let _ = to.shutdown(Shutdown::Both);
        });
    }
}

fn carry(shared: &Mutex<State>, epoch: u64, mut from: &TcpStream, mut to: &TcpStream) {
    let mut buffer = [0; 4096];
    let _ = from.set_read_timeout(Some(TICK));
    let _ = to.set_nodelay(true);
    loop {
        let state = *shared.lock().expect("nobody panics");
        if state.epoch != epoch {
            return;
        }
        match state.mode {
            Mode::Silent | Mode::Garbage => {
                thread::sleep(TICK);
                continue;
            }
            Mode::Slow => thread::sleep(SLOW),
            _ => {}
        }
        match from.read(&mut buffer) {
            Ok(0) => return,
            Ok(read) => {
                if to.write_all(&buffer[..read]).is_err() {
                    return;
                }
            }
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {}
            Err(_) => return,
        }
    }
}
