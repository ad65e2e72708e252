//! A mesh.yaml in the making, and its text.

use crate::cmd::run::name_of;
use serde_json::Value;
use std::fmt::Write as _;

/// A mesh.yaml that is not written yet.
#[derive(Debug, Default)]
pub(super) struct Draft {
    /// The files it comes from.
    pub(super) source: String,
    pub(super) build: Option<String>,
    pub(super) workloads: Vec<Workload>,
    /// Notes on values that a person should check.
    pub(super) notes: Vec<String>,
}

/// One workload of a draft.
#[derive(Debug, Default)]
pub(super) struct Workload {
    pub(super) name: String,
    pub(super) command: Command,
    pub(super) dir: Option<String>,
    pub(super) port: Option<u16>,
    pub(super) listen: Option<u16>,
    pub(super) env: Vec<(String, String)>,
    pub(super) depends_on: Vec<String>,
}

/// The command of a workload.
#[derive(Debug)]
pub(super) enum Command {
    List(Vec<String>),
    Shell(String),
}

impl Default for Command {
    fn default() -> Self {
        Self::List(Vec::new())
    }
}

impl Draft {
    /// A mesh of one program.
    pub(super) fn of_command(command: &[String]) -> Self {
        let name = command.first().map_or("app", String::as_str);
        Self {
            source: "the command line".to_owned(),
            workloads: vec![Workload {
                name: name_of(name),
                command: Command::List(command.to_vec()),
                port: Some(8080),
                ..Workload::default()
            }],
            ..Self::default()
        }
    }

    /// Adds a workload, under a name that no other one has.
    pub(super) fn add(&mut self, mut workload: Workload) {
        let name = name_of(&workload.name);
        let is_taken = |name: &str| self.workloads.iter().any(|it| it.name == name);
        let numbered = (2..).map(|number| format!("{name}-{number}"));
        let mut names = std::iter::once(name.clone()).chain(numbered);
        workload.name = names.find(|name| !is_taken(name)).unwrap_or(name);
        self.workloads.push(workload);
    }

    /// The text, with comments.
    pub(super) fn to_yaml(&self) -> String {
        let mut text = format!(
            "# The programs that `mesh up` starts; written by `mesh init` from {}.\n\
             # Each gets a port of its own in $PORT, and calls the others by name: http://NAME:PORT.\n",
            self.source
        );
        for note in &self.notes {
            let _ = writeln!(text, "# Note: {note}");
        }
        if let Some(build) = &self.build {
            let _ = writeln!(
                text,
                "\n# Runs before anything starts.\nbuild: {}",
                quoted(build)
            );
        }
        if self.workloads.is_empty() {
            text.push_str(EXAMPLE);
            return text;
        }
        text.push_str("\nworkloads:\n");
        for workload in &self.workloads {
            workload.write(&mut text);
        }
        text
    }
}

const EXAMPLE: &str = r#"
workloads: {}
#  web:
#    command: ["python3", "-m", "http.server", "8000"]
#    port: 8080         # clients call web:8080
#    listen: 8000       # only if the program does not read $PORT
#    replicas: 1        # several need $PORT
#    ready: /           # a path that it answers when it is ready
#    depends_on: []     # workloads that must be ready before
"#;

impl Workload {
    fn write(&self, text: &mut String) {
        let _ = writeln!(text, "  {}:", self.name);
        let command = match &self.command {
            Command::List(list) => Value::from(list.clone()).to_string(),
            Command::Shell(line) => quoted(line),
        };
        let _ = writeln!(text, "    command: {command}");
        if let Some(dir) = &self.dir {
            let _ = writeln!(text, "    dir: {}", quoted(dir));
        }
        if let Some(port) = self.port {
            let called = format!("# clients call {}:{port}", self.name);
            let _ = writeln!(text, "    port: {port}  {called}");
            match self.listen {
                Some(listen) => {
                    let why = "# where it listens; without this line it gets $PORT";
                    let _ = writeln!(text, "    listen: {listen}  {why}");
                }
                None => {
                    let why = "# if it does not read $PORT: where it listens";
                    let _ = writeln!(text, "    # listen: {port}  {why}");
                }
            }
            text.push_str("    # ready: /healthz  # a path that it answers when it is ready\n");
        }
        if !self.env.is_empty() {
            text.push_str("    env:\n");
            for (name, value) in &self.env {
                let _ = writeln!(text, "      {}: {}", quoted(name), quoted(value));
            }
        }
        if !self.depends_on.is_empty() {
            let on = Value::from(self.depends_on.clone());
            let _ = writeln!(text, "    depends_on: {on}");
        }
    }
}

/// A JSON string, which is one of YAML, too.
fn quoted(text: &str) -> String {
    Value::from(text).to_string()
}
