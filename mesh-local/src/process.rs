//! Processes told apart by more than an ID that is used again.

use std::fs;

/// Returns when process `pid` started, in clock ticks since boot: field 22 of `/proc/PID/stat`.
///
/// Returns `None` if there is no such process, and for one that has ended and waits for its parent.
pub fn start_time(pid: u32) -> Option<u64> {
    parse(&fs::read_to_string(format!("/proc/{pid}/stat")).ok()?)
}

fn parse(stat: &str) -> Option<u64> {
    // The second field is the name in brackets and may contain anything, brackets too.
    let (_, rest) = stat.rsplit_once(')')?;
    let mut fields = rest.split_whitespace();
    if matches!(fields.next()?, "Z" | "X") {
        return None;
    }
    fields.nth(18)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_start_is_read_behind_any_name() {
        let fields = "1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 4711 20";
        assert_eq!(parse(&format!("9 (a) S (b)) S {fields}\n")), Some(4711));
        assert_eq!(parse(&format!("9 (sh) Z {fields}\n")), None);
        assert_eq!(parse("9 (sh) S 1 2\n"), None);
        assert!(start_time(std::process::id()).is_some());
    }
}
