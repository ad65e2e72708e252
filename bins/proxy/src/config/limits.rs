use super::args::{count, duration, duration_or_zero};
use std::time::Duration;

/// Every bound of the proxy, and its flag.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::Args)]
#[command(next_help_heading = "Limits")]
pub struct Limits {
    /// Time for requests in flight to finish after SIGTERM
    #[arg(long = "drain-limit", value_name = "DURATION", env = "MESH_PROXY_DRAIN_LIMIT",
          default_value = "120s", value_parser = duration)]
    pub drain: Duration,

    /// Time limit for connecting to an endpoint
    #[arg(long = "connect-timeout", value_name = "DURATION", env = "MESH_PROXY_CONNECT_TIMEOUT",
          default_value = "1s", value_parser = duration)]
    pub connect: Duration,

    /// Time that a request waits for a usable endpoint, and for the controller's first answer
    #[arg(long = "fail-fast", value_name = "DURATION", env = "MESH_PROXY_FAIL_FAST",
          default_value = "3s", value_parser = duration)]
    pub fail_fast: Duration,

    /// Connections open at once; further ones are answered with an error and closed
    #[arg(long = "max-connections", value_name = "N", env = "MESH_PROXY_MAX_CONNECTIONS",
          default_value = "10000", value_parser = count)]
    pub connections: usize,

    /// Time that a client may be silent before its server gets the chance to speak first
    #[arg(long = "silence-limit", value_name = "DURATION", env = "MESH_PROXY_SILENCE_LIMIT",
          default_value = "300ms", value_parser = duration)]
    pub silence: Duration,

    /// Time limit for detecting the protocol from the first bytes of a connection
    #[arg(long = "detect-limit", value_name = "DURATION", env = "MESH_PROXY_DETECT_LIMIT",
          default_value = "10s", value_parser = duration)]
    pub detect: Duration,

    /// Time limit for a request head to arrive, from its first byte on
    #[arg(long = "head-limit", value_name = "DURATION", env = "MESH_PROXY_HEAD_LIMIT",
          default_value = "30s", value_parser = duration)]
    pub head: Duration,

    /// Time that a client's connection may be without a request; longer than clients keep theirs
    #[arg(long = "idle-limit", value_name = "DURATION", env = "MESH_PROXY_IDLE_LIMIT",
          default_value = "1h", value_parser = duration)]
    pub idle: Duration,

    /// Time that an HTTP/1 client may be silent in the middle of a request body
    #[arg(long = "body-gap", value_name = "DURATION", env = "MESH_PROXY_BODY_GAP",
          default_value = "5m", value_parser = duration)]
    pub body_gap: Duration,

    /// Time that a client may read nothing while a response waits for it
    #[arg(long = "stall-limit", value_name = "DURATION", env = "MESH_PROXY_STALL_LIMIT",
          default_value = "5m", value_parser = duration)]
    pub stall: Duration,

    /// Silence of a client after which TCP keep-alive probes are sent
    #[arg(long = "keep-alive", value_name = "DURATION", env = "MESH_PROXY_KEEP_ALIVE",
          default_value = "1m", value_parser = duration)]
    pub keep_alive: Duration,

    /// Size limit for the head of a request or response, in bytes
    #[arg(long = "max-head-bytes", value_name = "BYTES", env = "MESH_PROXY_MAX_HEAD_BYTES",
          default_value = "65536", value_parser = count)]
    pub head_bytes: usize,

    /// Headers of a request or response
    #[arg(long = "max-headers", value_name = "N", env = "MESH_PROXY_MAX_HEADERS",
          default_value = "100", value_parser = count)]
    pub headers: usize,

    /// Size limit for the target of a request, in bytes
    #[arg(long = "max-uri-bytes", value_name = "BYTES", env = "MESH_PROXY_MAX_URI_BYTES",
          default_value = "32768", value_parser = count)]
    pub uri_bytes: usize,

    /// Concurrent streams of an HTTP/2 connection
    #[arg(long = "max-streams", value_name = "N", env = "MESH_PROXY_MAX_STREAMS",
          default_value = "200", value_parser = clap::value_parser!(u32).range(1..))]
    pub streams: u32,

    /// HTTP/2 streams that a client may reset before they are accepted
    #[arg(long = "max-resets", value_name = "N", env = "MESH_PROXY_MAX_RESETS",
          default_value = "20", value_parser = count)]
    pub resets: usize,

    /// HTTP/2 streams that may be reset for errors of the client, per connection
    #[arg(long = "max-errors", value_name = "N", env = "MESH_PROXY_MAX_ERRORS",
          default_value = "1024", value_parser = count)]
    pub errors: usize,

    /// Bytes of a request body that are read ahead, per HTTP/2 stream
    #[arg(long = "max-window-bytes", value_name = "BYTES", env = "MESH_PROXY_MAX_WINDOW_BYTES",
          default_value = "131072",
          value_parser = clap::value_parser!(u32).range(1..=(1 << 31) - 1))]
    pub window_bytes: u32,

    /// Requests that an HTTP/2 client may cancel at once, and again in every 10 s; each request
    /// that it does not cancel allows one more
    #[arg(long = "max-cancels", value_name = "N", env = "MESH_PROXY_MAX_CANCELS",
          default_value = "1000", value_parser = clap::value_parser!(u32).range(1..))]
    pub cancels: u32,

    /// Bytes of one message that are buffered for a slow reader
    #[arg(long = "max-buffer-bytes", value_name = "BYTES", env = "MESH_PROXY_MAX_BUFFER_BYTES",
          default_value = "409600", value_parser = count)]
    pub buffer_bytes: usize,

    /// Size limit for a request body that is kept for a retry, in bytes
    #[arg(long = "max-retry-body-bytes", value_name = "BYTES", env = "MESH_PROXY_MAX_RETRY_BODY_BYTES",
          default_value = "65536", value_parser = count)]
    pub retry_body_bytes: usize,

    /// Memory for all request bodies that are kept for retries, in bytes
    #[arg(long = "max-retry-memory-bytes", value_name = "BYTES", env = "MESH_PROXY_MAX_RETRY_MEMORY_BYTES",
          default_value = "67108864", value_parser = count)]
    pub retry_memory_bytes: usize,

    /// Attempts of one request of a retryable route, unless the route has a limit
    #[arg(long = "max-attempts", value_name = "N", env = "MESH_PROXY_MAX_ATTEMPTS",
          default_value = "10", value_parser = clap::value_parser!(u32).range(1..))]
    pub attempts: u32,

    /// Longest pause before a retry that a server may ask for
    #[arg(long = "max-retry-pause", value_name = "DURATION", env = "MESH_PROXY_MAX_RETRY_PAUSE",
          default_value = "5s", value_parser = duration)]
    pub retry_pause: Duration,

    /// Time after a request within which its reused connection must end, unread, for it to be sent
    /// again; 0s for never
    #[arg(long = "resend-limit", value_name = "DURATION", env = "MESH_PROXY_RESEND_LIMIT",
          default_value = "100ms", value_parser = duration_or_zero)]
    pub resend: Duration,

    /// Time within which an HTTP/1 client may close its side behind a request and still gets the
    /// answer; 0s for never
    #[arg(long = "half-close-limit", value_name = "DURATION", env = "MESH_PROXY_HALF_CLOSE_LIMIT",
          default_value = "100ms", value_parser = duration_or_zero)]
    pub half_close: Duration,

    /// Time that an unused connection to an endpoint is kept; shorter than the peer's own limit
    #[arg(long = "pool-idle", value_name = "DURATION", env = "MESH_PROXY_POOL_IDLE",
          default_value = "3s", value_parser = duration)]
    pub pool_idle: Duration,

    /// Requests that may wait for an endpoint of a service, per worker
    #[arg(long = "max-waiting", value_name = "N", env = "MESH_PROXY_MAX_WAITING",
          default_value = "4096", value_parser = count)]
    pub waiting: usize,

    /// Failures in a row after which an endpoint is ejected for a while
    #[arg(long = "max-failures", value_name = "N", env = "MESH_PROXY_MAX_FAILURES",
          default_value = "7", value_parser = clap::value_parser!(u32).range(1..))]
    pub failures: u32,

    /// Addresses used of one name
    #[arg(long = "max-addresses", value_name = "N", env = "MESH_PROXY_MAX_ADDRESSES",
          default_value = "256", value_parser = count)]
    pub addresses: usize,

    /// Unused connections to an endpoint that each worker keeps
    #[arg(long = "pool-size", value_name = "N", env = "MESH_PROXY_POOL_SIZE",
          default_value = "1024", value_parser = count)]
    pub pool_size: usize,

    /// Destinations that each worker keeps at once
    #[arg(long = "max-destinations", value_name = "N", env = "MESH_PROXY_MAX_DESTINATIONS",
          default_value = "1024", value_parser = count)]
    pub destinations: usize,

    /// Minimum time that an unused destination is kept
    #[arg(long = "destination-idle", value_name = "DURATION", env = "MESH_PROXY_DESTINATION_IDLE",
          default_value = "60s", value_parser = duration)]
    pub destination_idle: Duration,

    /// Destinations and endpoints that have time series of their own
    #[arg(long = "max-series", value_name = "N", env = "MESH_PROXY_MAX_SERIES",
          default_value = "20000", value_parser = count)]
    pub series: usize,

    /// Time that /metrics shows an unused time series
    #[arg(long = "series-idle", value_name = "DURATION", env = "MESH_PROXY_SERIES_IDLE",
          default_value = "10m", value_parser = duration)]
    pub series_idle: Duration,

    /// Connections to the admin port that are served at once
    #[arg(long = "max-admin-connections", value_name = "N", env = "MESH_PROXY_MAX_ADMIN_CONNECTIONS",
          default_value = "256", value_parser = count)]
    pub admin_connections: usize,

    /// Taps at once; 32 at most
    #[arg(long = "max-taps", value_name = "N", env = "MESH_PROXY_MAX_TAPS",
          default_value = "32", value_parser = count)]
    pub taps: usize,

    /// Events that may wait for one tap
    #[arg(long = "tap-queue", value_name = "N", env = "MESH_PROXY_TAP_QUEUE",
          default_value = "400", value_parser = count)]
    pub tap_queue: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            drain: Duration::from_secs(120),
            connect: Duration::from_secs(1),
            fail_fast: Duration::from_secs(3),
            connections: 10_000,
            silence: Duration::from_millis(300),
            // Linkerd's.
            detect: Duration::from_secs(10),
            head: Duration::from_secs(30),
            // Envoy's. Browsers keep connections for 5 min, Go and Java less by default.
            idle: Duration::from_secs(3600),
            body_gap: Duration::from_secs(300),
            stall: Duration::from_secs(300),
            keep_alive: Duration::from_secs(60),
            // Envoy has 60 KiB, nginx 32, Node 16.
            head_bytes: 64 * 1024,
            headers: 100,
            uri_bytes: 32 * 1024,
            streams: 200,
            // h2's own: its answer to "rapid reset", CVE-2023-44487.
            resets: 20,
            // h2's own, for the whole life of a connection: its answer to "made you reset",
            // CVE-2025-8671.
            errors: 1024,
            // 125 MB/s at a round trip of 1 ms.
            window_bytes: 128 << 10,
            // nghttp2's, which forgives 33 a second where this forgives 100.
            cancels: 1000,
            buffer_bytes: 400 * 1024,
            retry_body_bytes: 64 * 1024,
            retry_memory_bytes: 64 * 1024 * 1024,
            // One request takes no more than a tenth of an idle service's retry budget.
            attempts: 10,
            retry_pause: Duration::from_secs(5),
            // The end of a connection crosses the request in no more than a round trip.
            resend: Duration::from_millis(100),
            // Longer, and more clients that have left are served in vain.
            half_close: Duration::from_millis(100),
            // Linkerd's. Node and Apache close after 5 s, which is the shortest common limit.
            pool_idle: Duration::from_secs(3),
            waiting: 4096,
            failures: 7,
            addresses: 256,
            pool_size: 1024,
            destinations: 1024,
            destination_idle: Duration::from_secs(60),
            series: 20_000,
            series_idle: Duration::from_secs(600),
            admin_connections: 256,
            // Each costs every request a comparison.
            taps: 32,
            // Linkerd's.
            tap_queue: 400,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::{Args as _, FromArgMatches as _};

    fn parse(args: &str) -> Result<Limits, clap::Error> {
        let command = Limits::augment_args(clap::Command::new("proxy").no_binary_name(true));
        let matches = command.try_get_matches_from(args.split_whitespace())?;
        Limits::from_arg_matches(&matches)
    }

    #[test]
    fn flags_and_tests_have_the_same_defaults() {
        assert_eq!(parse("").unwrap(), Limits::default());
    }

    #[test]
    fn no_limit_can_be_nothing() {
        for flag in ["--max-streams", "--max-headers", "--head-limit"] {
            assert!(parse(&format!("{flag} 0")).is_err(), "{flag}");
        }
        assert_eq!(parse("--max-headers 7").unwrap().headers, 7);
        assert!(parse("--resend-limit 0s").unwrap().resend.is_zero());
        assert!(parse("--half-close-limit 0s").unwrap().half_close.is_zero());
    }

    /// The rows of the documentation that name a flag: flag, variable, default.
    fn rows(text: &str) -> Vec<[&str; 3]> {
        let rows = text.lines().filter_map(|line| {
            let cells: Vec<_> = line.split('|').map(str::trim).collect();
            let (flag, variable) = cells.get(3)?.split_once("`, `")?;
            let flag = flag.strip_prefix("`--")?;
            Some([flag, variable.strip_suffix('`')?, cells[2]])
        });
        rows.collect()
    }

    /// A default in words, as flags have it: its first number, with the unit that soon follows.
    fn default_of(words: &str) -> String {
        let words = words.replace(',', "");
        let mut words = words.split([' ', ':', ';']);
        let number: u64 = words.next().unwrap().parse().unwrap();
        let mut words = words.take(3);
        let unit = words.find(|word| ["ms", "s", "min", "h", "KiB", "MiB"].contains(word));
        match unit {
            Some("min") => format!("{number}m"),
            Some("KiB") => (number * 1024).to_string(),
            Some("MiB") => (number * 1024 * 1024).to_string(),
            Some(unit) => format!("{number}{unit}"),
            None => number.to_string(),
        }
    }

    #[test]
    fn the_table_in_the_documentation_has_every_flag_once_with_its_default() {
        let path = concat!(
            env!("CARGO_MANIFEST_DIR"),
            "/../../docs/headers-and-limits.md"
        );
        let text = std::fs::read_to_string(path).unwrap();
        let mut rows = rows(&text);
        for arg in Limits::augment_args(clap::Command::new("proxy")).get_arguments() {
            let flag = arg.get_long().unwrap();
            let row = rows.iter().position(|row| row[0] == flag);
            let row = rows.remove(row.unwrap_or_else(|| panic!("--{flag} is not there")));
            assert_eq!(arg.get_env().unwrap(), row[1], "--{flag}");
            let default = arg.get_default_values()[0].to_str().unwrap();
            let told = default_of(row[2]);
            let same = parse(&format!("--{flag} {told}")).unwrap() == Limits::default();
            assert!(same, "--{flag} is {default}, not {:?}", row[2]);
        }
        // Once, and no others.
        assert_eq!(rows, [[""; 3]; 0]);
    }
}
