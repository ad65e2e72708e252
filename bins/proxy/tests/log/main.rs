//! Lines of the log. A process has one log, so these tests are a program of their own.

#[path = "../support/mod.rs"]
mod support;

#[path = "../hostile/frames.rs"]
#[allow(dead_code, reason = "one of two programs that use it")]
mod frames;
#[path = "../hostile/wire.rs"]
#[allow(dead_code, reason = "one of three programs that use it")]
mod wire;

mod ejections;
mod limits;

use std::{
    io,
    sync::{Arc, Mutex, OnceLock},
};

/// The log of everything in this process.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl io::Write for Log {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Log {
    fn keep() -> Self {
        static LOG: OnceLock<Log> = OnceLock::new();
        let log = LOG.get_or_init(|| {
            let log = Self::default();
            let writer = log.clone();
            tracing_subscriber::fmt()
                .with_env_filter("mesh_proxy=debug,mesh_serve=debug,mesh_pool=debug")
                .with_ansi(false)
                .with_writer(move || writer.clone())
                .init();
            log
        });
        log.clone()
    }

    /// The lines so far that contain all of `words`.
    fn lines(&self, words: &[&str]) -> Vec<String> {
        let bytes = self.0.lock().unwrap().clone();
        let text = String::from_utf8_lossy(&bytes);
        let lines = text
            .lines()
            .filter(|line| words.iter().all(|word| line.contains(word)));
        lines.map(str::to_owned).collect()
    }

    /// The first line that contains `word`, once it is there.
    async fn line(&self, word: &str) -> String {
        loop {
            if let Some(line) = self.lines(&[word]).into_iter().next() {
                return line;
            }
            tokio::task::yield_now().await;
        }
    }
}
