//! Checks that the examples of READMEs can be read where rustdoc does not show them.

use anyhow::bail;
use std::{fs, path::Path};

/// Finds lines that rustdoc hides and GitHub shows, in the README of every library.
pub(crate) fn run() -> anyhow::Result<()> {
    let mut found = Vec::new();
    for entry in fs::read_dir(".")? {
        let readme = entry?.path().join("README.md");
        if let Ok(text) = fs::read_to_string(&readme) {
            found.extend(hidden(&readme, &text));
        }
    }
    match found.is_empty() {
        true => Ok(()),
        false => bail!(
            "rustdoc hides these lines, and GitHub shows them with their `#`; write the example out:\n{}",
            found.join("\n")
        ),
    }
}

/// `FILE:LINE: text` of each hidden line in a block of Rust.
fn hidden(readme: &Path, text: &str) -> Vec<String> {
    let (mut within, mut found) = (false, Vec::new());
    for (index, line) in text.lines().enumerate() {
        if let Some(language) = line.strip_prefix("```") {
            within = !within && language.starts_with("rust");
        } else if within && (line == "#" || line.starts_with("# ")) {
            let number = index + 1;
            found.push(format!("{}:{number}: {line}", readme.display()));
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_hidden_lines_of_rust_are_found() {
        let text = "# Title\n```rust\n# fn main() {\n#[derive(Debug)]\n#\n```\n```sh\n# a comment\n```\n# End\n";
        let found = hidden(Path::new("README.md"), text);
        assert_eq!(found, ["README.md:3: # fn main() {", "README.md:5: #"]);
    }
}
