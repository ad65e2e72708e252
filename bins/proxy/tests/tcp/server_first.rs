//! Protocols in which the server speaks first, and clients that are slow to.

use crate::support::{Discovery, Running, config, destination};
use mesh_discover::Protocol;
use mesh_profile::ProfileSpec;
use mesh_proxy::{Config, Limits, Role};
use std::{
    io::{Read as _, Write as _},
    net::{SocketAddr, TcpListener, TcpStream},
    thread,
    time::Duration,
};

const PATIENCE: Duration = Duration::from_secs(10);
/// Longer than anybody here has patience.
const LONG: Duration = Duration::from_secs(60);

fn inbound(app: SocketAddr, opaque: bool) -> Running {
    let ports = if opaque { vec![app.port()] } else { Vec::new() };
    Running::start(Config {
        opaque_ports: ports.into(),
        limits: Limits {
            silence: match opaque {
                true => LONG,
                false => Duration::from_millis(1),
            },
            detect: LONG,
            drain: Duration::from_secs(1),
            ..Limits::default()
        },
        ..config([Role::Inbound(app)])
    })
}

fn connect(proxy: &Running) -> TcpStream {
    let client = TcpStream::connect(proxy.addr()).unwrap();
    client.set_read_timeout(Some(PATIENCE)).unwrap();
    client
}

/// A client that waits to be greeted is, before anybody's patience ends.
fn server_speaks_first(proxy: &Running, server: TcpListener) {
    let mut client = connect(proxy);
    let greeting = thread::spawn(move || {
        let (mut app, _) = server.accept().unwrap();
        app.write_all(b"220 hello\r\n").unwrap();
        app
    });
    let mut heard = [0; 11];
    client.read_exact(&mut heard).unwrap();
    assert_eq!(&heard, b"220 hello\r\n");
    client.write_all(b"GET me\r\n").unwrap();
    let mut heard = [0; 8];
    greeting.join().unwrap().read_exact(&mut heard).unwrap();
    assert_eq!(&heard, b"GET me\r\n", "bytes stay bytes");
}

#[test]
fn a_server_that_speaks_first_is_heard_declared_or_not() {
    for opaque in [true, false] {
        let server = TcpListener::bind("127.0.0.1:0").unwrap();
        let proxy = inbound(server.local_addr().unwrap(), opaque);
        server_speaks_first(&proxy, server);
    }
}

#[test]
fn discovery_declares_a_destination_whose_server_speaks_first() {
    let server = TcpListener::bind("127.0.0.1:0").unwrap();
    let addr = server.local_addr().unwrap();
    let discovery = Discovery::default();
    // As the controller has it of a service whose annotation names the port.
    let mail = destination("mail.shop:25", ProfileSpec::default(), &[addr])
        .with_protocol(Protocol::Opaque);
    discovery.set("mail:25", mail);
    let config = Config {
        // Neither a list of ports nor a pause says so.
        opaque_ports: [].into(),
        limits: Limits {
            silence: LONG,
            detect: LONG,
            drain: Duration::from_secs(1),
            ..Limits::default()
        },
        ..config([Role::Upstream("mail:25".into())])
    };
    let proxy = Running::discovering(config, &discovery);
    server_speaks_first(&proxy, server);
}

#[test]
fn a_client_that_is_slow_to_speak_http_is_one_of_http() {
    let server = TcpListener::bind("127.0.0.1:0").unwrap();
    let proxy = inbound(server.local_addr().unwrap(), false);
    let mut client = connect(&proxy);
    // The server is asked whether it has anything to say; it has not.
    let (mut asked, _) = server.accept().unwrap();
    client
        .write_all(b"GET / HTTP/1.1\r\nhost: a\r\nconnection: close\r\nl5d-x: 1\r\n\r\n")
        .unwrap();
    let answering = thread::spawn(move || {
        let (mut app, _) = server.accept().unwrap();
        let mut head = [0; 1024];
        let read = app.read(&mut head).unwrap();
        app.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n")
            .unwrap();
        String::from_utf8_lossy(&head[..read]).into_owned()
    });
    let mut answer = String::new();
    let read = client.read_to_string(&mut answer);
    assert!(read.is_ok(), "{read:?}: {answer}");
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    let head = answering.join().unwrap();
    assert!(!head.contains("l5d-x"), "it was read as HTTP: {head}");
    // That call was for nothing, and is over.
    assert_eq!(asked.read(&mut [0; 8]).unwrap(), 0);
}
