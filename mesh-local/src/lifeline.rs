//! Ends a child when its parent is gone.
//!
//! The parent holds one end of a pipe or socket pair and gives the other to the child, as standard
//! input for example. The kernel closes the parent's end however the parent ends.

use std::{
    io::{self, Read},
    thread,
};

/// Reads `lifeline` to its end in a thread, ignores what it reads, and then calls `on_end`.
///
/// Standard input may be a terminal or a file, which a runtime cannot wait for, and its mode is
/// shared with the parent: hence a thread, with a stack of 64 KiB.
///
/// # Errors
///
/// Returns the error of starting the thread.
pub fn watch(
    mut lifeline: impl Read + Send + 'static,
    on_end: impl FnOnce() + Send + 'static,
) -> io::Result<()> {
    let watch = move || {
        let mut ignored = [0; 64];
        loop {
            match lifeline.read(&mut ignored) {
                Ok(1..) => {}
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Ok(0) | Err(_) => break,
            }
        }
        on_end();
    };
    thread::Builder::new()
        .name("lifeline".into())
        .stack_size(64 << 10)
        .spawn(watch)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{
        collections::VecDeque,
        sync::mpsc::{self, RecvTimeoutError},
        time::Duration,
    };

    struct Script(VecDeque<io::Result<usize>>, mpsc::Receiver<()>);

    impl Read for Script {
        fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
            self.0.pop_front().unwrap_or_else(|| {
                let _ = self.1.recv();
                Ok(0)
            })
        }
    }

    #[test]
    fn only_the_end_of_input_counts() {
        let interrupted = Err(io::ErrorKind::Interrupted.into());
        let (parent, lifeline) = mpsc::channel();
        let (ended, end) = mpsc::channel();
        let script = Script([Ok(64), interrupted, Ok(1)].into(), lifeline);
        watch(script, move || ended.send(()).unwrap()).unwrap();
        let early = end.recv_timeout(Duration::from_millis(20));
        assert_eq!(early, Err(RecvTimeoutError::Timeout));
        drop(parent);
        end.recv().unwrap();
    }
}
