//! Commands under way.

use std::{
    collections::BTreeSet,
    process::Stdio,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};
use tokio::{process::Command, time::timeout};

/// Most commands that run in the background at once.
const MAX_COMMANDS: usize = 64;
/// Most bytes of a command's output in an answer.
const MAX_OUTPUT: usize = 64 << 10;

/// Runs commands with a time limit. Clones share what runs.
#[derive(Clone, Debug)]
pub(super) struct Commands {
    timeout: Duration,
    /// Canary and command of all that run in the background.
    running: Arc<Mutex<BTreeSet<(String, String)>>>,
}

impl Commands {
    pub(super) fn new(timeout: Duration) -> Self {
        Self {
            timeout,
            running: Arc::default(),
        }
    }

    fn running(&self) -> std::sync::MutexGuard<'_, BTreeSet<(String, String)>> {
        self.running.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Starts a shell command in the background. Nothing happens if it runs already for `canary`.
    pub(super) fn start(&self, canary: String, command: String, log: bool) {
        let key = (canary, command);
        {
            let mut running = self.running();
            if running.len() >= MAX_COMMANDS {
                eprintln!(
                    "{} commands run already; `{}` is not started",
                    MAX_COMMANDS, key.1
                );
                return;
            }
            if !running.insert(key.clone()) {
                return;
            }
        }
        let commands = self.clone();
        tokio::spawn(async move {
            let result = commands.shell("sh", &key.1).await;
            commands.running().remove(&key);
            match result {
                Ok(output) if log => println!("{}: {output}", key.0),
                Ok(_) => {}
                Err(error) => eprintln!("{}: {error}", key.0),
            }
        });
    }

    /// Runs a command of bash and returns its output.
    ///
    /// # Errors
    ///
    /// If the command fails or takes too long; the text has its output.
    pub(super) async fn run(&self, command: &str) -> Result<String, String> {
        self.shell("bash", command).await
    }

    async fn shell(&self, shell: &str, command: &str) -> Result<String, String> {
        let mut shell = Command::new(shell);
        shell
            .arg("-c")
            .arg(command)
            .stdin(Stdio::null())
            .kill_on_drop(true);
        let failed =
            |output: &str, reason: String| format!("command {command} failed: {output}: {reason}");
        let output = match timeout(self.timeout, shell.output()).await {
            Err(_) => return Err(failed("", format!("took longer than {:?}", self.timeout))),
            Ok(Err(error)) => return Err(failed("", error.to_string())),
            Ok(Ok(output)) => output,
        };
        let mut bytes = output.stdout;
        bytes.extend(output.stderr);
        bytes.truncate(MAX_OUTPUT);
        let text = String::from_utf8_lossy(&bytes);
        match output.status.success() {
            true => Ok(text.into_owned()),
            false => Err(failed(text.trim_end(), output.status.to_string())),
        }
    }
}
