//! A line of a workload's log: the file it is in, and its form on the terminal.

/// The source of the supervisor's own lines.
pub(crate) const SUPERVISOR: &str = "mesh";

/// The file of a source: `authors-0` and `authors-0/proxy` are in that of `authors`.
pub(crate) fn file_of(source: &str) -> &str {
    let pod = source.split('/').next().unwrap_or(source);
    match pod.rsplit_once('-') {
        Some((workload, index)) if index.bytes().all(|byte| byte.is_ascii_digit()) => workload,
        _ => pod,
    }
}

/// A line as the terminal shows it.
pub(crate) fn render(source: &str, width: usize, text: &str, colours: bool) -> String {
    if colours {
        let colour = colour(file_of(source));
        format!("\x1b[{colour}m{source:<width$} |\x1b[0m {text}\n")
    } else {
        format!("{source:<width$} | {text}\n")
    }
}

/// A colour that stays with the name.
fn colour(name: &str) -> u8 {
    const COLOURS: [u8; 10] = [36, 33, 32, 35, 34, 96, 93, 92, 95, 94];
    if name == SUPERVISOR {
        return 1;
    }
    let sum = name.bytes().fold(0_usize, |sum, byte| {
        sum.wrapping_mul(31).wrapping_add(byte.into())
    });
    COLOURS[sum % COLOURS.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn replicas_and_sidecars_share_the_file_of_their_workload() {
        for (source, file) in [
            ("authors-0", "authors"),
            ("authors-12/proxy", "authors"),
            ("voting-svc-1", "voting-svc"),
            ("controller", "controller"),
            ("my-app", "my-app"),
        ] {
            assert_eq!(file_of(source), file, "{source}");
        }
    }

    #[test]
    fn the_prefix_is_as_wide_as_the_longest() {
        assert_eq!(render("web-0", 9, "hello", false), "web-0     | hello\n");
    }
}
